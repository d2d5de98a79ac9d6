// The floor that servers are measured against: the cheapest HTTP/1.1 server with keep-alive that we
// know how to write on this kernel. One process for each worker (SO_REUSEPORT), level-triggered
// epoll, one read and one write for a wake-up, and answers that lie ready.
//
//     floor PORT FOLDER [WORKERS]
//
// It is no web server: of a request it looks for the empty line, for Content-Length when the method
// begins with P, and for the byte behind the first slash, c, whose answer is FOLDER/c.http. It
// believes what it reads. Answers up to SMALL bytes are written from memory, larger ones with
// sendfile.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    IN_BYTES = 16 * 1024,   // of requests that are read at once; a request has to fit
    OUT_BYTES = 128 * 1024, // of answers that are written at once
    SMALL = 64 * 1024,
    EVENTS = 256,
    BACKLOG = 4096,
};

struct answer {
    char *bytes; // NULL: there is none
    size_t n;
    int fd; // of a large one; else -1
};

struct connection {
    int fd;
    bool waits_to_write;
    char *rest; // of small answers that the socket did not take
    size_t rest_n, rest_at;
    const struct answer *large; // one that is on its way
    off_t large_at;
    size_t in_n;
    char in[IN_BYTES];
};

static struct answer answers[128];
static char out[OUT_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void load_answer(struct answer *a, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    if (fstat(fd, &st) != 0)
        fail(path);
    *a = (struct answer){malloc((size_t)st.st_size + 1), (size_t)st.st_size, -1};
    if (!a->bytes || read(fd, a->bytes, a->n) != (ssize_t)a->n)
        fail(path);
    if (a->n > SMALL)
        a->fd = fd;
    else
        close(fd);
}

static void load_answers(const char *folder)
{
    char path[4096];
    for (int c = 'a'; c <= 'z'; c++) {
        snprintf(path, sizeof path, "%s/%c.http", folder, c);
        load_answer(&answers[c], path);
    }
}

static void drop(struct connection *c)
{
    close(c->fd);
    free(c->rest);
    free(c);
}

// Waits for room in the socket, or for requests.
static void watch(int epoll, struct connection *c, bool to_write)
{
    if (c->waits_to_write == to_write)
        return;
    struct epoll_event e = {to_write ? EPOLLOUT : EPOLLIN, {.ptr = c}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
    c->waits_to_write = to_write;
}

enum progress { DEAD, BLOCKED, SENT };

static enum progress send_rest(struct connection *c)
{
    while (c->rest && c->rest_at < c->rest_n) {
        ssize_t n = write(c->fd, c->rest + c->rest_at, c->rest_n - c->rest_at);
        if (n < 0)
            return errno == EAGAIN ? BLOCKED : DEAD;
        c->rest_at += (size_t)n;
    }
    free(c->rest);
    c->rest = NULL;
    while (c->large) {
        ssize_t n = sendfile(c->fd, c->large->fd, &c->large_at, c->large->n - (size_t)c->large_at);
        if (n < 0)
            return errno == EAGAIN ? BLOCKED : DEAD;
        if ((size_t)c->large_at == c->large->n)
            c->large = NULL;
    }
    return SENT;
}

// Bytes of the first request of n, which it has wholly; else 0.
static size_t request_length(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t length = (size_t)(end + 4 - p);
    const char *field = *p == 'P' ? memmem(p, length, "Content-Length: ", 16) : NULL;
    if (field)
        length += strtoul(field + 16, NULL, 10);
    return length <= n ? length : 0;
}

static const struct answer *answer_for(const char *request, size_t n)
{
    const char *slash = memchr(request, '/', n);
    const struct answer *a = &answers[slash ? slash[1] & 127 : 'h'];
    return a->bytes ? a : &answers['h'];
}

// Keeps what the socket does not take of the first n bytes of out.
static enum progress send_out(struct connection *c, size_t n)
{
    ssize_t sent = write(c->fd, out, n);
    if (sent < 0 && errno != EAGAIN)
        return DEAD;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == n)
        return SENT;
    c->rest_n = n - done;
    c->rest_at = 0;
    c->rest = malloc(c->rest_n);
    if (!c->rest)
        return DEAD;
    memcpy(c->rest, out + done, c->rest_n);
    return BLOCKED;
}

// Answers what has come wholly, as far as out has room.
static enum progress answer_requests(struct connection *c)
{
    size_t used = 0, n = 0, length;
    while (!c->large && (length = request_length(c->in + used, c->in_n - used)) > 0) {
        const struct answer *a = answer_for(c->in + used, length);
        if (a->fd < 0 && n + a->n > sizeof out)
            break;
        used += length;
        if (a->fd >= 0) {
            c->large = a;
            c->large_at = 0;
        } else {
            memcpy(out + n, a->bytes, a->n);
            n += a->n;
        }
    }
    c->in_n -= used;
    memmove(c->in, c->in + used, c->in_n);
    enum progress p = n ? send_out(c, n) : SENT;
    return p == SENT ? send_rest(c) : p;
}

static enum progress answer_all(struct connection *c)
{
    enum progress p = SENT;
    for (size_t before = 0; p == SENT && c->in_n > 0 && c->in_n != before;) {
        before = c->in_n;
        p = answer_requests(c);
    }
    return p;
}

static enum progress go_on(struct connection *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        enum progress p = send_rest(c);
        return p == SENT ? answer_all(c) : p;
    }
    ssize_t n = read(c->fd, c->in + c->in_n, sizeof c->in - c->in_n);
    if (n < 0 && errno == EAGAIN)
        return SENT;
    if (n <= 0)
        return DEAD;
    c->in_n += (size_t)n;
    return answer_all(c);
}

static void accept_all(int epoll, int listening)
{
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c)
            fail("floor");
        c->fd = fd;
        struct epoll_event e = {EPOLLIN, {.ptr = c}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((unsigned short)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0)
        fail("floor: cannot listen");
    return fd;
}

static void work(int port)
{
    int listening = listen_on(port), epoll = epoll_create1(0);
    struct epoll_event events[EVENTS], e = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &e);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            enum progress p;
            if (!c)
                accept_all(epoll, listening);
            else if ((p = go_on(c, events[i].events)) == DEAD)
                drop(c);
            else
                watch(epoll, c, p == BLOCKED);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s PORT FOLDER [WORKERS]\n", argv[0]);
        return 2;
    }
    int workers = argc > 3 ? atoi(argv[3]) : 2;
    signal(SIGPIPE, SIG_IGN);
    load_answers(argv[2]);
    for (int i = 0; i < workers; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(atoi(argv[1]));
        }
    while (wait(NULL) > 0)
        ;
    return 0;
}

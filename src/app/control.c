// The control socket: see the header. An epoll of its own, so that the master watches one descriptor;
// clients lie in an array, where a place that is free has no descriptor:
//
//      SAYING ──a word──> (control_word_fn) ──control_wait──> WAITING
//          └──nonsense──┐        └──control_end──┐                │ control_end_waiting
//                       └────────────────────────┴──> TAKING <────┘  ──all is taken──> free
//
// SAYING and TAKING have a deadline; whoever leaves is forgotten in any state. control_send_on ends
// SAYING and WAITING.
#include "app/control.h"

#include "app/kin.h"
#include "base/buf.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD // by headers older than Linux 6.5
#define SO_PEERPIDFD 77
#endif

enum { PAUSE_MS = 100 }; // without a descriptor for the next client

enum state { SAYING, WAITING, TAKING };

struct control_client {
    struct control *control;
    int fd; // −1: the place is free
    enum state state;
    int64_t deadline; // of SAYING and TAKING
    unsigned number;  // what WAITING waits for
    char word[CONTROL_WORD_MAX + 1];
    size_t said; // bytes of it
    struct buf answer;
};

struct control {
    int listener, epoll;
    int64_t resume; // when it accepts again; 0: it does
    pid_t other;    // whose descendants are not heard either; 0: none
    control_word_fn *fn;
    void *arg;
    struct control_client client[CONTROL_CLIENTS];
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct control *control_new(int listener, control_word_fn *fn, void *arg)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct control){.listener = listener, .fn = fn, .arg = arg};
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        c->client[i] = (struct control_client){.control = c, .fd = -1};
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll >= 0 && epoll_ctl(c->epoll, EPOLL_CTL_ADD, listener, &e) == 0)
        return c;
    int err = errno;
    if (c->epoll >= 0)
        close(c->epoll);
    free(c);
    errno = err;
    return NULL;
}

static void forget(struct control_client *who)
{
    close(who->fd);
    buf_fini(&who->answer);
    who->fd = -1;
}

static void watch(struct control_client *who, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = who};
    if (epoll_ctl(who->control->epoll, how, who->fd, &e) != 0)
        forget(who);
}

static void enter(struct control_client *who, enum state state)
{
    who->state = state;
    who->deadline = now_ms() + CONTROL_MS;
    watch(who, EPOLL_CTL_MOD, state == TAKING ? EPOLLOUT : 0); // that it leaves is told in any case
}

// What the peer takes now. False when it is gone.
static bool give_some(struct control_client *who)
{
    while (who->answer.n) {
        ssize_t n = send(who->fd, who->answer.p, who->answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        buf_drop(&who->answer, (size_t)n);
    }
    return true;
}

static void give(struct control_client *who)
{
    if (!give_some(who) || who->answer.n == 0)
        forget(who);
}

void control_say(struct control_client *to, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    // room for the last line stays
    if (to->answer.n + strlen(text) + 1 + sizeof "failed\n" <= CONTROL_ANSWER_MAX)
        buf_addf(&to->answer, "%s\n", text);
}

void control_end(struct control_client *to, bool ok)
{
    if (to->fd < 0)
        return;
    buf_addf(&to->answer, "%s\n", ok ? "ok" : "failed");
    enter(to, TAKING);
    if (to->fd >= 0)
        give(to);
}

void control_wait(struct control_client *who, unsigned number)
{
    who->number = number;
    enter(who, WAITING);
    if (who->fd >= 0 && !give_some(who))
        forget(who);
}

void control_end_waiting(struct control *c, unsigned number, bool ok, const char *text)
{
    for (int i = 0; c && i < CONTROL_CLIENTS; i++) {
        struct control_client *who = &c->client[i];
        if (who->fd < 0 || who->state != WAITING || who->number > number)
            continue;
        if (text)
            control_say(who, "%s", text);
        control_end(who, ok);
    }
}

void control_send_on(struct control *c)
{
    for (int i = 0; c && i < CONTROL_CLIENTS; i++) {
        struct control_client *who = &c->client[i];
        if (who->fd < 0 || who->state == TAKING)
            continue;
        control_say(who, "%s", CONTROL_REPLACED);
        control_end(who, false);
    }
}

// The word so far, and what comes of it.
static void listen_to(struct control_client *who)
{
    ssize_t n = recv(who->fd, who->word + who->said, CONTROL_WORD_MAX - who->said, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        forget(who);
        return;
    }
    who->said += (size_t)n;
    char *end = memchr(who->word, '\n', who->said);
    if (end && memchr(who->word, '\0', (size_t)(end - who->word))) {
        control_say(who, "a word has no NUL byte");
        control_end(who, false);
    } else if (end) {
        *end = '\0';
        who->control->fn(who->control->arg, who, who->word);
    } else if (who->said == CONTROL_WORD_MAX) {
        control_say(who, "a word has %d bytes at most", CONTROL_WORD_MAX - 1);
        control_end(who, false);
    }
}

// Whether the process that connected is there still, and its number is no other's by now: what it
// said can be read when it has gone. Kernels before 6.5 do not tell.
static bool is_there(int fd)
{
    int peer = -1;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer, &n) != 0)
        return errno == ENOPROTOOPT;
    struct pollfd ended = {.fd = peer, .events = POLLIN};
    bool there = poll(&ended, 1, 0) == 0;
    close(peer);
    return there;
}

// Workers have the server's uid, and so has what scripts start; no sandbox keeps a process from
// connecting. What comes from another pid namespace has the number 0, and is none of them; nor is
// root, unless this process is.
static bool is_own_kin(const struct control *c, int fd, const struct ucred *peer)
{
    if (peer->uid != geteuid() || peer->pid <= 0 || peer->pid == getpid())
        return false;
    pid_t elder = kin_elder(), other = elder ? elder : c->other;
    return kin_descends(peer->pid, getpid()) || (other && kin_descends(peer->pid, other)) ||
           !is_there(fd);
}

// NULL, or why not.
static const char *refusal(const struct control *c, int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 ||
        (peer.uid != 0 && peer.uid != geteuid()))
        return "only root and the user of the server are heard here\nfailed\n";
    if (is_own_kin(c, fd, &peer))
        return "the server's own workers, and what they start, are not heard here\nfailed\n";
    return NULL;
}

static void refuse(int fd, const char *why)
{
    send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void listen_for(struct control *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = NULL};
    epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->listener, &e);
}

// Who waits stays in the queue, which would wake the master again at once.
static void pause_accepting(struct control *c)
{
    listen_for(c, 0);
    c->resume = now_ms() + PAUSE_MS;
}

static void admit(struct control *c, int fd)
{
    int i = 0;
    while (i < CONTROL_CLIENTS && c->client[i].fd >= 0)
        i++;
    const char *why = refusal(c, fd);
    if (why) {
        refuse(fd, why);
    } else if (i == CONTROL_CLIENTS) {
        refuse(fd, "too many others talk to this server\nfailed\n");
    } else {
        struct control_client *who = &c->client[i];
        *who = (struct control_client){
            .control = c, .fd = fd, .state = SAYING, .deadline = now_ms() + CONTROL_MS};
        buf_init(&who->answer, CONTROL_ANSWER_MAX);
        watch(who, EPOLL_CTL_ADD, EPOLLIN);
    }
}

// Several in a turn, so that workers which come and come keep nobody waiting for long.
static void admit_some(struct control *c)
{
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        int fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            pause_accepting(c);
        if (fd < 0)
            return;
        admit(c, fd);
    }
}

static void on_event(struct control *c, const struct epoll_event *e)
{
    struct control_client *who = e->data.ptr;
    if (!who)
        admit_some(c);
    else if (who->fd < 0)
        return; // forgotten in this turn
    else if (who->state == SAYING)
        listen_to(who);
    else if (who->state == TAKING && !(e->events & (EPOLLERR | EPOLLHUP)))
        give(who);
    else if (e->events & (EPOLLERR | EPOLLHUP))
        forget(who);
}

void control_turn(struct control *c)
{
    struct epoll_event events[CONTROL_CLIENTS + 1];
    int64_t now = now_ms();
    if (c->resume && now >= c->resume) {
        c->resume = 0;
        listen_for(c, EPOLLIN);
    }
    int n = epoll_wait(c->epoll, events, CONTROL_CLIENTS + 1, 0);
    for (int i = 0; i < n; i++)
        on_event(c, &events[i]);
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *who = &c->client[i];
        if (who->fd >= 0 && who->state != WAITING && now >= who->deadline)
            forget(who);
    }
}

int64_t control_due(const struct control *c)
{
    int64_t at = c->resume ? c->resume : INT64_MAX;
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        const struct control_client *who = &c->client[i];
        if (who->fd >= 0 && who->state != WAITING && who->deadline < at)
            at = who->deadline;
    }
    return at;
}

int control_listen(struct control *c, int listener)
{
    struct epoll_event e = {.events = c->resume ? 0 : EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, listener, &e) != 0)
        return -errno;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->listener, NULL);
    close(c->listener);
    c->listener = listener;
    return 0;
}

void control_shun(struct control *c, pid_t other)
{
    c->other = other;
}

int control_fd(const struct control *c)
{
    return c->epoll;
}

int control_listener(const struct control *c)
{
    return c->listener;
}

void control_leave(const struct control *c)
{
    for (int i = 0; c && i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            close(c->client[i].fd);
    if (c)
        close(c->listener), close(c->epoll);
}

void control_free(struct control *c)
{
    for (int i = 0; c && i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            forget(&c->client[i]);
    if (c)
        close(c->listener), close(c->epoll);
    free(c);
}

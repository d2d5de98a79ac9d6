// Listening sockets: see the header. The watch is in the loop unless the owner stopped it or the
// process is out of something that a connection needs. Then the level-triggered watch would only
// spin, so it leaves the loop and a timeout puts it back; EPOLLEXCLUSIVE watches cannot be
// modified, only deleted and added.
#include "net/listener.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    STARVED_MS = 100,
    ASIDE_MS = 2,   // long enough for another worker to wake up
    ALONE_MS = 100, // how long the answer to "does anybody else?" is believed
    // Bytes that may wait in a socket's buffer: a client that reads slowly but steadily then takes
    // some often, and is seen to.
    UNSENT_MAX = 128 * 1024,
    WAKE_ACCEPTS = 64, // in one turn
};

// Opening

static int set_options(int fd, int family)
{
    static const int on = 1, unsent = UNSENT_MAX;
    if (family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) < 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return -errno;
    return 0;
}

// Whether the address is a unix socket that nobody listens on. A path that is something else is
// refused by connect just the same, and is not ours to remove.
static bool is_stale(const struct addr *a)
{
    struct stat st;
    if (a->sa.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_to(int fd, const struct addr *a)
{
    if (bind(fd, &a->sa, a->len) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -errno;
    if (!is_stale(a))
        return -EADDRINUSE;
    if (unlink(a->un.sun_path) < 0 || bind(fd, &a->sa, a->len) < 0)
        return -errno;
    return 0;
}

int listener_open(const struct addr *a, int backlog)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = set_options(fd, a->sa.sa_family);
    if (rc == 0)
        rc = bind_to(fd, a);
    if (rc == 0 && listen(fd, backlog) < 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

int listener_adopt(int fd)
{
    static const int on = 1, unsent = UNSENT_MAX;
    int listens = 0, type = 0;
    struct addr a = {.len = sizeof a.storage};
    socklen_t n = sizeof listens, m = sizeof type;
    if (getsockname(fd, &a.sa, &a.len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) < 0)
        return -errno;
    if (!listens || type != SOCK_STREAM)
        return -EINVAL;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return -errno;
    if (a.sa.sa_family != AF_UNIX &&
        (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
         setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) < 0))
        return -errno;
    return 0;
}

// Accepting

struct listener {
    struct loop *loop;
    struct watch watch;
    struct timeout retry; // armed while starved
    accept_fn *fn;
    void *arg;
    int fd;
    listener_yield_fn *yield; // NULL: never
    bool returned;            // from stepping aside, and nothing was accepted since
    uint64_t back_at;         // when
    uint64_t alone_until;     // nobody else takes connections: no stepping aside before this
    bool aside;               // retry is armed for that, not because of a shortage
    bool stopped;             // by the owner
    bool reported;            // the shortage is in the log; cleared by the next connection
};

static void starve(struct listener *li, int error)
{
    if (!li->reported)
        log_write(LOG_WARN, "cannot accept connections, trying again every %d ms: %s", STARVED_MS,
                  strerror(error));
    li->reported = true;
    // Without memory for the timeout the watch stays, and the next turn tries.
    if (timeout_set(li->loop, &li->retry, STARVED_MS))
        loop_del(li->loop, &li->watch);
}

// What concerns one connection only, or none: the next event is as good as ever (accept(2), "Error
// handling": errors that are already pending on the new socket come from accept).
static bool is_passing(int error)
{
    switch (error) {
    case EAGAIN: // another worker was quicker
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

// Leaves the connection to another worker, unless this one has just done so and it is still there.
static bool step_aside(struct listener *li)
{
    uint64_t now = loop_now(li->loop);
    bool left_over = li->returned && now - li->back_at <= 1;
    li->returned = false;
    if (!li->yield || now < li->alone_until || !li->yield(li->arg))
        return false;
    if (left_over) {
        li->alone_until = now + ALONE_MS;
        return false;
    }
    if (!timeout_set(li->loop, &li->retry, ASIDE_MS))
        return false;
    li->aside = true;
    loop_del(li->loop, &li->watch);
    return true;
}

// False when nothing was accepted.
static bool accept_one(struct listener *li)
{
    struct addr peer = {.len = sizeof peer.storage};
    int fd = accept4(li->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        li->reported = false;
        li->fn(li->arg, fd, &peer); // may free the listener
        return true;
    }
    if (errno == EINVAL)
        listener_stop(li); // shut down, by the process that owns it
    else if (!is_passing(errno))
        starve(li, errno);
    return false;
}

static void on_connection(struct watch *w, uint32_t events)
{
    (void)events;
    struct listener *li = (struct listener *)((char *)w - offsetof(struct listener, watch));
    if (!step_aside(li))
        accept_one(li);
}

// Puts the watch into the loop unless something speaks against it. 0 or −errno.
static int watch(struct listener *li)
{
    if (li->stopped || li->retry.armed || li->watch.fd >= 0)
        return 0;
    return loop_add(li->loop, &li->watch, li->fd, EPOLLIN | EPOLLEXCLUSIVE, on_connection);
}

static void on_retry(struct timeout *t)
{
    struct listener *li = (struct listener *)((char *)t - offsetof(struct listener, retry));
    if (li->aside) {
        li->returned = true;
        li->back_at = loop_now(li->loop);
    }
    li->aside = false;
    int rc = watch(li);
    if (rc < 0)
        starve(li, -rc);
}

struct listener *listener_new(struct loop *l, int fd, accept_fn *fn, void *arg)
{
    struct listener *li = malloc(sizeof *li);
    if (!li)
        return NULL;
    *li = (struct listener){.loop = l, .watch.fd = -1, .fn = fn, .arg = arg, .fd = fd};
    timeout_init(&li->retry, on_retry);
    int rc = watch(li);
    if (rc == 0)
        return li;
    free(li);
    errno = -rc;
    return NULL;
}

void listener_share(struct listener *li, listener_yield_fn *yield)
{
    li->yield = yield;
}

void listener_wake(struct listener *li)
{
    if (li->aside) { // back at once: the watch tells what waits
        timeout_clear(&li->retry);
        li->aside = false;
        on_retry(&li->retry);
        return;
    }
    for (int i = 0; i < WAKE_ACCEPTS && li->watch.fd >= 0 && !step_aside(li); i++)
        if (!accept_one(li))
            return;
}

void listener_stop(struct listener *li)
{
    li->stopped = true;
    loop_del(li->loop, &li->watch);
}

void listener_free(struct listener *li)
{
    if (!li)
        return;
    loop_del(li->loop, &li->watch);
    timeout_remove(li->loop, &li->retry);
    free(li);
}

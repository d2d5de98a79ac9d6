// Where a log's bytes go: see the header.
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { ATOMIC = 4096 }; // PIPE_BUF

static enum log_sink_kind kind_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return SINK_OTHER;
    return S_ISREG(st.st_mode)                           ? SINK_FILE
           : S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ? SINK_PIPE
           : S_ISSOCK(st.st_mode)                        ? SINK_SOCKET
                                                         : SINK_OTHER;
}

void log_sink_share(struct log_sink *s, int fd)
{
    char path[32];
    *s = (struct log_sink){.fd = fd, .kind = kind_of(fd)};
    if (s->kind != SINK_PIPE)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0)
        *s = (struct log_sink){.fd = own, .kind = SINK_PIPE, .ours = true};
    else
        s->kind = SINK_OTHER;
}

void log_sink_own(struct log_sink *s, int fd)
{
    *s = (struct log_sink){.fd = fd, .kind = kind_of(fd), .ours = true};
    int flags = fcntl(fd, F_GETFL);
    if (s->kind == SINK_PIPE && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0))
        s->kind = SINK_OTHER;
}

void log_sink_close(struct log_sink *s)
{
    if (s->ours)
        close(s->fd);
    *s = (struct log_sink){.fd = -1};
}

bool log_sink_leads_to(const struct log_sink *s, int fd)
{
    struct stat a, b;
    return s->fd >= 0 && fstat(s->fd, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool has_room(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, ms) > 0;
}

// As many whole lines as are written at once without mixing with another process's.
static size_t piece(const struct log_sink *s, const char *p, size_t n)
{
    if (s->kind == SINK_FILE || n <= ATOMIC)
        return n;
    const char *last = memrchr(p, '\n', ATOMIC);
    return last ? (size_t)(last + 1 - p) : ATOMIC;
}

// A pipe takes RWF_NOWAIT from Linux 6.4 on. Elsewhere it has room for a piece if it has any, but others
// that write to it may be faster.
static ssize_t write_now(int fd, const char *p, size_t n)
{
    struct iovec v = {.iov_base = (void *)p, .iov_len = n};
    ssize_t w = pwritev2(fd, &v, 1, -1, RWF_NOWAIT);
    if (w >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
        return w;
    if (has_room(fd, 0))
        return write(fd, p, n);
    errno = EAGAIN;
    return -1;
}

static ssize_t write_piece(const struct log_sink *s, const char *p, size_t n)
{
    if (s->kind == SINK_SOCKET)
        return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (s->kind == SINK_OTHER)
        return write_now(s->fd, p, n);
    return write(s->fd, p, n);
}

int log_sink_put(struct log_sink *s, const char *p, size_t n, size_t *done, int ms)
{
    int64_t end = ms > 0 ? now_ms() + ms : 0;
    while (n) {
        ssize_t w = write_piece(s, p, piece(s, p, n));
        if (w >= 0) {
            p += w;
            n -= (size_t)w;
            *done += (size_t)w;
            continue;
        }
        if (errno == EINTR)
            continue;
        int64_t left = end ? end - now_ms() : 0;
        if (errno != EAGAIN || left <= 0)
            return -errno;
        has_room(s->fd, (int)left);
    }
    return 0;
}

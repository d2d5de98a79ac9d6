// The line between the master and a worker: see the header. Which descriptors a message has is told by
// bits in it, since those that are there come without gaps.
#include "app/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALL = (1 << CHANNEL_FDS_MAX) - 1 }; // descriptors, as bits

struct wire {
    uint32_t kind, number, has;
};

union control {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr align;
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int channel_open(int ends[2])
{
    int rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
    return rc == 0 ? 0 : -errno;
}

int channel_send(int end, const struct channel_message *m)
{
    struct wire wire = {.kind = (uint32_t)m->kind, .number = m->number};
    union control control = {.bytes = {0}};
    int fds[CHANNEL_FDS_MAX], n = 0;
    for (int i = 0; i < CHANNEL_FDS_MAX; i++) {
        if (m->fds[i] < 0)
            continue;
        fds[n++] = m->fds[i];
        wire.has |= 1u << i;
    }
    struct iovec iov[] = {{&wire, sizeof wire},
                          {(char *)(uintptr_t)m->text, strnlen(m->text, CHANNEL_TEXT - 1)}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (n) {
        size_t bytes = sizeof(int) * (size_t)n;
        control.align = (struct cmsghdr){CMSG_LEN(bytes), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), fds, bytes);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(bytes);
    }
    return sendmsg(end, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

// Puts them in their places: −1 where none belongs. All or none: false.
static bool place_descriptors(struct msghdr *msg, uint32_t has, struct channel_message *m)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    const unsigned char *next = c ? CMSG_DATA(c) : NULL;
    size_t left = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    bool lost = msg->msg_flags & MSG_CTRUNC || left < (size_t)__builtin_popcount(has & ALL);
    for (int i = 0; i < CHANNEL_FDS_MAX; i++) {
        m->fds[i] = -1;
        if (!(has & 1u << i) || left == 0)
            continue;
        memcpy(&m->fds[i], next, sizeof(int));
        next += sizeof(int);
        left--;
    }
    for (int i = 0; i < CHANNEL_FDS_MAX && lost; i++)
        close_one(&m->fds[i]);
    return !lost;
}

int channel_receive(int end, struct channel_message *m)
{
    struct wire wire;
    union control control;
    struct iovec iov[] = {{&wire, sizeof wire}, {m->text, CHANNEL_TEXT - 1}};
    struct msghdr msg = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(end, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    if ((size_t)n < sizeof wire)
        return -EPROTO;
    m->text[(size_t)n - sizeof wire] = '\0';
    m->kind = (enum channel_kind)wire.kind;
    m->number = wire.number;
    return place_descriptors(&msg, wire.has, m) ? 1 : CHANNEL_LOST;
}

bool channel_keep_spares(int end, struct channel_spares *s)
{
    bool all = true;
    for (int i = 0; i < CHANNEL_SPARES; i++) {
        if (s->fds[i] < 0)
            s->fds[i] = fcntl(end, F_DUPFD_CLOEXEC, 0);
        all &= s->fds[i] >= 0;
    }
    return all;
}

// The look, which has no room for descriptors, makes none.
void channel_make_room(int end, struct channel_spares *s)
{
    struct wire wire;
    if (recv(end, &wire, sizeof wire, MSG_PEEK) != sizeof wire)
        return;
    int n = __builtin_popcount(wire.has & ALL);
    for (int i = 0; i < CHANNEL_SPARES && i < n; i++)
        close_one(&s->fds[i]);
}

void channel_close_spares(struct channel_spares *s)
{
    for (int i = 0; i < CHANNEL_SPARES; i++)
        close_one(&s->fds[i]);
}

int channel_say(int end, const void *word, size_t n)
{
    return send(end, word, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int channel_hear(int end, void *word, size_t n)
{
    ssize_t got = recv(end, word, n, MSG_TRUNC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -EPIPE;
    return (size_t)got == n ? 1 : -EPROTO;
}

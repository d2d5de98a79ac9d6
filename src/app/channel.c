// The line between the master and a worker: see the header. Which descriptors a message has is told by
// bits in it, since those that are there come without gaps.
#include "app/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct wire {
    uint32_t kind, number, has;
};

union control {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr align;
};

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
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    const unsigned char *next = c ? CMSG_DATA(c) : NULL;
    size_t left = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    m->kind = (enum channel_kind)wire.kind;
    m->number = wire.number;
    for (int i = 0; i < CHANNEL_FDS_MAX; i++) {
        m->fds[i] = -1;
        if (!(wire.has & 1u << i) || left == 0)
            continue;
        memcpy(&m->fds[i], next, sizeof(int));
        next += sizeof(int);
        left--;
    }
    return 1;
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

// What goes out of a stream: writes, which queue, and sending, in as few system calls as possible.
#include "net/stream_inside.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    REF_COPIED = 1024, // borrowed pieces up to this are copied: cheaper than a piece and an iovec
    GATHER_MAX = 64,   // pieces in one sendmsg
    FILE_SHARE = 1024 * 1024, // bytes of files that a stream sends in a turn: others wait for it
};

uint64_t stream_queued(const struct stream *s)
{
    return s->out.n;
}

uint64_t stream_sent(const struct stream *s)
{
    return s->sent;
}

// --- writes ---

// Nothing of it can be written any more.
static bool write_ended(const struct stream *s)
{
    return !stream_lives(s) || s->shut;
}

char *stream_room(struct stream *s, size_t n)
{
    assert(n > 0 && n <= STREAM_BLOCK);
    if (write_ended(s))
        return NULL;
    char *room = stream_queue_room(&s->out, n);
    if (!room)
        stream_fail(s, ENOMEM);
    return room;
}

void stream_wrote(struct stream *s, size_t n)
{
    assert(s->out.tail && n <= stream_queue_spare(&s->out));
    stream_queue_wrote(&s->out, n);
}

bool stream_write(struct stream *s, struct str bytes)
{
    if (write_ended(s))
        return false;
    bool ok = stream_queue_write(&s->out, bytes);
    if (!ok)
        stream_fail(s, ENOMEM);
    return ok;
}

// Queues a copy of *like; where that cannot be, or it has no bytes, its release is called.
static bool write_piece(struct stream *s, const struct stream_piece *like)
{
    if (!write_ended(s) && like->n) {
        if (stream_queue_add(&s->out, like))
            return true;
        stream_fail(s, ENOMEM);
    }
    if (like->release)
        like->release(like->arg);
    return !write_ended(s);
}

bool stream_write_ref(struct stream *s, struct str bytes, stream_release_fn *release, void *arg)
{
    if (bytes.n <= REF_COPIED) {
        bool ok = stream_write(s, bytes);
        if (release)
            release(arg);
        return ok;
    }
    struct stream_piece piece = {
        .kind = PIECE_BORROWED, .p = (char *)bytes.p, .n = bytes.n, .release = release, .arg = arg};
    return write_piece(s, &piece);
}

bool stream_write_file(struct stream *s, int fd, off_t off, uint64_t len,
                       stream_release_fn *release, void *arg)
{
    struct stream_piece piece = {
        .kind = PIECE_FILE, .fd = fd, .off = off, .n = len, .release = release, .arg = arg};
    return write_piece(s, &piece);
}

// --- sending ---

// What a send or sendfile of asked bytes said. A short count means a full socket: asking it again
// would only make it say so.
static void sent_or_not(struct stream *s, ssize_t rc, uint64_t asked)
{
    if (rc >= 0) {
        s->blocked = (uint64_t)rc < asked;
        s->sent += (uint64_t)rc;
        stream_queue_take(&s->out, (uint64_t)rc);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->blocked = true;
    } else if (errno != EINTR) {
        stream_fail(s, errno);
    }
}

// The memory pieces at the front, in one call.
static void send_memory(struct stream *s)
{
    struct iovec iov[GATHER_MAX];
    size_t count = 0, total = 0;
    const struct stream_piece *piece = s->out.head;
    for (; piece && piece->kind != PIECE_FILE && count < GATHER_MAX; piece = piece->next) {
        iov[count++] = (struct iovec){piece->p, piece->n};
        total += piece->n;
    }
    int flags = MSG_NOSIGNAL | (piece ? MSG_MORE : 0); // a head and its file share a packet
    ssize_t rc;
    if (count == 1)
        rc = send(s->fd, iov[0].iov_base, iov[0].iov_len, flags);
    else
        rc = sendmsg(s->fd, &(struct msghdr){.msg_iov = iov, .msg_iovlen = count}, flags);
    sent_or_not(s, rc, total);
}

static void send_file(struct stream *s, uint64_t *share)
{
    struct stream_piece *piece = s->out.head;
    uint64_t n = piece->n < *share ? piece->n : *share;
    if (n == 0) { // the next turn goes on
        s->blocked = true;
        return;
    }
    off_t off = piece->off;
    ssize_t rc = sendfile(s->fd, piece->fd, &off, n);
    if (rc == 0) {
        stream_fail(s, EIO);
        return;
    }
    if (rc > 0)
        *share -= (uint64_t)rc;
    sent_or_not(s, rc, n);
}

// Sends until the queue is empty, the socket full or the share of the turn used up.
static void send_queue(struct stream *s)
{
    uint64_t share = FILE_SHARE;
    while (s->out.head && !s->blocked && !s->broken) {
        if (s->out.head->n == 0)
            stream_queue_drop(&s->out);
        else if (s->out.head->kind == PIECE_FILE)
            send_file(s, &share);
        else
            send_memory(s);
    }
    if (s->shut && !s->fin_sent && !s->out.head && !s->broken) {
        shutdown(s->fd, SHUT_WR); // an error here means a reset, which the loop will tell
        s->fin_sent = true;
    }
}

void stream_flush(struct stream *s)
{
    // While blocked the loop sends; sending here could empty the queue without the on_drain that is
    // waited for.
    if (!stream_lives(s) || s->blocked || s->watch.fd < 0)
        return;
    send_queue(s);
    if (s->blocked)
        stream_ask(s);
}

void stream_shutdown(struct stream *s)
{
    if (write_ended(s))
        return;
    s->shut = true;
    stream_flush(s);
}

void stream_out_ready(struct stream *s)
{
    uint64_t before = s->out.n;
    s->blocked = false;
    send_queue(s);
    if (s->broken)
        return;
    if (s->out.n == 0 || (before >= STREAM_LOW && s->out.n < STREAM_LOW))
        s->events->on_drain(s->owner);
}

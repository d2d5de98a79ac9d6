// Streams: see the header. Everything that may call the owner starts in one of two places:
// on_ready, the watch's function, and settle, the deferred one; the functions that the owner calls
// only change state, send, and defer.
//
// Interest follows from state, in one place (ask): EPOLLIN while more input may be kept, EPOLLOUT
// while `blocked`, EPOLLRDHUP until the end of input is known: it tells of a FIN behind bytes that
// nobody reads. In the steady state of small exchanges none changes, and an exchange is one recv and
// one send. Where EPOLLIN stays on, so does EPOLLRDHUP: both go with one call, once 0 was read. A
// socket whose both directions are done, or that is broken, leaves the loop, since EPOLLHUP and
// EPOLLERR cannot be switched off.
//
// Input that the owner left lies in `kept`; what it has not been shown at all (read while paused)
// lies there too. With kept bytes, a read fills the spare room behind them first and then the
// shared buffer, so that a slow sender never makes us set aside more than about twice what it sent.
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    SPARES_MAX = 64,   // blocks that a pool keeps
    REF_COPIED = 1024, // borrowed pieces up to this are copied: cheaper than a piece and an iovec
    GATHER_MAX = 64,   // pieces in one sendmsg
    FILE_SHARE =
        1024 * 1024, // bytes of files that one stream sends in a turn, to be fair to the others
};

enum piece_kind {
    COPIED,   // a struct block, of the pool
    BORROWED, // memory of the owner's
    FILE_RANGE,
};

struct piece {
    struct piece *next;
    uint64_t n;  // bytes to be sent
    union {      // the first of them
        char *p; // written to only in blocks
        off_t off;
    };
    stream_release_fn *release; // NULL for none
    void *arg;
    int fd;
    enum piece_kind kind;
};

struct block {
    struct piece piece; // its bytes lie within data; new ones are added behind them
    char data[STREAM_BLOCK];
};

struct stream_pool {
    struct loop *loop;
    struct piece *spares; // blocks
    unsigned spare_count;
    unsigned streams;
    char in[STREAM_READ];
};

struct stream {
    struct watch watch;
    struct deferred deferred; // settle
    struct stream_pool *pool;
    const struct stream_events *events;
    void *owner;

    struct piece *head, *tail;
    uint64_t queued, sent, received;

    char *kept; // kept_n bytes from kept + kept_at on; NULL when there are none
    size_t kept_at, kept_n, kept_cap;
    size_t input_max;

    int fd;           // ours to close; watch.fd is -1 when it has left the loop
    int error;        // errno of what broke it
    bool blocked;     // the socket took less than was offered: EPOLLOUT sends on
    bool paused;      // no on_input
    bool giving;      // on_input is running
    bool fin;         // the peer's FIN is known; on_fin was called
    bool eof;         // read returned 0
    bool eof_told;    // on_eof was called
    bool shut;        // no more writes; FIN when the queue is empty
    bool fin_sent;    // that has happened
    bool broken;      // no more input and output; on_broken is deferred, or
    bool broken_told; // was called
    bool closed;      // to be freed by settle
};
_Static_assert(sizeof(struct stream) <= 192, "idle connections are many");

// Nothing of it can be written any more.
static bool write_ended(const struct stream *s)
{
    return s->closed || s->broken || s->shut;
}

static void fail(struct stream *s, int error)
{
    if (s->broken || s->closed)
        return;
    s->broken = true;
    s->error = error;
    loop_del(s->pool->loop, &s->watch);
    loop_defer(s->pool->loop, &s->deferred);
}

// Brings what the loop watches for in line with the state.
static void ask(struct stream *s)
{
    if (s->watch.fd < 0)
        return;
    uint32_t in = s->fin ? 0 : EPOLLRDHUP;
    if (!s->eof && s->kept_n < s->input_max)
        in = EPOLLIN | EPOLLRDHUP;
    uint32_t out = s->blocked ? EPOLLOUT : 0;
    int rc = loop_mod(s->pool->loop, &s->watch, in | out);
    if (rc < 0)
        fail(s, -rc);
}

// The out-queue

static struct piece *block_get(struct stream_pool *pool)
{
    struct piece *piece = pool->spares;
    if (piece) {
        pool->spares = piece->next;
        pool->spare_count--;
    } else {
        struct block *b = malloc(sizeof *b);
        if (!b)
            return NULL;
        piece = &b->piece;
    }
    *piece = (struct piece){.p = ((struct block *)piece)->data, .kind = COPIED};
    return piece;
}

static void block_put(struct stream_pool *pool, struct piece *piece)
{
    if (pool->spare_count >= SPARES_MAX) {
        free(piece);
        return;
    }
    piece->next = pool->spares;
    pool->spares = piece;
    pool->spare_count++;
}

static void append(struct stream *s, struct piece *piece)
{
    piece->next = NULL;
    if (s->tail)
        s->tail->next = piece;
    else
        s->head = piece;
    s->tail = piece;
}

static void drop_head(struct stream *s)
{
    struct piece *piece = s->head;
    s->head = piece->next;
    if (!s->head)
        s->tail = NULL;
    if (piece->release)
        piece->release(piece->arg);
    if (piece->kind == COPIED)
        block_put(s->pool, piece);
    else
        free(piece);
}

// Bytes that still fit behind those of the last piece.
static size_t tail_room(const struct stream *s)
{
    if (!s->tail || s->tail->kind != COPIED)
        return 0;
    const struct block *b = (const struct block *)s->tail;
    return (size_t)(b->data + STREAM_BLOCK - (b->piece.p + b->piece.n));
}

char *stream_room(struct stream *s, size_t n)
{
    assert(n > 0 && n <= STREAM_BLOCK);
    if (write_ended(s))
        return NULL;
    if (tail_room(s) < n) {
        struct piece *piece = block_get(s->pool);
        if (!piece) {
            fail(s, ENOMEM);
            return NULL;
        }
        append(s, piece);
    }
    return s->tail->p + s->tail->n;
}

void stream_wrote(struct stream *s, size_t n)
{
    assert(s->tail && n <= tail_room(s));
    s->tail->n += n;
    s->queued += n;
}

bool stream_write(struct stream *s, struct str bytes)
{
    while (bytes.n) {
        size_t n = tail_room(s);
        if (n == 0)
            n = STREAM_BLOCK;
        if (n > bytes.n)
            n = bytes.n;
        char *room = stream_room(s, n);
        if (!room)
            return false;
        memcpy(room, bytes.p, n);
        stream_wrote(s, n);
        bytes = str_of(bytes.p + n, bytes.n - n);
    }
    return !write_ended(s);
}

// Appends a copy of *like; false, with its release called, when that cannot be.
static bool append_piece(struct stream *s, const struct piece *like)
{
    struct piece *piece = NULL;
    if (!write_ended(s) && like->n) {
        piece = malloc(sizeof *piece);
        if (!piece)
            fail(s, ENOMEM);
    }
    if (!piece) {
        if (like->release)
            like->release(like->arg);
        return !write_ended(s);
    }
    *piece = *like;
    append(s, piece);
    s->queued += piece->n;
    return true;
}

bool stream_write_ref(struct stream *s, struct str bytes, stream_release_fn *release, void *arg)
{
    if (bytes.n <= REF_COPIED) {
        bool ok = stream_write(s, bytes);
        if (release)
            release(arg);
        return ok;
    }
    struct piece piece = {
        .kind = BORROWED, .p = (char *)bytes.p, .n = bytes.n, .release = release, .arg = arg};
    return append_piece(s, &piece);
}

bool stream_write_file(struct stream *s, int fd, off_t off, uint64_t len,
                       stream_release_fn *release, void *arg)
{
    struct piece piece = {
        .kind = FILE_RANGE, .fd = fd, .off = off, .n = len, .release = release, .arg = arg};
    return append_piece(s, &piece);
}

// Sending

// The kernel took n bytes from the front of the queue.
static void took(struct stream *s, uint64_t n)
{
    s->queued -= n;
    s->sent += n;
    while (n) {
        struct piece *piece = s->head;
        uint64_t part = n < piece->n ? n : piece->n;
        piece->n -= part;
        n -= part;
        if (piece->kind == FILE_RANGE)
            piece->off += (off_t)part;
        else
            piece->p += part;
        if (piece->n == 0)
            drop_head(s);
    }
}

// What a send or sendfile of asked bytes said. A short count means a full socket: asking it again
// would only make it say so.
static void sent_or_not(struct stream *s, ssize_t rc, uint64_t asked)
{
    if (rc >= 0) {
        s->blocked = (uint64_t)rc < asked;
        took(s, (uint64_t)rc);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->blocked = true;
    } else if (errno != EINTR) {
        fail(s, errno);
    }
}

// The memory pieces at the front, in one call.
static void send_memory(struct stream *s)
{
    struct iovec iov[GATHER_MAX];
    size_t count = 0, total = 0;
    const struct piece *piece = s->head;
    for (; piece && piece->kind != FILE_RANGE && count < GATHER_MAX; piece = piece->next) {
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
    struct piece *piece = s->head;
    uint64_t n = piece->n < *share ? piece->n : *share;
    if (n == 0) { // the next turn goes on
        s->blocked = true;
        return;
    }
    off_t off = piece->off;
    ssize_t rc = sendfile(s->fd, piece->fd, &off, n);
    if (rc == 0) {
        fail(s, EIO);
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
    while (s->head && !s->blocked && !s->broken) {
        if (s->head->n == 0)
            drop_head(s); // room that nothing was written to
        else if (s->head->kind == FILE_RANGE)
            send_file(s, &share);
        else
            send_memory(s);
    }
    if (s->shut && !s->fin_sent && !s->head && !s->broken) {
        shutdown(s->fd, SHUT_WR); // an error here means a reset, which the loop will tell
        s->fin_sent = true;
    }
}

void stream_flush(struct stream *s)
{
    // While blocked the loop sends; sending here could empty the queue without the on_drain that is
    // waited for.
    if (s->closed || s->broken || s->blocked || s->watch.fd < 0)
        return;
    send_queue(s);
    if (s->blocked)
        ask(s);
}

static void on_writable(struct stream *s)
{
    uint64_t before = s->queued;
    s->blocked = false;
    send_queue(s);
    if (s->broken)
        return;
    if (s->queued == 0 || (before >= STREAM_LOW && s->queued < STREAM_LOW))
        s->events->on_drain(s->owner);
}

// Input

static void forget_kept(struct stream *s)
{
    free(s->kept);
    s->kept = NULL;
    s->kept_at = s->kept_n = s->kept_cap = 0;
}

// Makes the free room behind the kept bytes one piece of at least n bytes. kept_n + n is at most
// input_max.
static bool kept_room(struct stream *s, size_t n)
{
    if (n <= s->kept_cap - s->kept_at - s->kept_n)
        return true;
    if (s->kept_at) {
        memmove(s->kept, s->kept + s->kept_at, s->kept_n);
        s->kept_at = 0;
    }
    if (n <= s->kept_cap - s->kept_n)
        return true;
    size_t cap = s->kept_cap < s->input_max / 2 ? s->kept_cap * 2 : s->input_max;
    if (cap < s->kept_n + n)
        cap = s->kept_n + n;
    char *p = realloc(s->kept, cap);
    if (!p)
        return false;
    s->kept = p;
    s->kept_cap = cap;
    return true;
}

static void keep(struct stream *s, struct str bytes)
{
    if (bytes.n == 0)
        return;
    if (!kept_room(s, bytes.n)) {
        fail(s, ENOMEM);
        return;
    }
    memcpy(s->kept + s->kept_at + s->kept_n, bytes.p, bytes.n);
    s->kept_n += bytes.n;
}

// Shows the owner what there is; returns how many bytes it took.
static size_t give(struct stream *s, struct str in)
{
    if (s->paused || s->closed || s->broken)
        return 0;
    s->giving = true;
    size_t taken = s->events->on_input(s->owner, in);
    s->giving = false;
    if (s->closed)
        return 0;
    assert(taken <= in.n);
    return taken;
}

static void give_kept(struct stream *s)
{
    size_t taken = give(s, str_of(s->kept + s->kept_at, s->kept_n));
    s->kept_at += taken;
    s->kept_n -= taken;
    if (s->kept_n == 0)
        forget_kept(s);
}

static void tell_fin(struct stream *s)
{
    if (s->fin || s->closed || s->broken)
        return;
    s->fin = true;
    s->events->on_fin(s->owner);
}

static void tell_eof(struct stream *s)
{
    bool all_given = !s->paused || s->kept_n == 0;
    if (!s->eof || s->eof_told || !all_given || s->closed || s->broken)
        return;
    s->eof_told = true;
    s->events->on_eof(s->owner);
}

// Nothing is kept: the common case. What the owner takes at once is never copied.
static ssize_t read_fresh(struct stream *s)
{
    char *in = s->pool->in;
    size_t most = s->input_max < STREAM_READ ? s->input_max : STREAM_READ;
    ssize_t n = recv(s->fd, in, most, 0);
    if (n <= 0)
        return n;
    s->received += (size_t)n;
    size_t taken = give(s, str_of(in, (size_t)n));
    if (!s->closed && !s->broken)
        keep(s, str_of(in + taken, (size_t)n - taken));
    return n;
}

// Reads behind the kept bytes: into the room that is there already, then into the shared buffer.
static ssize_t read_more(struct stream *s)
{
    size_t end = s->kept_at + s->kept_n;
    size_t most = s->input_max - s->kept_n;
    if (most > STREAM_READ)
        most = STREAM_READ;
    size_t room = s->kept_cap - end < most ? s->kept_cap - end : most;
    struct iovec iov[] = {{s->kept + end, room}, {s->pool->in, most - room}};
    ssize_t n = readv(s->fd, iov, 2);
    if (n <= 0)
        return n;
    s->received += (size_t)n;
    size_t behind = (size_t)n < room ? (size_t)n : room;
    s->kept_n += behind;
    keep(s, str_of(s->pool->in, (size_t)n - behind));
    give_kept(s);
    return n;
}

static void on_readable(struct stream *s)
{
    ssize_t n = s->kept_n ? read_more(s) : read_fresh(s);
    if (n == 0) {
        tell_fin(s);
        s->eof = true;
        tell_eof(s);
    } else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        fail(s, errno);
    }
}

// EPOLLERR or EPOLLHUP, and no input to be read.
static void on_hangup(struct stream *s)
{
    if (s->eof && s->fin_sent) { // both sides have said all they had to say
        loop_del(s->pool->loop, &s->watch);
        return;
    }
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    fail(s, error ? error : EPIPE);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct stream *s = (struct stream *)((char *)w - offsetof(struct stream, watch));
    if (events & EPOLLOUT)
        on_writable(s);
    bool live = !s->closed && !s->broken;
    if (live && (events & EPOLLIN))
        on_readable(s);
    else if (live && (events & (EPOLLERR | EPOLLHUP)))
        on_hangup(s);
    if (events & EPOLLRDHUP)
        tell_fin(s); // after what was read: the owner knows by then what the peer said last
    ask(s);
}

// The life of a stream

struct stream_pool *stream_pool_new(struct loop *l)
{
    struct stream_pool *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    p->loop = l;
    p->spares = NULL;
    p->spare_count = 0;
    p->streams = 0;
    signal(SIGPIPE, SIG_IGN);
    return p;
}

void stream_pool_free(struct stream_pool *p)
{
    if (!p)
        return;
    assert(p->streams == 0);
    while (p->spares) {
        struct piece *piece = p->spares;
        p->spares = piece->next;
        free(piece);
    }
    free(p);
}

static void destroy(struct stream *s)
{
    s->pool->streams--;
    s->events->on_closed(s->owner);
    forget_kept(s);
    free(s);
}

// What was put off to the end of the turn.
static void settle(struct deferred *d)
{
    struct stream *s = (struct stream *)((char *)d - offsetof(struct stream, deferred));
    if (s->closed) {
        destroy(s);
        return;
    }
    if (s->broken) {
        if (!s->broken_told) {
            s->broken_told = true;
            s->events->on_broken(s->owner, s->error);
        }
        return;
    }
    if (s->kept_n)
        give_kept(s);
    tell_eof(s);
    ask(s);
}

struct stream *stream_new(struct stream_pool *p, int fd, size_t input_max,
                          const struct stream_events *events, void *owner)
{
    assert(input_max > 0);
    struct stream *s = calloc(1, sizeof *s);
    if (s && loop_add(p->loop, &s->watch, fd, EPOLLIN | EPOLLRDHUP, on_ready) == 0) {
        loop_be_fair(&s->watch);
        s->fd = fd;
        s->deferred.fn = settle;
        s->pool = p;
        s->events = events;
        s->owner = owner;
        s->input_max = input_max;
        p->streams++;
        return s;
    }
    free(s);
    close(fd);
    return NULL;
}

uint64_t stream_queued(const struct stream *s)
{
    return s->queued;
}

uint64_t stream_sent(const struct stream *s)
{
    return s->sent;
}

struct str stream_waiting(const struct stream *s)
{
    return str_of(s->kept + s->kept_at, s->kept_n);
}

uint64_t stream_received(const struct stream *s)
{
    return s->received;
}

void stream_pause(struct stream *s)
{
    s->paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->paused || s->closed)
        return;
    s->paused = false;
    if (s->kept_n || s->giving || (s->eof && !s->eof_told))
        loop_defer(s->pool->loop, &s->deferred);
}

void stream_shutdown(struct stream *s)
{
    if (write_ended(s))
        return;
    s->shut = true;
    stream_flush(s);
}

bool stream_eof(const struct stream *s)
{
    return s->eof_told;
}

void stream_close(struct stream *s)
{
    if (s->closed)
        return;
    s->closed = true;
    loop_del(s->pool->loop, &s->watch);
    close(s->fd);
    while (s->head)
        drop_head(s);
    s->queued = 0;
    loop_defer(s->pool->loop, &s->deferred);
}

void stream_reset(struct stream *s)
{
    struct linger at_once = {.l_onoff = 1};
    if (!s->closed) // an error leaves an ordinary end, which is all there is elsewhere
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    stream_close(s);
}

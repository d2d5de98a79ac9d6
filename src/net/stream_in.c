// What comes in on a stream: reading, and what the owner is told of it.
//
// Input that the owner left lies in `kept`; what it has not been shown at all (read while paused)
// lies there too. With kept bytes, a read fills the spare room behind them first and then the
// shared buffer, so that a slow sender never makes us set aside more than about twice what it sent.
#include "net/stream_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct str stream_waiting(const struct stream *s)
{
    return str_of(s->kept.bytes + s->kept.at, s->kept.n);
}

bool stream_has_input(const struct stream *s)
{
    int unread = 0;
    return s->kept.n > 0 || (stream_lives(s) && ioctl(s->fd, FIONREAD, &unread) == 0 && unread > 0);
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
    if (s->kept.n || s->giving || (s->eof && !s->eof_told))
        loop_defer(s->pool->loop, &s->deferred);
}

// --- kept bytes ---

void stream_in_free(struct stream *s)
{
    free(s->kept.bytes);
    s->kept = (struct stream_kept){NULL, 0, 0, 0};
}

// Makes the free room behind the kept bytes one piece of at least n bytes. Kept bytes and n are
// input_max at most.
static bool kept_room(struct stream *s, size_t n)
{
    struct stream_kept *k = &s->kept;
    if (n <= k->cap - k->at - k->n)
        return true;
    if (k->at) {
        memmove(k->bytes, k->bytes + k->at, k->n);
        k->at = 0;
    }
    if (n <= k->cap - k->n)
        return true;
    size_t cap = k->cap < s->input_max / 2 ? k->cap * 2 : s->input_max;
    if (cap < k->n + n)
        cap = k->n + n;
    char *p = realloc(k->bytes, cap);
    if (!p)
        return false;
    k->bytes = p;
    k->cap = cap;
    return true;
}

static void keep(struct stream *s, struct str bytes)
{
    if (bytes.n == 0)
        return;
    if (!kept_room(s, bytes.n)) {
        stream_fail(s, ENOMEM);
        return;
    }
    memcpy(s->kept.bytes + s->kept.at + s->kept.n, bytes.p, bytes.n);
    s->kept.n += bytes.n;
}

// --- what the owner is told ---

// Shows the owner what there is; returns how many bytes it took.
static size_t give(struct stream *s, struct str in)
{
    if (s->paused || !stream_lives(s))
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
    size_t taken = give(s, stream_waiting(s));
    s->kept.at += taken;
    s->kept.n -= taken;
    if (s->kept.n == 0)
        stream_in_free(s);
}

void stream_in_fin(struct stream *s)
{
    if (s->fin || !stream_lives(s))
        return;
    s->fin = true;
    s->events->on_fin(s->owner);
}

static void tell_eof(struct stream *s)
{
    bool all_given = !s->paused || s->kept.n == 0;
    if (!s->eof || s->eof_told || !all_given || !stream_lives(s))
        return;
    s->eof_told = true;
    s->events->on_eof(s->owner);
}

void stream_in_again(struct stream *s)
{
    if (s->kept.n)
        give_kept(s);
    tell_eof(s);
}

// --- reading ---

// Nothing is kept: the common case. What the owner takes at once is never copied.
static ssize_t read_fresh(struct stream *s)
{
    char *in = s->pool->in;
    size_t most = s->input_max < STREAM_READ ? s->input_max : STREAM_READ;
    ssize_t n = recv(s->fd, in, most, 0);
    if (n <= 0)
        return n;
    size_t taken = give(s, str_of(in, (size_t)n));
    if (stream_lives(s))
        keep(s, str_of(in + taken, (size_t)n - taken));
    return n;
}

// Reads behind the kept bytes: into the room that is there already, then into the shared buffer.
static ssize_t read_more(struct stream *s)
{
    struct stream_kept *k = &s->kept;
    size_t end = k->at + k->n;
    size_t most = s->input_max - k->n;
    if (most > STREAM_READ)
        most = STREAM_READ;
    size_t room = k->cap - end < most ? k->cap - end : most;
    struct iovec iov[] = {{k->bytes + end, room}, {s->pool->in, most - room}};
    ssize_t n = readv(s->fd, iov, 2);
    if (n <= 0)
        return n;
    size_t behind = (size_t)n < room ? (size_t)n : room;
    k->n += behind;
    keep(s, str_of(s->pool->in, (size_t)n - behind));
    give_kept(s);
    return n;
}

void stream_in_ready(struct stream *s)
{
    ssize_t n = s->kept.n ? read_more(s) : read_fresh(s);
    if (n == 0) {
        stream_in_fin(s);
        s->eof = true;
        tell_eof(s);
    } else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        stream_fail(s, errno);
    }
}

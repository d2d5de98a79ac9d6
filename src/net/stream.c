// The life of a stream: see the headers.
#include "net/stream_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

// --- the pool ---

struct stream_pool *stream_pool_new(struct loop *l)
{
    struct stream_pool *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    p->loop = l;
    p->blocks = (struct stream_blocks){NULL, 0};
    p->streams = 0;
    return p;
}

void stream_pool_free(struct stream_pool *p)
{
    if (!p)
        return;
    assert(p->streams == 0);
    stream_blocks_free(&p->blocks);
    free(p);
}

// --- what the loop says ---

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
    stream_fail(s, error ? error : EPIPE);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct stream *s = (struct stream *)((char *)w - offsetof(struct stream, watch));
    if (events & EPOLLOUT)
        stream_out_ready(s);
    bool lives = stream_lives(s);
    if (lives && (events & EPOLLIN))
        stream_in_ready(s);
    else if (lives && (events & (EPOLLERR | EPOLLHUP)))
        on_hangup(s);
    if (events & EPOLLRDHUP)
        stream_in_fin(s); // after what was read: the owner knows by then what the peer said last
    stream_ask(s);
}

static void destroy(struct stream *s)
{
    s->pool->streams--;
    s->events->on_closed(s->owner);
    stream_in_free(s);
    free(s);
}

static void tell_broken(struct stream *s)
{
    if (s->broken_told)
        return;
    s->broken_told = true;
    s->events->on_broken(s->owner, s->error);
}

// What was put off to the end of the turn.
static void on_turn_end(struct deferred *d)
{
    struct stream *s = (struct stream *)((char *)d - offsetof(struct stream, deferred));
    if (s->closed) {
        destroy(s);
    } else if (s->broken) {
        tell_broken(s);
    } else {
        stream_in_again(s);
        stream_ask(s);
    }
}

// --- birth and closing ---

struct stream *stream_new(struct stream_pool *p, int fd, size_t input_max,
                          const struct stream_events *events, void *owner)
{
    assert(input_max > 0);
    struct stream *s = calloc(1, sizeof *s);
    if (s && loop_add(p->loop, &s->watch, fd, EPOLLIN | EPOLLRDHUP, on_ready) == 0) {
        loop_be_fair(&s->watch);
        s->fd = fd;
        s->deferred.fn = on_turn_end;
        s->pool = p;
        s->events = events;
        s->owner = owner;
        s->out.blocks = &p->blocks;
        s->input_max = input_max;
        p->streams++;
        return s;
    }
    free(s);
    close(fd);
    return NULL;
}

void stream_close(struct stream *s)
{
    if (s->closed)
        return;
    s->closed = true;
    loop_del(s->pool->loop, &s->watch);
    close(s->fd);
    stream_queue_clear(&s->out);
    loop_defer(s->pool->loop, &s->deferred);
}

void stream_reset(struct stream *s)
{
    struct linger at_once = {.l_onoff = 1};
    if (!s->closed) // an error leaves an ordinary end, which is all there is elsewhere
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    stream_close(s);
}

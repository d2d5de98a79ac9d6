// What a stream asks of its loop.
//
// Interest follows from state, in one place (stream_ask): EPOLLIN while more input may be kept,
// EPOLLOUT while `blocked`, EPOLLRDHUP until the end of input is known: it tells of a FIN behind
// bytes that nobody reads. In the steady state of small exchanges none changes, and an exchange is
// one recv and one send. Where EPOLLIN stays on, so does EPOLLRDHUP: both go with one call, once 0
// was read. A socket whose both directions are done, or that is broken, leaves the loop, since
// EPOLLHUP and EPOLLERR cannot be switched off.
#include "net/stream_inside.h"

#include <sys/epoll.h>

void stream_fail(struct stream *s, int error)
{
    if (!stream_lives(s))
        return;
    s->broken = true;
    s->error = error;
    loop_del(s->pool->loop, &s->watch);
    loop_defer(s->pool->loop, &s->deferred);
}

void stream_ask(struct stream *s)
{
    if (s->watch.fd < 0)
        return;
    uint32_t in = s->fin ? 0 : EPOLLRDHUP;
    if (!s->eof && s->kept.n < s->input_max)
        in = EPOLLIN | EPOLLRDHUP;
    uint32_t out = s->blocked ? EPOLLOUT : 0;
    int rc = loop_mod(s->pool->loop, &s->watch, in | out);
    if (rc < 0)
        stream_fail(s, -rc);
}

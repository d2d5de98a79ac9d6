// Pumping: the body of an answer, pulled from its source into the queue of its stream, as far as
// queue, source and time allow.
//
// What a pull costs has little to do with the bytes it gives: a gibibyte of zeros that is coded
// while it is sent keeps a processor busy for seconds before it has filled a queue. So what is
// divided is time. An answer pumps until its share is used up; then its connection goes to the end
// of a list, env->pumps, that is worked off from the front at the end of each turn, until all of
// them together have used up the turn. While somebody is in the list, who comes newly goes behind.
// Requests beside them wait for one turn and one pull, however many such answers there are, and
// each of those gets as much as the others.
#include "http/h1_conn.h"

#include "http/trailers.h"

#include <stdio.h>
#include <time.h>

enum {
    PUMP_SHARE_US = 1000, // what one answer gets before it is another's turn
    PUMP_TURN_US = 4000,  // what all get in a turn of the loop
    PUMP_ROUNDS = 16,     // queues full that one answer sends in a turn to a client that takes them
};

// --- what goes out ---

static bool write_chunk(struct h1_exchange *x, struct str bytes)
{
    struct stream *s = x->conn->stream;
    x->body_sent += bytes.n;
    if (!x->chunked_answer)
        return stream_write(s, bytes);
    char size[20];
    int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
    return stream_write(s, str_of(size, (size_t)n)) && stream_write(s, bytes) &&
           stream_write(s, STR("\r\n"));
}

// The last chunk, and behind it the trailers of a client that asked for them (RFC 9112 §7.1).
static bool write_last_chunk(struct h1_exchange *x)
{
    struct stream *s = x->conn->stream;
    const struct body_source_ops *ops = x->source->ops;
    const struct fields *trailers = ops->trailers ? ops->trailers(x->source) : NULL;
    if (!trailers || !trailers_wanted(&x->pub.request))
        return stream_write(s, STR("0\r\n\r\n"));
    return stream_write(s, STR("0\r\n")) && stream_write(s, buf_str(&trailers->lines)) &&
           stream_write(s, STR("\r\n"));
}

static enum h1_pump source_ended(struct h1_exchange *x, enum h1_pump how)
{
    if (how == PUMP_DONE && x->source_left > 0)
        how = PUMP_FAILED; // shorter than the Content-Length that was sent
    if (how == PUMP_DONE && x->chunked_answer && !write_last_chunk(x))
        how = PUMP_FAILED;
    x->source->ops->close(x->source);
    x->source = NULL;
    return how;
}

// One pull. PUMP_BLOCKED: the next may follow.
static enum h1_pump pull_once(struct h1_exchange *x)
{
    struct str bytes;
    switch (x->source->ops->pull(x->source, &bytes)) {
    case BODY_SOME:
        if (x->source_left >= 0 && (uint64_t)x->source_left < bytes.n)
            return source_ended(x, PUMP_FAILED); // longer than the Content-Length
        if (x->source_left >= 0)
            x->source_left -= (int64_t)bytes.n;
        if (bytes.n && !write_chunk(x, bytes)) // an empty chunk would end the body
            return source_ended(x, PUMP_FAILED);
        return PUMP_BLOCKED;
    case BODY_LATER:
        return PUMP_WAITING;
    case BODY_END:
        return source_ended(x, PUMP_DONE);
    case BODY_FAILED:
        break;
    }
    return source_ended(x, PUMP_FAILED);
}

// --- whose turn it is ---

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool turn_is_used_up(struct h1_env *env)
{
    struct h1_pumps *p = &env->pumps;
    if (p->turn != loop_turns(env->loop)) {
        p->turn = loop_turns(env->loop);
        p->spent = 0;
    }
    return p->spent >= PUMP_TURN_US;
}

static struct h1_conn *take_first(struct h1_pumps *p)
{
    struct h1_conn *c = p->first;
    p->first = c->pump_next;
    if (!p->first)
        p->last = NULL;
    c->pump_paused = false;
    return c;
}

static void go_on(struct deferred *d)
{
    struct h1_env *env = (struct h1_env *)((char *)d - offsetof(struct h1_env, pumps.go_on));
    struct h1_pumps *p = &env->pumps;
    while (p->first && !turn_is_used_up(env)) {
        p->current = take_first(p);
        p->current->later.fn(&p->current->later);
    }
    p->current = NULL;
    if (p->first)
        loop_defer(env->loop, &p->go_on);
    else
        loop_undefer(env->loop, &p->go_on); // those that paused again have ended since
}

static enum h1_pump wait_turn(struct h1_conn *c)
{
    struct h1_pumps *p = &c->env->pumps;
    if (!c->pump_paused) {
        c->pump_paused = true;
        c->pump_next = NULL;
        if (p->last)
            p->last->pump_next = c;
        else
            p->first = c;
        p->last = c;
        p->go_on.fn = go_on;
        loop_defer(c->env->loop, &p->go_on);
    }
    return PUMP_PAUSED;
}

void h1_pump_forget(struct h1_conn *c)
{
    struct h1_pumps *p = &c->env->pumps;
    if (!c->pump_paused)
        return;
    struct h1_conn *before = NULL;
    for (struct h1_conn *at = p->first; at != c; at = at->pump_next)
        before = at;
    if (before)
        before->pump_next = c->pump_next;
    else
        p->first = c->pump_next;
    if (p->last == c)
        p->last = before;
    c->pump_paused = false;
    if (!p->first)
        loop_undefer(c->env->loop, &p->go_on);
}

// --- pumping ---

// Whether the queue has room, after sending where that makes some.
static bool has_room(struct stream *s, unsigned *rounds)
{
    if (stream_queued(s) < STREAM_LOW)
        return true;
    if ((*rounds)++ == PUMP_ROUNDS)
        return false;
    stream_flush(s);
    return stream_queued(s) < STREAM_LOW;
}

enum h1_pump h1_pump(struct h1_exchange *x)
{
    struct h1_conn *c = x->conn;
    struct h1_pumps *pumps = &c->env->pumps;
    if (!x->source)
        return PUMP_DONE;
    if (turn_is_used_up(c->env) || (pumps->first && pumps->current != c))
        return wait_turn(c);
    uint64_t began = clock_us(), last = began;
    enum h1_pump p = PUMP_BLOCKED;
    for (unsigned rounds = 0; has_room(c->stream, &rounds);) {
        p = pull_once(x);
        if (p != PUMP_BLOCKED)
            break;
        uint64_t now = clock_us();
        pumps->spent += now - last;
        last = now;
        if (now - began >= PUMP_SHARE_US || pumps->spent >= PUMP_TURN_US)
            return wait_turn(c);
    }
    return p;
}

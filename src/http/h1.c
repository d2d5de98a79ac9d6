// What drives an HTTP/1 connection: bytes in, exchanges out, in order, one at a time.
//
// The drawing of its states is in h1_conn.h. Input runs through the step of the current state until
// a step takes nothing; everything that was answered on the way is flushed once, at the end.
// Answers that come later, from the loop, advance the connection by a deferred call, so that no
// handler is ever called from inside its own exchange_respond.
#include "http/h1.h"

#include "http/h1_body.h"
#include "http/h1_delivery.h"
#include "http/h1_head.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

// --- input ---

// Sends what is queued. A source that was blocked by the queue goes on in the next turn when this
// made room, since the stream tells of that only when it comes later.
static void flush(struct h1_conn *c)
{
    stream_flush(c->stream);
    if (c->state == CONN_ANSWER && c->blocked && stream_queued(c->stream) < STREAM_LOW)
        loop_defer(c->env->loop, &c->later);
}

typedef size_t step_fn(struct h1_conn *c, struct str in);
static step_fn *const steps[CONN_STATES] = {
    [CONN_IDLE] = h1_step_head,       [CONN_HEAD] = h1_step_head,     [CONN_BODY] = h1_step_body,
    [CONN_DISCARD] = h1_step_discard, [CONN_LINGER] = h1_step_linger,
};

// Whether the queue is so long that no further request should be begun.
static bool clogged(struct h1_conn *c)
{
    if (c->state != CONN_IDLE || stream_queued(c->stream) < STREAM_LOW)
        return false;
    stream_flush(c->stream);
    return stream_queued(c->stream) >= STREAM_LOW;
}

// Step after step, until one takes nothing. Returns how many bytes they took.
static size_t take_steps(struct h1_conn *c, struct str in)
{
    size_t used = 0;
    c->stepping = true;
    for (;;) {
        step_fn *step = steps[c->state];
        enum conn_state before = c->state;
        if (!step || used == in.n || clogged(c))
            break;
        size_t n = step(c, str_of(in.p + used, in.n - used));
        used += n;
        if (c->state == CONN_HANDLE)
            h1_deliver(c);
        if (c->state == CONN_CLOSED || (n == 0 && c->state == before))
            break;
    }
    c->stepping = false;
    return used;
}

static size_t on_input(void *owner, struct str in)
{
    struct h1_conn *c = owner;
    size_t used = take_steps(c, in);
    if (c->state == CONN_CLOSED)
        return used;
    flush(c);
    // The others count from when they were entered. An answer's depends on what the flush left.
    if (c->state == CONN_IDLE || c->state == CONN_BODY || c->state == CONN_ANSWER)
        h1_arm(c);
    if (!steps[c->state] || clogged(c))
        stream_pause(c->stream); // settle resumes it
    return used;
}

// --- everything else ---

// After something happened outside of input: flush, and let input go on if the state wants some.
static void settle(struct h1_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    flush(c);
    bool idle = c->state == CONN_IDLE, over = idle || c->state == CONN_LINGER;
    if (((over && c->eof) || (idle && h1_leaves(c))) && stream_queued(c->stream) == 0) {
        h1_close(c);
        return;
    }
    if (h1_sends(c))
        h1_arm(c);
    if (c->state != CONN_CLOSED && steps[c->state] && !clogged(c))
        stream_resume(c->stream);
}

static void move_on(struct h1_conn *c)
{
    h1_deliver(c);
    settle(c);
}

static void end_body(struct h1_conn *c, unsigned status, const char *why)
{
    h1_body_ended(c, status, why);
    move_on(c);
}

// The client said its last byte, or all was read before the handler asked.
static void body_over(struct h1_conn *c)
{
    bool whole = c->x->body_done;
    end_body(c, whole ? 0 : 400, whole ? NULL : "the client stopped within the body");
}

static void on_later(struct deferred *d)
{
    struct h1_conn *c = (struct h1_conn *)((char *)d - offsetof(struct h1_conn, later));
    if (c->state == CONN_BODY && (c->eof || c->x->body_done)) {
        body_over(c);
        return;
    }
    move_on(c);
}

static void on_drain(void *owner)
{
    move_on(owner);
}

// It may have shut its writing side only, and gets an answer that is soon.
static void on_fin(void *owner)
{
    struct h1_conn *c = owner;
    c->fin = true;
    if (c->state == CONN_HANDLE)
        h1_arm_for_handler(c);
}

static void on_eof(void *owner)
{
    struct h1_conn *c = owner;
    c->eof = true;
    switch ((enum conn_state)c->state) {
    case CONN_BODY:
        body_over(c);
        break;
    case CONN_IDLE:
    case CONN_LINGER:
        if (stream_queued(c->stream) > 0)
            break; // what was answered still goes out
        h1_close(c);
        break;
    case CONN_HEAD: // answers to earlier requests may be on their way
        h1_linger(c);
        break;
    case CONN_DISCARD:
        h1_stop_discarding(c);
        break;
    default:
        break;
    }
}

static void on_broken(void *owner, int error)
{
    struct h1_conn *c = owner;
    (void)error;
    c->left = true;
    h1_close(c);
}

static void on_timer(struct timeout *t)
{
    struct h1_conn *c = (struct h1_conn *)((char *)t - offsetof(struct h1_conn, timer));
    if (h1_sent_since(c))
        return;
    switch ((enum conn_state)c->state) {
    case CONN_HEAD:
        h1_refuse(c, false, 408, "the head did not come in time (timeouts.header)",
                  stream_waiting(c->stream));
        break;
    case CONN_BODY:
        end_body(c, 408, "the body stopped coming (timeouts.body)");
        break;
    case CONN_DISCARD:
        h1_stop_discarding(c);
        break;
    default:
        c->left = c->state == CONN_HANDLE; // it was waited for after its FIN, and no answer came
        h1_close(c);
    }
}

// --- open and closed ---

static void on_closed(void *owner)
{
    struct h1_conn *c = owner;
    struct h1_env *env = c->env;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        env->connections = c->next;
    env->connection_count--;
    free(c->partial);
    env->closed(env, c);
    free(c);
}

static const struct stream_events stream_tells = {
    .on_input = on_input,
    .on_fin = on_fin,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_broken = on_broken,
    .on_closed = on_closed,
};

bool h1_open(struct h1_env *env, int fd, const struct addr *peer, unsigned slot)
{
    struct h1_conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return false;
    }
    c->env = env;
    c->peer = *peer;
    c->slot = slot;
    timeout_init(&c->timer, on_timer);
    c->later.fn = on_later;
    size_t input_max = (size_t)env->options->head.head_bytes + H1_LEAD_MAX + 1;
    c->stream = stream_new(env->streams, fd, input_max, &stream_tells, c);
    if (!c->stream) {
        free(c);
        return false;
    }
    c->next = env->connections;
    if (c->next)
        c->next->prev = c;
    env->connections = c;
    env->connection_count++;
    h1_arm(c);
    return true;
}

void h1_drain(struct h1_conn *c)
{
    if (c->state == CONN_IDLE && h1_leaves(c) && stream_queued(c->stream) == 0)
        h1_close(c);
}

// The state of a connection, its deadline and its end: see the header.
#include "http/h1_conn.h"

enum {
    // A client that shut its writing side may still be reading, or be gone: nobody can tell. An
    // answer that begins within this time is sent, later ones have nobody to go to.
    HALF_CLOSED_MS = 1000,
};

const unsigned char h1_followers[CONN_STATES] = {
    [CONN_IDLE] = 1 << CONN_HEAD | 1 << CONN_HANDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_HEAD] = 1 << CONN_HANDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_HANDLE] = 1 << CONN_BODY | 1 << CONN_ANSWER | 1 << CONN_CLOSED,
    [CONN_BODY] = 1 << CONN_HANDLE | 1 << CONN_CLOSED,
    [CONN_ANSWER] = 1 << CONN_IDLE | 1 << CONN_DISCARD | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_DISCARD] = 1 << CONN_IDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_LINGER] = 1 << CONN_CLOSED,
};

// --- the deadline ---

static void arm(struct h1_conn *c, uint32_t ms)
{
    if (!timeout_set(c->env->loop, &c->timer, ms))
        h1_close(c); // without a deadline a connection could stay for ever
}

static uint32_t idle_ms(const struct h1_conn *c)
{
    const struct server_options *o = c->env->options;
    uint32_t ms = c->served ? o->idle_ms : o->header_ms, patience = c->env->patience_ms;
    return patience && patience < ms ? patience : ms;
}

void h1_arm(struct h1_conn *c)
{
    const struct server_options *o = c->env->options;
    if (h1_sends(c) && stream_queued(c->stream) > 0) { // it is for progress, measured against this
        c->timer_sent = stream_sent(c->stream);
        arm(c, o->send_ms);
        return;
    }
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        arm(c, idle_ms(c));
        break;
    case CONN_HEAD:
        arm(c, o->header_ms);
        break;
    case CONN_BODY:
    case CONN_DISCARD:
        arm(c, o->body_ms);
        break;
    case CONN_LINGER:
        arm(c, o->linger_ms);
        break;
    default:
        timeout_clear(&c->timer);
    }
}

bool h1_sent_since(struct h1_conn *c)
{
    bool queued = h1_sends(c) && stream_queued(c->stream) > 0;
    if (!queued || stream_sent(c->stream) == c->timer_sent)
        return false;
    h1_arm(c);
    return true;
}

// Whether the handler is in the middle of a body whose rest may wait in the buffers: it learns from
// that what became of the client.
static bool within_body(const struct h1_exchange *x)
{
    return x->reading && !x->body_done;
}

// Where there is no memory for the short timer, the handler's own deadline (timeouts.handler) is
// all that ends it.
void h1_arm_for_handler(struct h1_conn *c)
{
    timeout_clear(&c->timer);
    if (c->fin && !within_body(c->x))
        timeout_set(c->env->loop, &c->timer, HALF_CLOSED_MS);
}

// --- the end ---

void h1_close(struct h1_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    // A body that ends with the connection, and has not ended: the client must see the difference.
    bool cut = c->state == CONN_ANSWER && c->x->source_left < 0 && !c->x->chunked_answer;
    h1_set_state(c, CONN_CLOSED);
    timeout_remove(c->env->loop, &c->timer);
    loop_undefer(c->env->loop, &c->later);
    h1_pump_forget(c);
    if (c->x)
        h1_end_exchange(c, false);
    if (cut)
        stream_reset(c->stream);
    else
        stream_close(c->stream);
}

void exchange_abort(struct exchange *x)
{
    h1_close(((struct h1_exchange *)x)->conn);
}

void h1_linger(struct h1_conn *c)
{
    h1_set_state(c, CONN_LINGER);
    c->discarded = 0;
    stream_shutdown(c->stream);
    stream_resume(c->stream);
    stream_flush(c->stream);
    if (c->eof && stream_queued(c->stream) == 0)
        h1_close(c);
    else
        h1_arm(c);
}

size_t h1_step_linger(struct h1_conn *c, struct str in)
{
    c->discarded += in.n;
    if (c->discarded > c->env->options->linger_bytes)
        h1_close(c);
    return in.n;
}

// The course of an answer: see the header.
#include "http/h1_delivery.h"

#include "http/h1_answer.h"
#include "http/h1_body.h"

#include <assert.h>

// --- given by the handler ---

void exchange_respond(struct exchange *pub, const struct http_response *r)
{
    struct h1_exchange *x = (struct h1_exchange *)pub;
    struct h1_conn *c = x->conn;
    if (c->state == CONN_BODY) { // the handler no longer waits for it
        h1_set_state(c, CONN_HANDLE);
        x->close = true;
    }
    assert(c->state == CONN_HANDLE && !x->answered);
    x->answered = true;
    pub->status = r->status;
    if (r->close || c->eof || c->env->draining || (!x->body_done && !h1_worth_discarding(x)))
        x->close = true;
    h1_write_answer(x, r);
    if (!c->stepping) // which moves on by itself
        loop_defer(c->env->loop, &c->later);
}

void exchange_ready(struct exchange *pub)
{
    struct h1_conn *c = ((struct h1_exchange *)pub)->conn;
    if (c->state == CONN_CLOSED)
        return;
    loop_defer(c->env->loop, &c->later); // also from within a pull, which is about to say LATER
}

// --- handed over ---

// An answer that began before the end was known has not said that it is the last, and the client
// may send its next request right behind it.
static void be_patient(struct h1_conn *c)
{
    c->patient_until = loop_now(c->env->loop) + c->env->patience_ms;
}

// The answer is handed over whole: what next?
static void answer_done(struct h1_conn *c)
{
    struct h1_exchange *x = c->x;
    be_patient(c);
    bool close = x->close || c->eof || h1_leaves(c);
    if (close || x->body_done) {
        h1_end_exchange(c, true);
        if (close) {
            h1_linger(c);
            return;
        }
        h1_set_state(c, CONN_IDLE);
    } else {
        h1_tell_end(c, true);
        h1_set_state(c, CONN_DISCARD);
        c->discarded = 0;
    }
    if (c->state != CONN_IDLE || !c->stepping)
        h1_arm(c);
}

// The answer under way cannot be completed. What was answered before still goes out, and the part
// of this one, whose end never comes; where the end of the connection is its end, a reset says that
// it is not (RFC 9112 §8).
static void break_off(struct h1_conn *c)
{
    if (!c->x->chunked_answer && c->x->source_left < 0) {
        h1_close(c);
        return;
    }
    h1_end_exchange(c, false);
    h1_linger(c);
}

void h1_deliver(struct h1_conn *c)
{
    if (c->state == CONN_HANDLE && c->x->answered)
        h1_set_state(c, CONN_ANSWER);
    if (c->state != CONN_ANSWER)
        return;
    enum h1_pump p = h1_pump(c->x);
    c->blocked = p == PUMP_BLOCKED;
    if (p == PUMP_DONE) {
        answer_done(c);
    } else if (p == PUMP_FAILED) {
        break_off(c);
    } else {
        h1_arm(c);
    }
}

// An HTTP/1 connection: bytes in, exchanges out, in order, one at a time.
//
// The drawing of its states is in h1_conn.h. Input runs through the step of the current state until
// a step takes nothing; everything that was answered on the way is flushed once, at the end.
// Answers that come later, from the loop, advance the connection by a deferred call, so that no
// handler is ever called from inside its own exchange_respond.
#include "http/access.h"
#include "http/h1_conn.h"

#include "base/log.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    // A client that shut its writing side may still be reading, or be gone: nobody can tell. An answer
    // that begins within this time is sent, later ones have nobody to go to.
    HALF_CLOSED_MS = 1000,
};

static void set_state(struct h1_conn *c, enum conn_state to)
{
    // One row a state: the states that may follow it.
    static const unsigned char next[CONN_STATES] = {
        [CONN_IDLE] = 1 << CONN_HEAD | 1 << CONN_HANDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_HEAD] = 1 << CONN_HANDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_HANDLE] = 1 << CONN_BODY | 1 << CONN_ANSWER | 1 << CONN_CLOSED,
        [CONN_BODY] = 1 << CONN_HANDLE | 1 << CONN_CLOSED,
        [CONN_ANSWER] = 1 << CONN_IDLE | 1 << CONN_DISCARD | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_DISCARD] = 1 << CONN_IDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_LINGER] = 1 << CONN_CLOSED,
    };
    assert(next[c->state] & 1 << to);
    c->state = (unsigned char)to;
}

// --- timers ---

static void arm(struct h1_conn *c, uint32_t ms)
{
    if (!timeout_set(c->env->loop, &c->timer, ms))
        h1_close(c); // without a deadline a connection could stay for ever
}

// Bytes are queued: the deadline is for progress, and c->timer_sent what it is measured against.
static void arm_send(struct h1_conn *c)
{
    c->timer_sent = stream_sent(c->stream);
    arm(c, c->env->options->send_ms);
}

static uint32_t idle_ms(const struct h1_conn *c)
{
    const struct server_options *o = c->env->options;
    uint32_t ms = c->served ? o->idle_ms : o->header_ms, patience = c->env->patience_ms;
    return patience && patience < ms ? patience : ms;
}

// Sets the deadline that the state calls for (the table in h1_conn.h).
static void arm_for_state(struct h1_conn *c)
{
    const struct server_options *o = c->env->options;
    bool queued = stream_queued(c->stream) > 0;
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        if (queued)
            arm_send(c);
        else
            arm(c, idle_ms(c));
        break;
    case CONN_HEAD:
        arm(c, o->header_ms);
        break;
    case CONN_BODY:
    case CONN_DISCARD:
        arm(c, o->body_ms);
        break;
    case CONN_ANSWER:
        if (queued)
            arm_send(c);
        else
            timeout_clear(&c->timer);
        break;
    case CONN_LINGER:
        if (queued)
            arm_send(c);
        else
            arm(c, o->linger_ms);
        break;
    default:
        timeout_clear(&c->timer);
    }
}

// --- closing ---

void h1_close(struct h1_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    // A body that ends with the connection, and has not ended: the client must see the difference.
    bool cut = c->state == CONN_ANSWER && c->x->source_left < 0 && !c->x->chunked_answer;
    set_state(c, CONN_CLOSED);
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

// The last answer is queued: a FIN behind it, and patience with a client that is still sending.
static void linger(struct h1_conn *c)
{
    set_state(c, CONN_LINGER);
    c->discarded = 0;
    stream_shutdown(c->stream);
    stream_resume(c->stream);
    stream_flush(c->stream);
    if (c->eof && stream_queued(c->stream) == 0)
        h1_close(c);
    else
        arm_for_state(c);
}

// Answers without an exchange, and closes: the bytes that came are not a request. head: they were
// at least a HEAD, which gets no body. came: the bytes, for the log.
static void refuse(struct h1_conn *c, bool head, unsigned status, const char *why, struct str came)
{
    char text[ADDR_TEXT_MAX];
    log_write(LOG_INFO, "%u to %s: %s", status, addr_host(&c->peer, text), why);
    h1_write_page(c, status, head);
    access_note_refused(c, came, status);
    linger(c);
}

// --- the body of a request ---

// Whether the handler is in the middle of a body whose rest may wait in the buffers: it learns from
// that what became of the client.
static bool within_body(const struct h1_exchange *x)
{
    return x->reading && !x->body_done;
}

// CONN_HANDLE was entered, or the client's FIN seen in it: the time is the handler's. Where there is
// no memory for the short timer, its own deadline (timeouts.handler) is all that ends it.
static void arm_for_handler(struct h1_conn *c)
{
    timeout_clear(&c->timer);
    if (c->fin && !within_body(c->x))
        timeout_set(c->env->loop, &c->timer, HALF_CLOSED_MS);
}

void h1_body_asked(struct h1_conn *c, bool asked)
{
    set_state(c, asked ? CONN_BODY : CONN_HANDLE);
    if (asked)
        c->x->body_since = loop_now(c->env->loop);
    else
        arm_for_handler(c);
}

static void body_ended(struct h1_conn *c, unsigned status, const char *why)
{
    h1_body_asked(c, false);
    c->env->handler->on_body(c->env->self, &c->x->pub, status, why);
}

static size_t step_body(struct h1_conn *c, struct str in)
{
    struct h1_exchange *x = c->x;
    size_t used;
    struct h1_fault fault = h1_take_body(x, in, &used);
    if (fault.status) {
        x->close = true;
        body_ended(c, fault.status, fault.why);
    } else if (x->body_done && c->state == CONN_BODY) {
        body_ended(c, 0, NULL);
    }
    return used;
}

// Gives up what is left of a body that nobody asked for. The answer may be on its way still.
// Nothing is waited for any more but what is under way.
static bool leaves(const struct h1_conn *c)
{
    const struct h1_env *env = c->env;
    return env->draining && !env->patient &&
           (!env->patience_ms || loop_now(env->loop) >= c->patient_until);
}

// An answer that began before the end was known has not said that it is the last, and the client may
// send its next request right behind it.
static void be_patient(struct h1_conn *c)
{
    c->patient_until = loop_now(c->env->loop) + c->env->patience_ms;
}

static void stop_discarding(struct h1_conn *c)
{
    h1_end_exchange(c, true);
    linger(c);
}

// A body that nobody asked for. The exchange is over for the handler, but the decoder lives in it.
static size_t step_discard(struct h1_conn *c, struct str in)
{
    size_t used;
    struct h1_fault fault = h1_take_body(c->x, in, &used);
    c->discarded += used;
    bool done = c->x->body_done;
    if (done && !leaves(c)) {
        h1_end_exchange(c, true);
        set_state(c, CONN_IDLE);
    } else if (done || fault.status || c->discarded > H1_DISCARD_MAX) {
        stop_discarding(c);
    }
    return used;
}

static size_t step_linger(struct h1_conn *c, struct str in)
{
    c->discarded += in.n;
    if (c->discarded > c->env->options->linger_bytes)
        h1_close(c);
    return in.n;
}

// --- the head of a request ---

static struct h1_head *partial_head(struct h1_conn *c, const struct h1_head *so_far)
{
    const struct h1_limits *limits = &c->env->options->head;
    struct h1_head *h = malloc(sizeof *h + limits->fields * sizeof(struct h1_field));
    if (!h)
        return NULL;
    *h = *so_far;
    h->fields = (struct h1_field *)(h + 1);
    memcpy(h->fields, so_far->fields, so_far->field_count * sizeof(struct h1_field));
    return h;
}

// Calls on_request. Returns how many of the bytes behind the head it took.
static size_t hand_request(struct h1_conn *c, struct str behind)
{
    struct h1_env *env = c->env;
    env->fresh = c->x;
    env->ahead = behind;
    env->handler->on_request(env->self, &c->x->pub);
    env->fresh = NULL;
    return behind.n - env->ahead.n;
}

// Returns how many bytes of in it took, the head's and perhaps the body's.
static size_t start_exchange(struct h1_conn *c, const struct h1_head *h, struct str in)
{
    bool head = h->method == HTTP_HEAD;
    const char *why = h1_begin_exchange(c, h, in);
    if (why && *why) {
        refuse(c, head, 400, why, in);
    } else if (why) {
        refuse(c, head, 503, "out of memory for the request", in);
    } else {
        set_state(c, CONN_HANDLE);
        arm_for_handler(c); // no more that of the head
        c->served = true;
        return h->length + hand_request(c, str_of(in.p + h->length, in.n - h->length));
    }
    return h->length;
}

static void refuse_head(struct h1_conn *c, const struct h1_head *h, struct str in)
{
    char why[160];
    bool head = str_eq(h1_text(in.p, h->method_span), STR("HEAD"));
    snprintf(why, sizeof why, "%s, in the line at byte %u", h1_error_info(h->error)->why,
             h->error_at);
    refuse(c, head, h1_error_info(h->error)->status, why, in);
}

static size_t step_head(struct h1_conn *c, struct str in)
{
    struct h1_head scratch, *h = c->partial;
    if (in.n == 0)
        return 0;
    if (!h) {
        h = &scratch;
        h1_head_init(h, &c->env->options->head, c->env->fields);
    }
    enum h1_result r = h1_head_parse(h, in);
    if (r == H1_MORE) {
        if (!c->partial && !(c->partial = partial_head(c, h))) {
            refuse(c, false, 503, "out of memory for the request", in);
        } else if (c->state == CONN_IDLE) {
            set_state(c, CONN_HEAD);
            if (c->served)
                arm_for_state(c); // the first request's deadline counts from accept
        }
        return 0;
    }
    struct h1_head *partial = c->partial;
    c->partial = NULL;
    size_t used = in.n;
    if (r == H1_DONE)
        used = start_exchange(c, h, in);
    else
        refuse_head(c, h, in);
    free(partial);
    return used;
}

// --- after an answer ---

static bool worth_discarding(const struct h1_exchange *x)
{
    return !x->expects_continue && !x->conn->eof &&
           (x->pub.request.chunked || x->body_left <= H1_DISCARD_MAX);
}

// The answer is handed over whole: what next?
static void answer_done(struct h1_conn *c)
{
    struct h1_exchange *x = c->x;
    be_patient(c);
    bool close = x->close || c->eof || leaves(c);
    if (close || x->body_done) {
        h1_end_exchange(c, true);
        if (close) {
            linger(c);
            return;
        }
        set_state(c, CONN_IDLE);
    } else {
        h1_tell_end(c, true);
        set_state(c, CONN_DISCARD);
        c->discarded = 0;
    }
    if (c->state != CONN_IDLE || !c->stepping)
        arm_for_state(c);
}

// The answer under way cannot be completed. What was answered before still goes out, and the part of
// this one, whose end never comes; where the end of the connection is its end, a reset says that it
// is not (RFC 9112 §8).
static void break_off(struct h1_conn *c)
{
    if (!c->x->chunked_answer && c->x->source_left < 0) {
        h1_close(c);
        return;
    }
    h1_end_exchange(c, false);
    linger(c);
}

// Moves an answered exchange on as far as the queue allows.
static void advance(struct h1_conn *c)
{
    if (c->state == CONN_HANDLE && c->x->answered)
        set_state(c, CONN_ANSWER);
    if (c->state != CONN_ANSWER)
        return;
    enum h1_pump p = h1_pump(c->x);
    c->blocked = p == PUMP_BLOCKED;
    if (p == PUMP_DONE) {
        answer_done(c);
    } else if (p == PUMP_FAILED) {
        break_off(c);
    } else {
        arm_for_state(c);
    }
}

// Sends what is queued. A source that was blocked by the queue goes on in the next turn when this made
// room, since the stream tells of that only when it comes later.
static void flush(struct h1_conn *c)
{
    stream_flush(c->stream);
    if (c->state == CONN_ANSWER && c->blocked && stream_queued(c->stream) < STREAM_LOW)
        loop_defer(c->env->loop, &c->later);
}

typedef size_t step_fn(struct h1_conn *c, struct str in);
static step_fn *const steps[CONN_STATES] = {
    [CONN_IDLE] = step_head,       [CONN_HEAD] = step_head,     [CONN_BODY] = step_body,
    [CONN_DISCARD] = step_discard, [CONN_LINGER] = step_linger,
};

// Whether the queue is so long that no further request should be begun.
static bool clogged(struct h1_conn *c)
{
    if (c->state != CONN_IDLE || stream_queued(c->stream) < STREAM_LOW)
        return false;
    stream_flush(c->stream);
    return stream_queued(c->stream) >= STREAM_LOW;
}

static size_t on_input(void *owner, struct str in)
{
    struct h1_conn *c = owner;
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
            advance(c);
        if (c->state == CONN_CLOSED || (n == 0 && c->state == before))
            break;
    }
    c->stepping = false;
    if (c->state == CONN_CLOSED)
        return used;
    flush(c);
    // The others count from when they were entered. An answer's depends on what the flush left.
    if (c->state == CONN_IDLE || c->state == CONN_BODY || c->state == CONN_ANSWER)
        arm_for_state(c);
    if (!steps[c->state] || clogged(c))
        stream_pause(c->stream); // resumed by settle
    return used;
}

// After something happened outside of input: flush, and let input go on if the state wants some.
static void settle(struct h1_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    flush(c);
    bool idle = c->state == CONN_IDLE, over = idle || c->state == CONN_LINGER;
    if (((over && c->eof) || (idle && leaves(c))) && stream_queued(c->stream) == 0) {
        h1_close(c);
        return;
    }
    if (c->state == CONN_IDLE || c->state == CONN_LINGER || c->state == CONN_ANSWER)
        arm_for_state(c);
    if (c->state != CONN_CLOSED && steps[c->state] && !clogged(c))
        stream_resume(c->stream);
}

// Tells of the end of the body outside of input: the client said its last byte, or all was read
// before the handler asked.
static void body_over(struct h1_conn *c)
{
    bool whole = c->x->body_done;
    if (!whole)
        c->x->close = true;
    body_ended(c, whole ? 0 : 400, whole ? NULL : "the client stopped within the body");
    advance(c);
    settle(c);
}

void h1_go_on(struct h1_conn *c)
{
    advance(c);
    settle(c);
}

static void on_later(struct deferred *d)
{
    struct h1_conn *c = (struct h1_conn *)((char *)d - offsetof(struct h1_conn, later));
    if (c->state == CONN_BODY && (c->eof || c->x->body_done)) {
        body_over(c);
        return;
    }
    h1_go_on(c);
}

static void advance_later(struct h1_conn *c)
{
    if (!c->stepping)
        loop_defer(c->env->loop, &c->later);
}

static void on_drain(void *owner)
{
    h1_go_on(owner);
}

// It may have shut its writing side only, and gets an answer that is soon.
static void on_fin(void *owner)
{
    struct h1_conn *c = owner;
    c->fin = true;
    if (c->state == CONN_HANDLE)
        arm_for_handler(c);
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
        linger(c);
        break;
    case CONN_DISCARD:
        stop_discarding(c);
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

static void on_timer(struct timeout *t)
{
    struct h1_conn *c = (struct h1_conn *)((char *)t - offsetof(struct h1_conn, timer));
    bool sends = c->state == CONN_IDLE || c->state == CONN_ANSWER || c->state == CONN_LINGER;
    if (sends && stream_queued(c->stream) > 0 && stream_sent(c->stream) != c->timer_sent) {
        arm_send(c);
        return;
    }
    if (c->state == CONN_HEAD) {
        refuse(c, false, 408, "the head did not come in time (timeouts.header)",
               stream_waiting(c->stream));
    } else if (c->state == CONN_BODY) {
        c->x->close = true;
        body_ended(c, 408, "the body stopped coming (timeouts.body)");
        advance(c);
        settle(c);
    } else if (c->state == CONN_DISCARD) {
        stop_discarding(c);
    } else {
        c->left = c->state == CONN_HANDLE; // it was waited for after its FIN, and no answer came
        h1_close(c);
    }
}

static const struct stream_events events = {
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
    c->stream = stream_new(env->streams, fd, input_max, &events, c);
    if (!c->stream) {
        free(c);
        return false;
    }
    c->next = env->connections;
    if (c->next)
        c->next->prev = c;
    env->connections = c;
    env->connection_count++;
    arm_for_state(c);
    return true;
}

void h1_drain(struct h1_conn *c)
{
    if (c->state == CONN_IDLE && leaves(c) && stream_queued(c->stream) == 0)
        h1_close(c);
}

// --- what handlers call ---

// Body bytes, or what is to be said of their end, may come from now on.
static void ask_for_body(struct h1_exchange *x)
{
    struct h1_conn *c = x->conn;
    if (x->expects_continue) {
        x->expects_continue = false;
        stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    h1_body_asked(c, true);
    if (x->body_done) // its end is all that is left to tell
        loop_defer(c->env->loop, &c->later);
    if (c->stepping)
        return;
    stream_flush(c->stream);
    stream_resume(c->stream);
    arm_for_state(c);
    if (c->eof && c->state == CONN_BODY)
        loop_defer(c->env->loop, &c->later); // nothing more will come
}

unsigned exchange_receive(struct exchange *pub, uint64_t max)
{
    struct h1_exchange *x = (struct h1_exchange *)pub;
    assert(x->conn->state == CONN_HANDLE && !x->answered && pub->request.has_body && !x->body_done);
    if (x->body_left > max)
        return 413;
    pub->body.max = max;
    ask_for_body(x);
    return 0;
}

bool exchange_has_body(const struct exchange *pub, uint64_t max)
{
    const struct h1_exchange *x = (const struct h1_exchange *)pub;
    const struct h1_env *env = x->conn->env;
    return env->fresh == x && pub->request.has_body && !pub->request.chunked &&
           !x->expects_continue && !x->body_done && x->body_left <= max &&
           x->body_left <= env->ahead.n && x->body_left <= pub->body.options->memory;
}

bool exchange_take_body(struct exchange *pub, uint64_t max)
{
    struct h1_exchange *x = (struct h1_exchange *)pub;
    struct str *ahead = &x->conn->env->ahead;
    size_t n = (size_t)x->body_left;
    assert(exchange_has_body(pub, max) && x->conn->state == CONN_HANDLE);
    pub->body.max = max;
    if (spool_add(&pub->body, str_of(ahead->p, n)) < 0)
        return false;
    *ahead = str_of(ahead->p + n, ahead->n - n);
    x->body_seen = n;
    x->body_left = 0;
    x->body_done = true;
    return true;
}

unsigned exchange_read(struct exchange *pub, uint64_t max)
{
    struct h1_exchange *x = (struct h1_exchange *)pub;
    assert(x->conn->state == CONN_HANDLE && !x->answered && pub->request.has_body);
    if (!x->reading && x->body_left > max)
        return 413;
    if (!x->reading)
        pub->body.max = max;
    x->reading = true;
    ask_for_body(x);
    return 0;
}

void exchange_respond(struct exchange *pub, const struct http_response *r)
{
    struct h1_exchange *x = (struct h1_exchange *)pub;
    struct h1_conn *c = x->conn;
    if (c->state == CONN_BODY) { // the handler no longer waits for it
        set_state(c, CONN_HANDLE);
        x->close = true;
    }
    assert(c->state == CONN_HANDLE && !x->answered);
    x->answered = true;
    pub->status = r->status;
    if (r->close || c->eof || c->env->draining || (!x->body_done && !worth_discarding(x)))
        x->close = true;
    h1_write_answer(x, r);
    advance_later(c);
}

void exchange_ready(struct exchange *pub)
{
    struct h1_conn *c = ((struct h1_exchange *)pub)->conn;
    if (c->state == CONN_CLOSED)
        return;
    loop_defer(c->env->loop, &c->later); // also from within a pull, which is about to say LATER
}

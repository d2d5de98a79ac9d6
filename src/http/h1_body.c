// The bodies of requests: see the header.
#include "http/h1_body.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { DISCARD_MAX = 64 * 1024 }; // of a body nobody wanted, to keep the connection

// CONN_HANDLE to CONN_BODY, where the handler waits for the body, and back.
static void set_asked(struct h1_conn *c, bool asked)
{
    h1_set_state(c, asked ? CONN_BODY : CONN_HANDLE);
    if (asked)
        c->x->body_since = loop_now(c->env->loop);
    else
        h1_arm_for_handler(c);
}

// --- bytes of it ---

// What may go wrong while they are taken; status 0 while nothing did.
struct fault {
    unsigned status;
    const char *why;
};

static bool too_slow(const struct h1_exchange *x)
{
    const struct server_options *o = x->conn->env->options;
    uint64_t ms = x->body_waited + loop_now(x->conn->env->loop) - x->body_since;
    return ms > o->body_ms && x->body_seen * 1000 < (uint64_t)o->body_rate * ms;
}

static const char *const too_large = "the body is over max_body (limits.body_bytes)";

// The handler has asked for bytes: the clock of the body stands still until it asks again.
static int hand_over(struct h1_exchange *x, struct str data)
{
    struct h1_conn *c = x->conn;
    if (x->body_seen > x->pub.body.max)
        return -EFBIG;
    if (data.n == 0)
        return 0;
    x->body_waited += loop_now(c->env->loop) - x->body_since;
    set_asked(c, false);
    c->env->handler->on_data(c->env->self, &x->pub, data);
    return 0;
}

static int take_bytes(struct h1_exchange *x, struct str data)
{
    x->body_seen += data.n;
    if (x->conn->state != CONN_BODY)
        return 0;
    return x->reading ? hand_over(x, data) : spool_add(&x->pub.body, data);
}

// What -errno from the spool means to the client.
static struct fault spool_fault(struct h1_exchange *x, int err)
{
    switch (err) {
    case 0:
        return (struct fault){0, NULL};
    case -EFBIG:
        return (struct fault){413, too_large};
    case -ENOSPC:
    case -EDQUOT:
        return (struct fault){507, "no space left for the body's temporary file"};
    case -ENOMEM:
        return (struct fault){503, "out of memory for the body"};
    case -EMFILE:
    case -ENFILE:
        return (struct fault){503, "no descriptor left for the body's temporary file"};
    default:
        log_about(exchange_id(&x->pub), LOG_ERROR, "a body's temporary file in %s: %s",
                  x->pub.body.options->folder, strerror(-err));
        return (struct fault){500, "the body's temporary file cannot be written"};
    }
}

static struct fault decode_sized(struct h1_exchange *x, struct str in, size_t *used)
{
    size_t n = in.n < x->body_left ? in.n : (size_t)x->body_left;
    x->body_left -= n;
    x->body_done = x->body_left == 0;
    *used = n;
    return spool_fault(x, take_bytes(x, str_of(in.p, n)));
}

// A chunk's size is a promise: one that cannot be kept is not waited for.
static struct fault weigh_chunk(const struct h1_exchange *x)
{
    uint64_t max = x->conn->state == CONN_BODY ? x->pub.body.max : DISCARD_MAX;
    bool fits = x->chunked.left <= max - (x->body_seen < max ? x->body_seen : max);
    return fits ? (struct fault){0, NULL} : (struct fault){413, too_large};
}

static struct fault decode_chunked(struct h1_exchange *x, struct str in, size_t *used)
{
    struct fault fault = {0, NULL};
    unsigned char state = x->conn->state;
    *used = 0;
    while (fault.status == 0 && x->conn->state == state) {
        size_t n;
        struct str data;
        struct str rest = str_of(in.p + *used, in.n - *used);
        enum h1_result r = h1_chunked_parse(&x->chunked, rest, &n, &data);
        *used += n;
        if (r == H1_BAD) {
            const struct h1_error_info *info = h1_error_info(x->chunked.error);
            return (struct fault){info->status, info->why};
        }
        x->body_done = r == H1_DONE;
        if (r != H1_DATA)
            return weigh_chunk(x);
        fault = spool_fault(x, take_bytes(x, data));
    }
    return fault;
}

// Takes body bytes from in: kept or handed over in CONN_BODY, dropped in CONN_DISCARD. Sets
// body_done at the end. Stops where the handler has what it asked for, in CONN_HANDLE.
static struct fault take_body(struct h1_exchange *x, struct str in, size_t *used)
{
    bool chunked = x->pub.request.chunked;
    struct fault fault = chunked ? decode_chunked(x, in, used) : decode_sized(x, in, used);
    if (fault.status == 0 && x->body_done && x->conn->state == CONN_BODY && !x->reading)
        fault = spool_fault(x, spool_end(&x->pub.body));
    if (fault.status == 0 && !x->body_done && x->conn->state == CONN_BODY && too_slow(x))
        fault = (struct fault){408, "the body came slower than the minimum rate"};
    return fault;
}

// --- steps ---

void h1_body_ended(struct h1_conn *c, unsigned status, const char *why)
{
    if (status)
        c->x->close = true;
    set_asked(c, false);
    c->env->handler->on_body(c->env->self, &c->x->pub, status, why);
}

size_t h1_step_body(struct h1_conn *c, struct str in)
{
    size_t used;
    struct fault fault = take_body(c->x, in, &used);
    if (fault.status || (c->x->body_done && c->state == CONN_BODY))
        h1_body_ended(c, fault.status, fault.why);
    return used;
}

bool h1_worth_discarding(const struct h1_exchange *x)
{
    return !x->expects_continue && !x->conn->eof &&
           (x->pub.request.chunked || x->body_left <= DISCARD_MAX);
}

void h1_stop_discarding(struct h1_conn *c)
{
    h1_end_exchange(c, true);
    h1_linger(c);
}

// The exchange is over for the handler, but the decoder lives in it.
size_t h1_step_discard(struct h1_conn *c, struct str in)
{
    size_t used;
    struct fault fault = take_body(c->x, in, &used);
    c->discarded += used;
    bool done = c->x->body_done;
    if (done && !h1_leaves(c)) {
        h1_end_exchange(c, true);
        h1_set_state(c, CONN_IDLE);
    } else if (done || fault.status || c->discarded > DISCARD_MAX) {
        h1_stop_discarding(c);
    }
    return used;
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
    set_asked(c, true);
    if (x->body_done) // its end is all that is left to tell
        loop_defer(c->env->loop, &c->later);
    if (c->stepping)
        return;
    stream_flush(c->stream);
    stream_resume(c->stream);
    h1_arm(c);
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

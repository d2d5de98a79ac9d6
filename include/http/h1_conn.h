// Private to h1*.c, access.c and server.c: one HTTP/1 connection and what all of a worker share;
// its state, its deadline and its end.
//
// A connection is a state machine driven by four things: input, drained output, its timer, and the
// handler's answers. A file calls those below it, never one beside or above:
//
//      h1.c                                  what drives it, and where that goes
//      h1_delivery.c                         answers on their way, and what follows them
//      h1_head.c   h1_body.c                 requests coming in; their bodies
//      h1_conn.c   h1_answer.c               state, deadline, end; what is written of an answer
//      h1_exchange.c   h1_pump.c             one request and its answer; bodies of answers pulled
//
// Its states, most of which have a step for input (h1.c, table `steps`):
//
//                 first byte              head complete
//   ┌──> CONN_IDLE ────────> CONN_HEAD ─────────────────> CONN_HANDLE <─────────────┐
//   │        │ head complete                 ▲                │   │ exchange_receive│ body complete
//   │        └───────────────────────────────┘                │   └──> CONN_BODY ───┘
//   │                                        exchange_respond │            │ exchange_respond
//   │   answer handed over                                    v            │ (error in the body)
//   ├───────────────────────────────────────────────── CONN_ANSWER <───────┘
//   │   rest of the body dropped                             │  │
//   ├──────────────── CONN_DISCARD <── body not yet read ────┘  │ to be closed, or bad request
//   │                                                           v
//   └── (never back)                                        CONN_LINGER ──> CONN_CLOSED
//
//   CONN_IDLE     no byte of a request yet. Timer: idle (header before the first request).
//   CONN_HEAD     some bytes of a head, kept by the stream. Timer: header. partial is set. A FIN
//                 goes to CONN_LINGER.
//   CONN_HANDLE   x is with the handler. No timer of ours, but a short one once the client has sent
//                 its last byte: it may have left. Input is paused when some comes.
//   CONN_BODY     x is with the handler, which waits for on_body or, when x->reading, for on_data:
//                 the next bytes go to it and to CONN_HANDLE, unless it asks for more at once.
//                 Timer: body.
//   CONN_ANSWER   x is answered; its body source is being pumped, or the queue is too full to go
//                 on. Timer: send while bytes are queued.
//   CONN_DISCARD  x is over; what is left of its body is read and dropped. Timer: body. A body that
//                 is too long, bad or late, a FIN and draining go to CONN_LINGER.
//   CONN_LINGER   the last answer is queued and a FIN follows it; input is dropped until the client
//                 closes. Timer: send until the queue is empty, then linger.
//   CONN_CLOSED   stream_close was called; on_closed frees the connection.
#ifndef LUNETTE_HTTP_H1_CONN_H
#define LUNETTE_HTTP_H1_CONN_H

#include "http/h1_exchange.h"
#include "http/h1_pump.h"
#include "http/server.h"
#include "net/stream.h"
#include "net/timeout.h"

#include <assert.h>

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_HANDLE,
    CONN_BODY,
    CONN_ANSWER,
    CONN_DISCARD,
    CONN_LINGER,
    CONN_CLOSED,
    CONN_STATES,
};

// What the connections of a worker share; owned by the server.
struct h1_env {
    struct loop *loop;
    struct stream_pool *streams;
    const struct server_options *options;
    const struct http_handler *handler;
    void *self;                 // the handler's
    struct h1_field *fields;    // scratch of the parser: options->head.fields of them
    struct h1_exchange *spares; // ended exchanges with their arenas, kept for the next requests
    unsigned spare_count;
    const struct h1_exchange *fresh; // while on_request is called for it: NULL at all other times
    struct str ahead;                // what has come behind its head, and is not taken yet
    struct h1_conn *connections;     // all that are open
    unsigned connection_count;
    struct h1_pumps pumps;
    bool draining;        // every answer that begins says that it is the last
    bool cuts;            // what is under way ends without its answer: the server's time is over
    bool patient;         // while draining: connections on which none was said may still have one
    uint32_t patience_ms; // that each gets for that after an answer, milliseconds; 0: none
    void (*closed)(struct h1_env *env, struct h1_conn *c); // told of every connection that ends
    uint64_t id_seed, id_count;                            // of exchange_id
    int64_t stamp_at;                                      // the second that stamp was made for
    size_t stamp_len;
    char stamp[64]; // "Date: …\r\nServer: lunette\r\n"
};

struct h1_conn {
    struct h1_env *env;
    struct h1_conn *next, *prev; // in env->connections
    struct stream *stream;
    struct h1_exchange *x; // the one under way
    // The parser's state, of a head that has come in part; its fields lie behind it.
    struct h1_head *partial;
    struct timeout timer;
    struct h1_conn *pump_next;
    // loop_now; while draining it may have one more request, env->patience_ms.
    uint64_t patient_until;
    struct deferred later; // advances the connection after an answer from outside a step
    uint64_t timer_sent;   // stream_sent when the send timer was set: no progress if still the same
    uint64_t discarded;    // bytes dropped in CONN_DISCARD or CONN_LINGER
    unsigned slot;         // the server's: place in its table of peers
    unsigned char state;   // enum conn_state
    bool stepping;         // inside on_input: flush and advance happen at its end
    bool fin;              // the client will send no more
    bool eof;              // that, and every byte of it was taken
    bool blocked;          // the source of the answer waits for room in the queue
    bool pump_paused;      // in env->pumps
    bool served;           // at least one request was answered
    bool left;             // the client is gone, as far as can be known
    struct addr peer;
};

// The states that may follow each: a bit for every one.
extern const unsigned char h1_followers[CONN_STATES];

static inline void h1_set_state(struct h1_conn *c, enum conn_state to)
{
    assert(h1_followers[c->state] & 1 << to);
    c->state = (unsigned char)to;
}

// Nothing is waited for any more but what is under way.
static inline bool h1_leaves(const struct h1_conn *c)
{
    const struct h1_env *env = c->env;
    return env->draining && !env->patient &&
           (!env->patience_ms || loop_now(env->loop) >= c->patient_until);
}

// Bytes may be queued, and the deadline be one for sending them.
static inline bool h1_sends(const struct h1_conn *c)
{
    return c->state == CONN_IDLE || c->state == CONN_ANSWER || c->state == CONN_LINGER;
}

// Sets the deadline that the state calls for (the list above). The connection is closed where that
// cannot be.
void h1_arm(struct h1_conn *c);
// The deadline has come. True: it was one for sending, bytes went out since it was set, and it is
// set anew.
bool h1_sent_since(struct h1_conn *c);
// In CONN_HANDLE, which was entered, or the client's FIN seen in it: the time is the handler's.
void h1_arm_for_handler(struct h1_conn *c);

// Closes at once; harmless twice. c is there until on_closed of its stream.
void h1_close(struct h1_conn *c);
// The last answer is queued: a FIN behind it, and patience with a client that is still sending.
void h1_linger(struct h1_conn *c);
// The step of CONN_LINGER.
size_t h1_step_linger(struct h1_conn *c, struct str in);

#endif

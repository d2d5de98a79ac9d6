// Private to h1*.c and server.c: one HTTP/1 connection and what all of a worker share.
//
// A connection is a state machine driven by four things: input, drained output, its timer, and the
// handler's answers. Every state has a step function for input (h1.c, table `steps`).
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
//   CONN_BODY     x is with the handler, which waits for on_body or, when x->reading, for on_data: the
//                 next bytes go to it and to CONN_HANDLE, unless it asks for more at once. Timer: body.
//   CONN_ANSWER   x is answered; its body source is being pumped, or the queue is too full to go on.
//                 Timer: send while bytes are queued.
//   CONN_DISCARD  x is over; what is left of its body is read and dropped. Timer: body. A body that
//                 is too long, bad or late, a FIN and draining go to CONN_LINGER.
//   CONN_LINGER   the last answer is queued and a FIN follows it; input is dropped until the client closes.
//                 Timer: send until the queue is empty, then linger.
//   CONN_CLOSED   stream_close was called; on_closed frees the connection.
#ifndef LUNETTE_HTTP_H1_CONN_H
#define LUNETTE_HTTP_H1_CONN_H

#include "http/date.h"
#include "http/exchange.h"
#include "http/h1_parse.h"
#include "http/server.h"
#include "net/stream.h"
#include "net/timeout.h"

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

struct h1_conn;

// The public exchange with what the connection needs to know about it.
struct h1_exchange {
    struct exchange pub; // first: exchange_* get a pointer to it
    struct h1_conn *conn;
    struct h1_exchange *spare;  // next in the list of spares
    struct h1_chunked chunked;  // decoder, for a chunked body
    uint64_t body_left;         // bytes to come of a body with Content-Length
    uint64_t body_seen;         // body bytes received
    uint64_t body_since;        // loop_now when the body was asked for last
    uint64_t body_waited;       // milliseconds that earlier exchange_reads waited for it
    bool reading;               // by exchange_read: body bytes go to on_data, not to the spool
    struct str request_line;    // for the access log
    unsigned flight;            // its place among those under way
    bool expects_continue;      // the client waits for 100 Continue, or a final status
    bool body_done;             // the whole body was read (or there is none)
    bool answered;              // exchange_respond was called
    bool ended;                 // on_end was called: only the rest of the body keeps it
    bool close;                 // the connection ends with this answer
    bool chunked_answer;        // the answer's body goes out in chunks
    struct body_source *source; // pumped while not NULL
    int64_t source_left;        // bytes it owes; −1: not known
    uint64_t body_sent;         // body bytes of the answer, for the access log
    uint64_t began;             // access_clock when the head was complete; 0: nobody wants to know
};

// Whose pumping goes on in a later turn, and what this turn has spent: h1_pump.c.
struct h1_pumps {
    struct h1_conn *first, *last; // linked by pump_next; first goes on first
    struct h1_conn *current;      // the one whose turn it is
    struct deferred go_on;
    uint64_t turn;  // of the loop
    uint64_t spent; // microseconds of it
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
    struct h1_head
        *partial; // parser state of a head that has come in part, with its fields behind it
    struct timeout timer;
    struct h1_conn *pump_next;
    uint64_t
        patient_until; // loop_now; while draining it may have one more request, env->patience_ms
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

// A connection on the stream's socket. False (fd closed) when memory is out.
bool h1_open(struct h1_env *env, int fd, const struct addr *peer, unsigned slot);
// Ends an idle connection now, and any other after its answer.
void h1_drain(struct h1_conn *c);
// Closes at once.
void h1_close(struct h1_conn *c);
// CONN_HANDLE to CONN_BODY, where the handler waits for the body, and back.
void h1_body_asked(struct h1_conn *c, bool asked);

// h1_exchange.c: makes c->x from a head that was parsed from in. NULL; or why the request is
// refused (400), "" for lack of memory, and there is no exchange.
const char *h1_begin_exchange(struct h1_conn *c, const struct h1_head *h, struct str in);
// Tells the handler of the end of c->x, the bytes of whose body may not all have come yet.
void h1_tell_end(struct h1_conn *c, bool sent);
// Tells it, unless it knows, and gives c->x back.
void h1_end_exchange(struct h1_conn *c, bool sent);
// What may go wrong while body bytes are taken; status 0 while nothing did.
struct h1_fault {
    unsigned status;
    const char *why;
};
// a body nobody wanted is read up to this, to keep the connection
enum { H1_DISCARD_MAX = 64 * 1024 };
// Takes body bytes from in: kept or handed over in CONN_BODY, dropped in CONN_DISCARD. Sets body_done
// at the end. Stops where the handler has what it asked for, in CONN_HANDLE.
struct h1_fault h1_take_body(struct h1_exchange *x, struct str in, size_t *used);

// h1_answer.c: writes status line, fields and the body as far as it is known; sets what is left to
// pump.
void h1_write_answer(struct h1_exchange *x, const struct http_response *r);
// An answer that has no exchange: head or framing was bad. head: to HEAD, so without the page.
void h1_write_page(struct h1_conn *c, unsigned status, bool head);

// h1_pump.c: pulls the answer's body into the queue, and sends it, as far as it goes in this turn.
enum h1_pump {
    PUMP_DONE,    // the answer is handed over whole
    PUMP_BLOCKED, // the queue is full, or took its share of this turn: go on when it drains
    PUMP_WAITING, // the source has nothing now
    PUMP_PAUSED,  // the time of this turn is used up: h1_go_on comes by itself
    PUMP_FAILED,  // the answer cannot be completed
};
enum h1_pump h1_pump(struct h1_exchange *x);
// The connection is closed: nothing is to go on.
void h1_pump_forget(struct h1_conn *c);
// h1.c: moves on an answer that was paused.
void h1_go_on(struct h1_conn *c);

#endif

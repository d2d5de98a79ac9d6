// Private to h1*.c, access.c and server.c: one exchange of an HTTP/1 connection, from its parsed
// head to its end. Nothing here knows of states or timers.
#ifndef LUNETTE_HTTP_H1_EXCHANGE_H
#define LUNETTE_HTTP_H1_EXCHANGE_H

#include "http/exchange.h"
#include "http/h1_parse.h"

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

// Makes c->x from a head that was parsed from in. NULL; or why the request is refused (400), "" for
// lack of memory, and there is no exchange.
const char *h1_begin_exchange(struct h1_conn *c, const struct h1_head *h, struct str in);
// Tells the handler of the end of c->x, the bytes of whose body may not all have come yet.
void h1_tell_end(struct h1_conn *c, bool sent);
// Tells it, unless it knows, and gives c->x back.
void h1_end_exchange(struct h1_conn *c, bool sent);

#endif

// The HTTP server of one worker: listening sockets → connections → h1 → a handler; limits,
// timeouts, drain.
#ifndef LUNETTE_HTTP_SERVER_H
#define LUNETTE_HTTP_SERVER_H

#include "http/exchange.h"
#include "http/flights.h"
#include "http/h1_parse.h"
#include "http/places.h"
#include "net/loop.h"
#include "net/stream.h"

enum access_format { ACCESS_COMBINED, ACCESS_JSON };

struct tally;

struct server_options {
    struct h1_limits head;      // limits.header_bytes, uri_bytes, headers
    struct spool_options spool; // limits.body_memory, temp
    uint64_t linger_bytes;      // limits.linger_bytes
    // timeouts, milliseconds
    uint32_t header_ms, body_ms, idle_ms, send_ms, linger_ms, stop_ms;
    uint32_t body_rate;        // bytes a second that a body must reach on average after body_ms
    enum access_format access; // of the lines in the access log
    bool quiet;                // no lines there
    bool stays_open;           // draining goes on to accept: the handler says that it is the end
    struct tally *tally;       // where requests and connections are counted; NULL: nowhere
    struct flights *flights;   // where those under way are; NULL: nowhere
};

struct server;

// options, handler and places must outlive the server; worker is this one's number in places. NULL
// when memory is out.
struct server *server_new(struct loop *l, const struct server_options *o, struct places *places,
                          unsigned worker, const struct http_handler *handler, void *self);
// From the next request on the handler has another self; for those under way on_body, on_data and
// on_end are called with it, too. Timeouts and rates in the options may change at any time.
void server_use(struct server *s, void *self);
// Accepts from a listening socket, which stays the caller's. 0 or −errno.
int server_listen(struct server *s, int fd);
// Serves a socket that is connected to peer already, as if it had accepted it: the fd, which is
// non-blocking, becomes its own.
void server_adopt(struct server *s, int fd, const struct addr *peer);
// Stops accepting (but for options->stays_open), closes idle connections, ends the others after the
// answer under way, at most stop_ms later; then loop_stop.
void server_drain(struct server *s);
// The same for one whose successor listens already: accepts nothing more in any case, and for
// patience_ms leaves idle connections open for one more request, whose answer then says that it is
// the last: a client that was just about to send it is answered. Connections with an answer under
// way that did not say so get the same time after it.
void server_leave(struct server *s, uint32_t patience_ms);
// While it is held, draining does not end the loop before stop_ms: something besides connections is
// to be finished.
void server_hold(struct server *s, bool held);
// Accepts nothing more; what is open stays.
void server_stop_listening(struct server *s);
// Connections that are open are closed; their requests are in the access log and in the tally, as
// those that are cut after stop_ms: with the status of the answer that was under way, or 503 where
// none was begun, though nobody was told.
void server_free(struct server *s);

#endif

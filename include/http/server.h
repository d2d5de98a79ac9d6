// The HTTP server of one worker: listening sockets → connections → h1 → a handler; limits,
// timeouts, drain.
#ifndef LUNETTE_HTTP_SERVER_H
#define LUNETTE_HTTP_SERVER_H

#include "http/exchange.h"
#include "http/h1_parse.h"
#include "net/loop.h"
#include "net/stream.h"

enum { SERVER_WORKERS_MAX = 256 };

// Counters that all workers share, in a mapping made before they are forked. Each worker writes its
// own place only, so that one that dies leaves nothing wrong: the master zeroes its place.
struct server_shared {
    unsigned workers;
    _Atomic uint32_t connections[SERVER_WORKERS_MAX]; // open now
};

struct server_options {
    struct h1_limits head;       // limits.header_bytes, uri_bytes, headers
    struct spool_options spool;  // limits.body_memory, temp
    uint32_t connections;        // limits.connections, over all workers
    uint32_t connections_per_ip; // limits.connections_per_ip within this worker; 0: no limit
    uint64_t linger_bytes;       // limits.linger_bytes
    // timeouts, milliseconds
    uint32_t header_ms, body_ms, idle_ms, send_ms, linger_ms, stop_ms;
    uint32_t body_rate; // bytes a second that a body must reach on average after body_ms
};

struct server;

// options, handler and shared must outlive the server; worker is this one's place in shared. NULL
// when memory is out.
struct server *server_new(struct loop *l, const struct server_options *o,
                          struct server_shared *shared, unsigned worker,
                          const struct http_handler *handler, void *self);
// Accepts from a listening socket, which stays the caller's. 0 or −errno.
int server_listen(struct server *s, int fd);
// Stops accepting, closes idle connections, ends the others after the answer under way, at most
// stop_ms later; then loop_stop.
void server_drain(struct server *s);
void server_free(struct server *s);
unsigned server_connections(const struct server *s);

#endif

// One request and its response: what a handler sees of HTTP, whatever the version on the wire.
//
// An exchange is made by the connection when a valid head has come, and owns an arena that holds
// the request. The connection calls the handler; the handler answers once with exchange_respond, at
// once or later. The last call about an exchange is on_end, after which it is gone: an answer that
// was sent, or a connection that was lost before.
//
//      on_request ──> exchange_receive ──> on_body ──> exchange_respond ──> on_end
//           │               (optional)        ▲              ▲
//           │            exchange_read ───────┤              │
//           │              ▲      └──> on_data (again)       │
//           └────────────────────────────────────────────────┘
//
// on_end(sent = false) may come at any point between.
#ifndef LUNETTE_HTTP_EXCHANGE_H
#define LUNETTE_HTTP_EXCHANGE_H

#include "base/arena.h"
#include "http/fields.h"
#include "http/forwarded.h"
#include "http/method.h"
#include "http/spool.h"
#include "net/addr.h"

#include <sys/types.h>

struct http_field {
    struct str name, value; // as sent
};

struct http_request {
    enum http_method method;
    unsigned minor;             // HTTP/1.minor
    struct str target;          // as sent
    struct str raw_path, query; // of the target; "/" for an empty path
    struct str path;            // decoded, normalised
    bool encoded_slash;         // see uri_path; the path cannot be split into its segments
    struct str authority;       // host[:port] from an absolute target, else from Host; may be empty
    // As sent, but for Host: beside an absolute target it is to be ignored (RFC 9112 §3.2.2), and
    // has that one's host[:port].
    const struct http_field *fields;
    unsigned field_count;
    bool chunked;
    bool has_body;          // chunked, or Content-Length over 0
    int64_t content_length; // 0 when absent or chunked
};

// The first field of that name (any case), or a slice with p NULL.
struct str request_field(const struct http_request *r, struct str name);
// All fields of that name joined by ", ", in the arena when there are several; p NULL when there is
// none or no memory.
struct str request_fields(const struct http_request *r, struct str name, struct arena *a);

struct body_source;
// What a pull gives: one of these.
enum body_pull {
    BODY_SOME,  // *out holds bytes, valid until the next pull or close; none is allowed too: it
                // means that the next pull may have some, not an end
    BODY_LATER, // nothing now: exchange_ready will be called
    BODY_END,
    BODY_FAILED, // the answer cannot be completed: the connection is cut so that the client notices
};
struct body_source_ops {
    enum body_pull (*pull)(struct body_source *s, struct str *out);
    // Called exactly once, when the body ended, failed or the connection was lost.
    void (*close)(struct body_source *s);
    // The fields that go behind the body where client and framing allow it (RFC 9110 §6.5); asked
    // for after BODY_END, alive until close. NULL, as an op or as what it gives: there are none.
    const struct fields *(*trailers)(struct body_source *s);
};
struct body_source {
    const struct body_source_ops *ops;
};

enum http_body_kind {
    BODY_NONE,
    BODY_BYTES,
    BODY_FILE,
    BODY_SOURCE,
};

struct http_response {
    unsigned status;             // 200 … 599
    const struct fields *fields; // read during the call; NULL: none
    struct str default_type;     // Content-Type where fields have none; n 0: none is added
    enum http_body_kind body;
    struct str bytes; // BODY_BYTES
    int fd;           // BODY_FILE: length bytes from offset
    off_t offset;
    int64_t length;             // BODY_FILE; BODY_SOURCE: −1 when not known
    struct body_source *source; // BODY_SOURCE
    // Called exactly once when bytes or fd are no longer needed, in any outcome; NULL: they are
    // copied or need nothing.
    void (*release)(void *arg);
    void *release_arg;
    bool close; // close the connection afterwards
};

// Which of a site's routes a request went to: its pattern, and its number in http/tally.h.
struct exchange_route {
    struct str text; // "/notes/:id"
    unsigned number;
};

struct exchange {
    // These two keep their memory from one exchange to the next (h1_exchange.c), and so come first.
    struct arena arena; // lives until after on_end
    struct spool body;  // after on_body: the whole body
    struct http_request request;
    const struct addr *peer; // the connection's other end
    // What a trusted proxy says of the client, addr always told; the handler sets it. NULL: the
    // peer is the client.
    const struct forwarded *client;
    const struct exchange_route *route; // the handler sets it, and keeps it; NULL: none
    struct str id;                      // exchange_id, once it was asked for
    void *user;                         // the handler's
    unsigned status;                    // for logs and after: what was answered, 0 before
    bool unlogged;                      // the handler wants no line in the access log
};

// A handler: script, or files. All calls come from the loop of the connection; the handler may
// answer from within any of them.
struct http_handler {
    void (*on_request)(void *self, struct exchange *x);
    // exchange_receive is done. status 0: x->body holds the whole body. Else what the handler
    // should answer with: 400 (malformed), 408, 413, 507, 500; the connection closes after that
    // answer. why: for the log.
    void (*on_body)(void *self, struct exchange *x, unsigned status, const char *why);
    // The bytes that exchange_read asked for, at least one; valid during the call. Nothing more is
    // read before the next exchange_read, which may be called from here.
    void (*on_data)(void *self, struct exchange *x, struct str bytes);
    // The exchange is over; sent: the whole answer was handed to the connection. What the handler
    // keeps for it must be given up now.
    void (*on_end)(void *self, struct exchange *x, bool sent);
};

// Starts to receive the body into x->body, at most max bytes; 100 Continue goes out now if the
// client waits for it. 0: on_body will come, never from within this call. 413: Content-Length says
// already that it is too large; nothing was asked of the client. Only for a request that has_body,
// once. Answering without having called it discards the body (and closes the connection when much
// of it is still to come).
unsigned exchange_receive(struct exchange *x, uint64_t max);

// Most bodies are small and come with their head. Whether, within on_request, all of it has come:
// it has at most max bytes, which stay in memory. Never for a client that waits for 100 Continue.
bool exchange_has_body(const struct exchange *x, uint64_t max);
// What exchange_receive would do for such a body, at once: x->body holds it, and on_body will not
// come. False, with nothing changed, when memory is out.
bool exchange_take_body(struct exchange *x, uint64_t max);

// As exchange_receive for a body that is not kept: asks for its next bytes, whatever comes first.
// 0: on_data will come, or on_body with status 0 at the end of the body (x->body is empty) or with
// what went wrong; neither from within this call. Only for a request that has_body, before it is
// answered; never together with exchange_receive, nor again before the bytes came. max is that of
// the first call.
unsigned exchange_read(struct exchange *x, uint64_t max);

// Answers. Exactly once; on_end never comes from within this call. Head, Content-Length or
// chunking, Date, Server and X-Content-Type-Options are written here; HEAD, 204 and 304 get no body
// (r->release and source->close are called all the same).
void exchange_respond(struct exchange *x, const struct http_response *r);
// Ends it, and its connection, at once: on_end is called. Not from within the handler's own
// functions.
void exchange_abort(struct exchange *x);

// What logs and scripts call the request by: the X-Request-Id of a trusted proxy (x->client is
// set), where that is one; else 16 hexadecimal digits that no other process will make. Made when it
// is first asked for; alive as long as the exchange.
struct str exchange_id(struct exchange *x);

// A BODY_LATER source has something again.
void exchange_ready(struct exchange *x);

#endif

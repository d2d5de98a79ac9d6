// Requests → coroutines → responses: the http_handler that a site's Lua routes answer.
#ifndef LUNETTE_SCRIPT_HANDLER_H
#define LUNETTE_SCRIPT_HANDLER_H

#include "content/inject.h"
#include "content/static.h"
#include "http/exchange.h"
#include "http/multipart.h"
#include "net/cidr.h"
#include "script/vm.h"

struct handler;
struct tally;

struct handler_options {
    const struct file_root *root;  // the site's public files; NULL when it has none
    struct static_options files;   // static.max_age, static.index; the cache, for all roots
    struct fit_options fit;        // gzip.*: how answers of handlers are fitted to their requests
    uint64_t body_bytes;           // limits.body_bytes: a route's max_body may set another
    uint32_t form_fields;          // limits.form_fields: of an urlencoded body
    struct multipart_limits parts; // limits.part_count, and header_bytes and headers for each
    uint32_t handler_ms;           // timeouts.handler
    const char *data;              // absolute path of data/, for app.data
    struct str settings; // site = {…} of config.lua, as script/plain.h encodes it; n 0: none

    struct tally *tally; // where answers are counted, by route; NULL: nowhere
    bool names_routes;   // exchanges are to have their route: for the tally, or the access log
    const struct inject_mark
        *mark; // pages are given the script that refreshes them; NULL: they are not

    // trusted_proxies: whose word about the client is taken.
    struct cidr_list trusted_proxies;
};

// The Lua side of it (lunette.core) is registered in vm. NULL when memory is out.
struct handler *handler_new(struct vm *vm, const struct handler_options *o);
// After the vm is gone: Lua that ends (__close, __gc) may still hold requests. None of them may be an
// exchange's any more.
void handler_free(struct handler *h);

// Requests that are under way, or whose coroutines are.
unsigned handler_busy(const struct handler *h);
// How much main.lua has declared, once it is loaded.
struct handler_declared {
    unsigned routes, middleware;
};
struct handler_declared handler_declared(const struct handler *h);
// Requests without an answer get a 503, which is handed over by the end of the loop's next turn;
// answers that have begun are broken off: the connections are closed.
void handler_end_all(struct handler *h);
bool handler_has_requests(const struct handler *h); // exchanges that are not over
void handler_break_off(struct handler *h);          // closes the connections of all of them
// The id of the request whose Lua runs at the moment, or a task of it or its req:after; empty: none does.
struct str handler_running_id(struct handler *h);

// Runs scripts/main.lua in a coroutine; it may wait, so the loop must run. done(arg, NULL) when
// routes are there, else done(arg, message) with the error and its file and line. A site without
// scripts/main.lua serves its files alone.
void handler_load(struct handler *h, void (*done)(void *arg, const char *error), void *arg);
// With dev, once that has failed: why, as HTML to be shown; empty where nothing could be said. Alive as
// long as the handler.
struct str handler_report(const struct handler *h);

// Whether a request is for a host that cannot be somebody else's (http/own_host.h), or over a unix
// socket: to others --dev shows nothing. The names of app.host are among them once main.lua is loaded;
// h NULL: there are none.
bool handler_owns_host(const struct handler *h, const struct exchange *x);

// What server_new wants; self is the struct handler.
extern const struct http_handler handler_http;

#endif

// Private to the request handler's files: one request while Lua works on it.
//
// A work ties an exchange (C, may be lost at any time) to a coroutine (Lua, may wait). It lives
// until both are over: x is NULL once the exchange has ended, co once the coroutine has. Lua never
// holds a pointer to it: a request table keeps a handle, a number that names a place in the
// handler's table of works and how often that place was used before, so that a stale request finds
// nothing.
//
//      handler.c      on_request → coroutine → the exchange's end
//      handler_run.c  what that coroutine runs; handler_after.c what comes behind the answer
//      handler_load.c main.lua
//      lua_request.c  the request table and its lazy fields; request_client.c those about the client
//      request_body.c its fields that are made of the body; request_read.c how the body comes;
//      lua_part.c     the parts of multipart bodies; lua_part_save.c their save_as
//      route.c        which route it went to; own_hosts.c who is shown what --dev shows
//      lua_core.c     lunette.core: what the Lua library calls; lua_files.c its part about files,
//      lua_work.c, lua_negotiate.c, lua_response.c  about the request, what it accepts, and answers
//      lua_listing.c  folders as pages
//      request_private.c  what was read of who asks
//      answer_kept.c  what the response cache knows of an answer
//      answer.c       what a handler returned → http_response
//      lua_stream.c   bodies written by a function
#ifndef LUNETTE_SCRIPT_WORK_H
#define LUNETTE_SCRIPT_WORK_H

#include "base/buf.h"
#include "http/exchange.h"
#include "http/upload.h"
#include "net/timeout.h"
#include "script/co.h"
#include "script/handler.h"
#include "script/lua_file.h"
#include "script/names.h"
#include "script/shortcut.h"

// A body that a Lua function writes: small writes are gathered, a large one is lent by the coroutine,
// which waits until it is taken.
struct lua_source {
    struct body_source source;    // first: ops get it back
    struct buf gathered;          // written and not yet pulled
    struct buf pulled;            // lent to the connection until the next pull
    struct str lent;              // the rest of a large write
    int lent_ref, given_ref;      // what keeps its string, and that of what the last pull gave
    struct stream_writer *writer; // who waits in write, or NULL
    struct fields trailers;       // what the function returned for behind the body
    struct timeout beat;          // of an event stream: when it has been silent for beat_ms
    uint32_t beat_ms;             // 0: it is none
    bool ended, failed;           // the function returned, or raised
    bool closed;                  // the connection wants no more
    bool begun;                   // the answer is a stream: there is something to give up
};

// What the deadline's timer does next.
enum work_stage {
    WORK_ON_TIME, // timeouts.handler: the coroutine is cancelled, and may give an answer of its own
    WORK_CANCELLED, // it did not: C answers for it
    WORK_GIVEN_UP,  // it still goes on, for nobody: it is killed
};

// What tells who asks, and so must not get into answers for others: see request_private.c.
enum private {
    PRIVATE_COOKIES = 1, // req.cookies, cookies_all
    PRIVATE_COOKIE = 2,  // of req.headers and headers_all: the field of that name
    PRIVATE_AUTHORIZATION = 4,
    PRIVATE_PROXY_AUTHORIZATION = 8,
    PRIVATE_ADDR = 16, // req.remote_addr, remote_port
    PRIVATE_FORWARDED = 32,
    PRIVATE_X_FORWARDED_FOR = 64,
    PRIVATE_X_REAL_IP = 128,
    PRIVATE_SESSION = 256,
    PRIVATE_X_API_KEY = 512, // as Authorization, by other names
    PRIVATE_X_AUTH_TOKEN = 1024,
    PRIVATE_REMOTE_USER = 2048, // whom a proxy in front has let in
    PRIVATE_X_REMOTE_USER = 4096,
    PRIVATE_X_FORWARDED_USER = 8192,
    PRIVATE_TRUE_CLIENT_IP = 16384, // as X-Real-IP
    PRIVATE_CF_CONNECTING_IP = 32768,
    PRIVATE_NONCE = 65536, // req.csp_nonce, of this answer alone
};

// What the response cache knows of a body, which holds for the answer when it is sent with that very
// body: see answer_kept.c.
struct kept {
    int body;           // registry reference to the string, or nil; LUA_NOREF: nothing is known
    char tag[48];       // its strong entity-tag; "": not known
    uint64_t max_age;   // seconds that clients may keep it; 0: nothing is said
    unsigned shared;    // enum private: what may have been read for an answer that any cache keeps,
    unsigned own;       // and for one that the client's own keeps
    unsigned char note; // for fit_content.varies
};

struct cut_record;

struct work {
    struct handler *h;
    struct exchange *x;         // NULL: over
    struct co *co;              // NULL: over
    char id[FORWARDED_ID_MAX];  // of an exchange that is over, for what co logs still
    struct work *spare;         // next in the list of spares
    uint64_t handle;            // what request tables keep; 0: not in use
    uint32_t place;             // index in h->works
    struct body_reader *reader; // who waits in core.receive or core.read, or NULL
    unsigned body_status;       // what went wrong with the body; 0: nothing so far
    const char *body_why;
    bool streams;          // the route has stream_body: the fields of the body raise
    bool claimed;          // somebody has said how the body comes
    bool asked;            // exchange_receive or exchange_read was called, and has not answered yet
    bool body_over;        // by exchange_read: nothing more will come
    uint64_t body_max;     // of a body that streams
    struct buf incoming;   // bytes of it that nobody has taken yet; see WORK_READ_MAX
    size_t wanted;         // how many the reader that waits wants at least
    struct upload *upload; // of a multipart body that was received; NULL: it is another
    struct timeout deadline; // timeouts.handler, armed at the first wait
    uint32_t deadline_ms;    // the route's own timeout, or timeouts.handler; 0: none
    bool late;               // it has passed
    bool cut_told;           // the answer takes account of timeouts.cpu being passed
    unsigned char stage;     // enum work_stage: how far patience with the coroutine went
    bool failing;            // the answer is an error page already: no second try
    bool no_coding;          // the route has gzip=false
    bool watched;            // the route has cache: req.headers tells what is read of it
    bool fills;              // its answer may become everybody's: conditions are not judged yet
    unsigned seen;           // enum private: what was read of who asks
    struct kept kept;        // what is known of the answer, for when it is sent
    bool sends_kept;         // it is that of the answer
    bool from_file;          // the answer began as a file
    bool file_ready;         // core.find prepared file, not used yet
    struct http_response file;
    struct fields file_fields;
    const struct file_root *found_root; // where from_file's file is; NULL: nowhere
    struct str found_path;              // in the exchange's arena
    bool lists;                         // that is a folder, whose answer is a page of what is in it
    struct open_file *files;            // that Lua holds for this request
    struct fields extra;                // set_cookie, add_header, Vary
    int after; // registry reference to an array of functions, its entry 0 the id; LUA_NOREF: none
    struct lua_source stream;
    // A stream's answer goes out with its first bytes, so that a function that fails before them is
    // an error page.
    bool head_waits;
    struct http_response head;
    struct fields head_fields;
    struct deferred start; // sends the head that waits, at the end of the turn
    size_t memory;         // bytes the request's Lua has allocated more than freed
    const void *table;     // the request table of co, whose stack keeps it; NULL without one
};

// Routes of one method that C calls by itself (handler_run.c): registry references to tables with
// paths as keys, LUA_NOREF without such routes. handlers has the handler, or for one without parameters
// its index in bare: who takes no request gets none made.
struct plain_routes {
    int handlers, bare;
};

// What the tables of plain_routes gave for a path. A place is for who came first: other paths that would
// have it are looked up each time, so that two of them do not take turns.
enum { PLAIN_SEEN = 32, PLAIN_SEEN_PATH = 42 };
struct plain_seen {
    int table;       // plain_routes.handlers, which also tells the method
    int handler;     // registry reference
    bool bare;       // it takes no request
    unsigned char n; // bytes of the path; 0: the place is empty
    char path[PLAIN_SEEN_PATH];
};

enum { HANDLER_NOTES = 8 };

struct handler {
    struct vm *vm;
    struct loop *loop;
    struct handler_options options;
    struct fit_options file_fit;   // of options.fit, for answers without Lua
    struct static_caching caching; // of options.files
    struct file_root *site;        // the whole folder, for app.file
    struct work **works;           // by place
    uint32_t work_count, work_cap;
    unsigned busy; // of them are in use
    struct work *spares;
    uint64_t uses;                  // of places so far: the other half of a handle
    struct exchange_route **routes; // by the numbers that core.route gives, from 1 on
    size_t route_count;
    struct shortcuts shortcuts;              // requests that files answer without Lua
    struct fields fields;                    // scratch: the answer being written
    struct fields_note notes[HANDLER_NOTES]; // of its lines that handlers gave lately
    struct buf text;                         // scratch: JSON, pages
    int dispatch, failed, loaded, place, raise, raised, refuse, settle,
        report; // registry references to the library's functions
    int files;  // and to the table that has app.file's responses as keys
    struct plain_routes plain[HTTP_METHODS];
    struct plain_seen plain_seen[PLAIN_SEEN];
    struct names names;       // of cookies, parameters and paths
    struct names field_names; // of header fields
    int response_meta;        // and to the metatable of response objects
    int request_meta, headers_meta;
    bool started;         // core.start was called
    struct buf reported;  // what handler_report gives
    struct buf own_hosts; // the names of app.host with --dev, as own_host wants them
    struct handler_declared declared;
    void (*load_done)(void *arg, const char *error);
    void *load_arg;
};

enum {
    WORK_TEXT_MAX = 64 << 20,    // a JSON answer or a page at most
    WORK_TEXT_KEEP = 64 << 10,   // memory that h->text keeps for the next
    WORK_REPORT_MAX = 256 << 10, // bytes of a report of scripts that cannot be loaded
    WORK_HOSTS_MAX = 1 << 20,    // bytes of the names of app.host that --dev keeps
    WORK_READ_MAX = 64 << 20,    // bytes that req:read gives at once at most
    // What may come in one piece behind the last of those: the largest limits.header_bytes, which
    // bounds what a connection keeps, and more.
    WORK_READ_OVER = 2 << 20,
};
// h->text was used: gives a large block back.
void handler_text_done(struct handler *h);

// handler.c
void work_drop_file(struct work *w); // what core.find prepared
// The error on top as text, without converting anything: that could raise.
const char *work_error_text(lua_State *L);

// handler_run.c
// Pushes the function that all of a request's Lua is called by. Its argument is the work.
void handler_push_run(lua_State *L);
// Whether timeouts.cpu cut the request's coroutine, and nobody has answered for that yet.
bool work_was_cut(const struct work *w);
void work_log_cut(const struct work *w, const struct cut_record *r);

// handler_after.c: runs the functions of req:after.
void work_start_after(struct work *w);

// lua_request.c
void request_register(lua_State *L, struct handler *h); // makes the metatables
// Adds what is in the table at idx: functions as methods, {fn} as a field that fn(req) makes when it is
// first read; nil is not kept.
void request_methods(lua_State *L, int idx);
void request_push(lua_State *L, struct work *w); // a new request table
void request_push_own(lua_State *L,
                      struct work *w); // the one that its coroutine runs with (handler_run.c)
struct work *handler_work(struct handler *h, uint64_t handle); // NULL when it is over
struct work *request_work(lua_State *L, int arg);              // of a live request, or raises
struct work *request_try(lua_State *L, int arg);               // the same, NULL when it is over

// Leaves the handler: the client is answered with status, and the log has the message. format is
// lua_pushfstring's. Never returns.
void request_refuse(lua_State *L, struct work *w, unsigned status, const char *format, ...);

// request_private.c
// The fields of req.headers or headers_all, at t, that tell who asks are taken out of it, and given
// when they are asked for by name or iterated over: w->seen then says so.
void private_hide(lua_State *L, struct work *w, int t);
// Functions of lunette.core.
int core_watch(lua_State *L);
int core_private_seen(lua_State *L);
int core_private_covered(lua_State *L);
int core_private_text(lua_State *L);
int core_private_note(lua_State *L);
int core_cookies_named(lua_State *L);

// request_body.c: each pushes one field of the request table, which is at index 1. They raise for a
// body that streams, and leave with a 400, 413 or 503 for one that is not what it says it is.
void request_push_body(lua_State *L, struct work *w);
void request_push_form(lua_State *L, struct work *w, bool all);
void request_push_json(lua_State *L, struct work *w);
void request_push_files(lua_State *L, struct work *w, bool all);
// Pushes what make(L, w, which) pushes, with the value at index 1 (the request, or a part) there. A 413
// when that takes the request past limits.request_memory.
void request_push_within(lua_State *L, struct work *w,
                         void (*make)(lua_State *L, struct work *w, int which), int which);
// Leaves as the failure said when the body was not received whole: an on_error page that asks for it
// gets no part of it.
void request_check_whole(lua_State *L, struct work *w);
// Raises for a body that streams: it cannot be had as what (a field, a method).
void request_check_kept(lua_State *L, struct work *w, const char *what);
// Pushes n bytes of the body, from at on; a 413 when they are over limits.request_memory.
void request_push_range(lua_State *L, struct work *w, uint64_t at, uint64_t n);
// expect_json(req, null) → the body's JSON value and what it is ("object", "array", "string", …); nil
// without a JSON media type.
int core_expect_json(lua_State *L);

// request_read.c
int core_receive(lua_State *L);
// Calls then, whose results it returns, when the body is there or nobody waits for it. Where no route
// has claimed it, it is received first, up to limits.body_bytes: the C function that returns this waits
// meanwhile, and then finds its stack, with a value more on top. What goes wrong with the body is in
// body_status. Raises where it cannot be received any more.
typedef int request_body_fn(lua_State *L, struct work *w);
int request_with_body(lua_State *L, struct work *w, request_body_fn *then);
// Has the body at once, up to max bytes, where all of it came with the head (exchange_has_body). False:
// nothing has changed.
bool request_take_body(struct work *w, uint64_t max);
int core_stream(lua_State *L);
int core_read(lua_State *L);
void request_on_body(struct work *w, unsigned status, const char *why);
void request_on_data(struct work *w, struct str bytes);
// The answer has begun: who waits for the body waits in vain, and is told so in a turn of its own.
void request_end_reading(struct work *w);
// The exchange is over, and its body with it.
void request_drop_body(struct work *w);

// lua_part.c
// The part at index 1 of a request that is not over, and its work; raises for anything else.
const struct upload_part *request_check_part(lua_State *L, struct work **w);
int lua_part_save_as(lua_State *L); // lua_part_save.c; upvalue 1 as for every method: the handler
void lua_part_register(lua_State *L, struct handler *h);
// Pushes req.parts.
void request_push_parts(lua_State *L, struct work *w);
// Reads the header block of a part; its texts are alive as long as the userdata that is pushed. A 400
// when it is malformed. block: NULL, or where to put the block itself.
struct multipart_head request_push_head(lua_State *L, struct work *w,
                                        const struct upload_part *part, struct str *block);
// NULL when the body is no multipart/form-data; a 400, 413 or 503 when it is a malformed one.
struct upload *request_upload(lua_State *L, struct work *w);

// handler.c: the handler's deadline begins anew, after a wait for the client.
void work_start_clock(struct work *w);

// route.c
// The request whose Lua runs now, or NULL; its exchange may be over.
struct work *work_running(struct handler *h);
// route(text) → the number of a route for routed, or nothing where nobody asks for routes.
int core_route(lua_State *L);
// routed(number): the running request goes to that route.
int core_routed(lua_State *L);
void handler_drop_routes(struct handler *h);
// Its requests were answered with a file where no route is.
void exchange_is_file(struct handler *h, struct exchange *x);

// request_client.c: each pushes one field.
void request_push_scheme(lua_State *L, struct work *w);
void request_push_host(lua_State *L, struct work *w);
void request_push_port(lua_State *L, struct work *w);
void request_push_remote_addr(lua_State *L, struct work *w);
void request_push_remote_port(lua_State *L, struct work *w);
void request_push_id(lua_State *L, struct work *w);
int core_client_net(lua_State *L); // of lunette.core

// lua_core.c
int luaopen_lunette_core(lua_State *L); // upvalue 1: the handler

// lua_path.c: paths as segments
int core_segments(lua_State *L);
int core_split_path(lua_State *L);

// lua_scripts.c: the files beneath scripts/
int core_script_text(lua_State *L);
int core_script_names(lua_State *L);

// lua_files.c: adds find, root, … to the table on top, which is lunette.core
void lua_files_register(lua_State *L, struct handler *h);

// lua_listing.c: the page of the folder that core.find found, as file_response gives it. Waits.
int listing_answer(lua_State *L, struct work *w);

// answer.c
// The results of a handler, at first … top, read into this.
enum answer_kind {
    ANSWER_PREPARED, // what core.find prepared
    ANSWER_RESPONSE, // status, headers and body
    ANSWER_STATUS,   // a status alone: its page, when it is an error
    ANSWER_WRONG,    // not an answer: message says why
};
struct answer {
    enum answer_kind kind;
    unsigned status;
    int headers;         // stack index of a table, 0: none
    int body;            // stack index, 0: none
    const char *message; // static or on the stack
};
// The caller has made room for LUA_MINSTACK values on the stack: for the fields of a response object, which
// this pushes, and for what answer_check_headers and answer_send push behind them.
void answer_read(lua_State *L, struct handler *h, int first, struct answer *a);

// NULL when the headers of an answer that was read can be sent, else the sentence why not. It is
// alive until the stack is cleared.
const char *answer_check_headers(lua_State *L, struct handler *h, const struct answer *a);
// Pushes the sentence about a line of the head that fields_add did not take. name ends with a NUL.
const char *answer_push_refusal(lua_State *L, enum fields_result why, struct str name);
// Whether the value at idx is a response object.
bool answer_is_response(lua_State *L, struct handler *h, int idx);
// Sends it. NULL when exchange_respond was called; else a message, pushed, that says what is wrong
// with it. *stream is set to the stack index of a function that is to write the body, 0 for none;
// the answer is then kept in w until stream_send_head.
const char *answer_send(lua_State *L, struct work *w, const struct answer *a, int *stream);
// Fits the answer, whose fields are f, to its request, and sends it.
void answer_fit_and_send(struct work *w, struct http_response *r, struct fields *f);
// core.FILE: "send what core.find prepared".
void answer_push_prepared(lua_State *L);

// answer_kept.c
void kept_forget(lua_State *L, struct kept *k);
// The answer, to be sent with these fields, is status with the value at body: adds the tag and the
// lifetime that are known of it. Whether it is that very body, and the tag names it.
bool kept_apply(lua_State *L, struct work *w, unsigned status, int body, struct fields *f);
// Functions of lunette.core.
int core_keep(lua_State *L);
int core_fills(lua_State *L);
int core_field(lua_State *L);
int core_has_body(lua_State *L);
int core_added(lua_State *L);
int core_added_since(lua_State *L);

// own_hosts.c
int core_own_hosts(lua_State *L);
int core_shows(lua_State *L);
// The mark of the script that an answer is given; NULL: it is given none.
const struct inject_mark *work_mark(const struct handler *h, const struct exchange *x);

// lua_stream.c
void stream_source_init(struct work *w);
void stream_source_fini(struct work *w); // ready for the next request, memory kept
void stream_source_free(struct work *w);
// Pushes the write function for w.
void stream_push_write(lua_State *L, struct work *w);
int core_sender(lua_State *L);
// Sends the answer that waits for its first bytes, if one does.
void stream_send_head(struct work *w);
// The same at the end of a turn; an event stream that wrote nothing yet begins with a comment.
void stream_start(struct work *w);
// The answer that waits will not be sent, nor what was written for it.
void stream_forget(struct work *w);
// Keeps the trailers that the stream's function returned on top of the stack; other values than
// tables are none. NULL, or why there will be no trailers: pushed, alive until the stack is cleared.
const char *stream_keep_trailers(lua_State *L, struct work *w);
// The function is over, and the answer was sent.
void stream_source_end(struct work *w, bool failed);

#endif

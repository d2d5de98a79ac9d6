// The life of a request in Lua: on_request → coroutine → answer → the exchange's end.
//
// Everything that can raise runs inside the coroutine (run and its continuations), so that an
// error, a lack of memory included, ends in on_co_end and never crosses the layers below.
#include "script/handler.h"

#include "base/log.h"
#include "http/page.h"
#include "script/client.h"
#include "script/cut.h"
#include "script/luax.h"
#include "script/plain.h"
#include "script/work.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- works ---

static void on_deadline(struct timeout *t);
static void on_start(struct deferred *d);

enum {
    OWN_ANSWER_MS = 100, // what a cancelled handler gets to give an answer of its own
    GRACE_MS = 5000,     // and to roll back what it began: its __close variables may wait
    SAID_MAX = 120,      // bytes of a target, of a request whose Lua never came back
};

void handler_text_done(struct handler *h)
{
    if (h->text.cap > WORK_TEXT_KEEP)
        buf_fini(&h->text);
}

static struct work *new_work(struct handler *h)
{
    if (h->work_count == h->work_cap) {
        uint32_t cap = h->work_cap ? h->work_cap * 2 : 64;
        struct work **works = reallocarray(h->works, cap, sizeof *works);
        if (!works)
            return NULL;
        h->works = works;
        h->work_cap = cap;
    }
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->h = h;
    w->place = h->work_count;
    w->kept.body = LUA_NOREF;
    fields_init(&w->extra);
    fields_init(&w->file_fields);
    fields_init(&w->head_fields);
    timeout_init(&w->deadline, on_deadline);
    w->start.fn = on_start;
    stream_source_init(w);
    buf_init(&w->incoming, WORK_READ_MAX + WORK_READ_OVER);
    return h->works[h->work_count++] = w;
}

static struct work *take_work(struct handler *h, struct exchange *x)
{
    struct work *w = h->spares;
    if (w)
        h->spares = w->spare;
    else if (!(w = new_work(h)))
        return NULL;
    w->x = x;
    w->after = LUA_NOREF;
    w->deadline_ms = h->options.handler_ms;
    w->handle = ++h->uses << 24 | w->place; // 2^40 requests, 2^24 at a time
    h->busy++;
    return w;
}

static void drop_file(struct work *w)
{
    if (w->file_ready && w->file.release)
        w->file.release(w->file.release_arg);
    w->file_ready = false;
    fields_clear(&w->file_fields);
    file_root_close(w->found_root);
    w->found_root = NULL;
}

// Both sides are over: the place is free for the next request.
static void give_work(struct work *w)
{
    struct handler *h = w->h;
    assert(!w->x && !w->co);
    drop_file(w);
    fields_clear(&w->extra);
    fields_clear(&w->head_fields);
    timeout_clear(&w->deadline);
    loop_undefer(h->loop, &w->start);
    stream_source_fini(w);
    luaL_unref(vm_state(h->vm), LUA_REGISTRYINDEX, w->after);
    w->after = LUA_NOREF;
    w->lists = false;
    kept_forget(vm_state(h->vm), &w->kept);
    w->watched = w->fills = w->sends_kept = false;
    w->seen = 0;
    w->late = w->cut_told = w->failing = w->head_waits = w->no_coding = w->from_file = false;
    w->stage = WORK_ON_TIME;
    w->handle = 0;
    w->memory = 0;
    w->spare = h->spares;
    h->spares = w;
    h->busy--;
}

static void free_work(struct work *w)
{
    timeout_remove(w->h->loop, &w->deadline);
    loop_undefer(w->h->loop, &w->start);
    fields_fini(&w->extra);
    fields_fini(&w->file_fields);
    fields_fini(&w->head_fields);
    stream_source_free(w);
    buf_fini(&w->incoming);
    free(w);
}

// --- the coroutine of a request ---

static int run_answer(lua_State *L, struct work *w);

// The stack of a request's coroutine: the work, the request table, then results.
enum { AT_WORK = 1, AT_REQUEST = 2, AT_RESULTS = 3 };

// It lies in the outermost frame of the coroutine, which is run's.
void request_push_own(lua_State *L, struct work *w)
{
    lua_State *base = co_state(w->co);
    lua_Debug frame;
    int level = 0;
    luaL_checkstack(base, 1, "a request");
    while (lua_getstack(base, level, &frame))
        level++;
    bool there = level > 0 && lua_getstack(base, level - 1, &frame) &&
                 lua_getlocal(base, &frame, AT_REQUEST);
    assert(there);
    if (base != L)
        lua_xmove(base, L, 1);
}

// Continuation of dispatch and of failed.
static int run_returned(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    return run_answer(L, (struct work *)ctx);
}

// The log's line for results that could not be sent: it names the handler.
static void log_failure(lua_State *L, struct work *w, unsigned status, const char *message)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->place);
    lua_pushvalue(L, AT_REQUEST);
    lua_call(L, 1, 1);
    const char *place = lua_tostring(L, -1);
    log_about(exchange_id(w->x), LOG_ERROR, "%u %.*s %.*s: %s%s%s%s", status,
              STR_ARG(method_name(w->x->request.method)), STR_ARG(w->x->request.target), message,
              place ? " (the handler at " : "", place ? place : "", place ? ")" : "");
}

static void log_cut(const struct work *w, const struct cut_record *r)
{
    log_about(exchange_id(w->x), LOG_ERROR, "503 %.*s %.*s: %s%s%s",
              STR_ARG(method_name(w->x->request.method)), STR_ARG(w->x->request.target), r->message,
              *r->traceback ? "\n" : "", r->traceback);
}

// Calls a function of the library with the request and the n values on top. Its results are the
// answer.
static int run_library(lua_State *L, struct work *w, int function, int n)
{
    w->failing = true;
    drop_file(w);
    lua_rotate(L, AT_RESULTS, n);
    lua_settop(L, AT_RESULTS + n - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_pushvalue(L, AT_REQUEST);
    lua_rotate(L, AT_RESULTS, 2);
    lua_callk(L, n + 1, LUA_MULTRET, (lua_KContext)w, run_returned);
    return run_answer(L, w);
}

// The page of an error. message: NULL, or valid until this pushes.
static int run_failed(lua_State *L, struct work *w, unsigned status, const char *message)
{
    lua_pushinteger(L, (lua_Integer)status);
    lua_pushstring(L, message); // NULL gives nil
    if (message) {
        log_failure(L, w, status, lua_tostring(L, -1));
        lua_pop(L, 1); // the place
    }
    return run_library(L, w, w->h->failed, 2);
}

bool work_was_cut(const struct work *w)
{
    return w->co && co_was_cut(w->co) && !w->cut_told;
}

// The error that cut the request's Lua was caught there, and whatever it answered since is void. In
// the run of the cut the record of it is still to be had; later it is in the log.
static int run_cut(lua_State *L, struct work *w)
{
    const struct cut_record *r = cut_take(w->h->vm);
    w->cut_told = true;
    if (!r)
        return run_failed(L, w, 503, "the handler ran for longer than timeouts.cpu");
    log_cut(w, r);
    lua_pushinteger(L, 503);
    lua_pushstring(L, r->message);
    return run_library(L, w, w->h->failed, 2);
}

// A stream's function raised the error on top. Before the first byte that is the answer; later it is
// a record in the log, and the answer breaks off.
static int run_raised(lua_State *L, struct work *w)
{
    bool sent = !w->head_waits;
    if (w->failing && !sent)
        return lua_error(L); // the page of an error failed
    lua_pushboolean(L, sent);
    if (!sent) {
        stream_forget(w);
        return run_library(L, w, w->h->raised, 2);
    }
    lua_rotate(L, AT_RESULTS, 2);
    lua_settop(L, AT_RESULTS + 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->raised);
    lua_pushvalue(L, AT_REQUEST);
    lua_rotate(L, AT_RESULTS, 2);
    lua_call(L, 3, 0);
    stream_source_end(w, true);
    return 0;
}

// The function that writes the body is over: what it returned, or the error, is on top.
static int run_streamed(lua_State *L, int status, lua_KContext ctx)
{
    struct work *w = (struct work *)ctx;
    if (!w->x)
        return 0; // an error after the client left is only its consequence
    if (status != LUA_OK && status != LUA_YIELD) // likewise where nobody wanted the body
        return w->stream.closed ? 0 : run_raised(L, w);
    if (work_was_cut(w)) {
        lua_pushliteral(L, "the stream's function ran for longer than timeouts.cpu");
        return run_raised(L, w);
    }
    stream_send_head(w);
    const char *wrong = stream_keep_trailers(L, w);
    if (wrong)
        log_failure(L, w, w->x->status, wrong);
    stream_source_end(w, false);
    return 0;
}

static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static int run_stream(lua_State *L, struct work *w, int function)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->raise);
    int handler = lua_gettop(L);
    lua_pushvalue(L, function);
    stream_push_write(L, w);
    int status = lua_pcallk(L, 1, 1, handler, (lua_KContext)w, run_streamed);
    return run_streamed(L, status, (lua_KContext)w);
}

static int run_answer(lua_State *L, struct work *w)
{
    struct answer a;
    int stream = 0;
    luaL_checkstack(L, LUA_MINSTACK, "an answer");
    if (!w->x || w->x->status != 0)
        return 0; // the client left meanwhile, or was answered without us
    if (work_was_cut(w) && !w->failing)
        return run_cut(L, w);
    if (w->late && !w->failing)
        return run_failed(L, w, 503, "the handler took longer than timeouts.handler");
    answer_read(L, w->h, AT_RESULTS, &a);
    const char *wrong = a.kind == ANSWER_WRONG ? a.message : NULL;
    if (a.kind == ANSWER_STATUS && a.status >= 400 && !w->failing)
        return run_failed(L, w, a.status, NULL);
    if (!wrong)
        wrong = answer_send(L, w, &a, &stream);
    if (!wrong)
        return stream ? run_stream(L, w, stream) : 0;
    if (w->failing)
        return luaL_error(L, "%s", wrong);
    return run_failed(L, w, 500, wrong);
}

// Plain routes: a literal path without middleware and options, whose handler C calls by itself, as
// dispatch would. What comes of it is Lua's to settle unless it is an answer as it is. It halves what
// Lua costs a small answer (2,900 instructions of 12,300).

// Whether the table at idx is what app.file gave.
static bool is_file_response(lua_State *L, const struct handler *h, int idx)
{
    if (!lua_getmetatable(L, idx))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->files);
    lua_pushvalue(L, idx);
    bool is = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 3);
    return is;
}

// Whether the results from AT_RESULTS + 1 on can be sent as they are; the same as finish of
// dispatch.lua.
static bool is_whole_answer(lua_State *L, const struct handler *h)
{
    enum { FIRST = AT_RESULTS + 1 };
    int n = lua_gettop(L) - AT_RESULTS, type = lua_type(L, FIRST);
    if (n == 1 && type == LUA_TTABLE)
        return !is_file_response(L, h, FIRST);
    if (n == 1 && type == LUA_TSTRING)
        return true;
    lua_Integer status = type == LUA_TNUMBER ? lua_tointeger(L, FIRST) : 0;
    if (n < 1 || n > 3 || status < 200 || status > 599)
        return false;
    return status < 400 || lua_toboolean(L, FIRST + 1) || lua_toboolean(L, FIRST + 2);
}

// xpcall has returned: whether it went well, and the results, are from AT_RESULTS on.
static int run_plain_returned(lua_State *L, int status, lua_KContext ctx)
{
    struct work *w = (struct work *)ctx;
    (void)status;
    if (lua_toboolean(L, AT_RESULTS) && is_whole_answer(L, w->h)) {
        lua_remove(L, AT_RESULTS);
        return run_answer(L, w);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->settle);
    lua_pushvalue(L, AT_REQUEST);
    lua_rotate(L, AT_RESULTS, 2);
    lua_callk(L, lua_gettop(L) - AT_RESULTS, LUA_MULTRET, (lua_KContext)w, run_returned);
    return run_answer(L, w);
}

// Pushes xpcall, the handler of the request's plain route and its message handler; or nothing.
static bool push_plain(lua_State *L, const struct work *w)
{
    const struct http_request *r = &w->x->request;
    if (r->has_body || r->encoded_slash || w->h->plain[r->method] == LUA_NOREF)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->plain[r->method]);
    luax_push(L, r->path);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->xpcall);
    lua_replace(L, -3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->raise);
    return true;
}

// The body of every request's coroutine. Argument: the work.
static int run(lua_State *L)
{
    struct work *w = lua_touserdata(L, AT_WORK);
    const struct http_request *r = &w->x->request;
    request_push(L, w);
    if (push_plain(L, w)) {
        lua_pushvalue(L, AT_REQUEST);
        lua_callk(L, 3, LUA_MULTRET, (lua_KContext)w, run_plain_returned);
        return run_plain_returned(L, LUA_OK, (lua_KContext)w);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->dispatch);
    lua_pushvalue(L, AT_REQUEST);
    luax_push(L, method_name(r->method));
    luax_push(L, r->path);
    lua_pushboolean(L, r->encoded_slash);
    lua_pushboolean(L, r->has_body);
    lua_callk(L, 5, LUA_MULTRET, (lua_KContext)w, run_returned);
    return run_answer(L, w);
}

// The plain page, written by C alone: for when Lua itself is in trouble, or not to be asked.
static void answer_plainly(struct handler *h, struct exchange *x, unsigned status)
{
    struct buf *page = &h->text;
    buf_clear(page);
    fields_clear(&h->fields);
    page_html(page, status, str_of(NULL, 0));
    struct http_response r = {
        .status = status,
        .fields = &h->fields,
        .default_type = STR("text/html; charset=utf-8"),
        .body = BODY_BYTES,
        .bytes = buf_str(page),
    };
    if (h->options.mark)
        inject_response(&r, &h->fields, &x->request, h->options.mark);
    exchange_respond(x, &r);
}

// The error on top as text, without converting anything: that could raise, and nothing here may.
static const char *error_text(lua_State *L)
{
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is not a string";
}

// The request's Lua failed, and the page for that failed too, or had no time or memory.
static void answer_for_dead(struct work *w, bool cut, const char *error)
{
    unsigned status = cut || strcmp(error, "not enough memory") == 0 ? 503 : 500;
    const struct cut_record *r = cut ? cut_take(w->h->vm) : NULL;
    if (r)
        log_cut(w, r);
    else
        log_about(exchange_id(w->x), LOG_ERROR, "%u %.*s: %s", status,
                  STR_ARG(w->x->request.target), error);
    if (w->x->status == 0) {
        stream_forget(w);
        w->stream.closed = true;
        answer_plainly(w->h, w->x, status);
    } else {
        stream_source_end(w, true);
    }
    request_end_reading(w);
}

static void on_co_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct work *w = arg;
    (void)n;
    w->co = NULL;
    if (how == CO_RAISED && w->x)
        answer_for_dead(w, co_was_cut(co), error_text(L));
    if (!w->x)
        give_work(w);
}

static void say(const void *arg, struct watchdog_words *words)
{
    const struct work *w = arg;
    if (!w->x)
        return;
    watchdog_say(words, method_name(w->x->request.method));
    watchdog_say(words, STR(" "));
    struct str target = w->x->request.target;
    watchdog_say(words, str_of(target.p, target.n < SAID_MAX ? target.n : SAID_MAX));
}

// --- what the server calls ---

void work_start_clock(struct work *w)
{
    if (w->deadline_ms)
        timeout_set(w->h->loop, &w->deadline, w->deadline_ms);
}

// The answer that dispatch would come to, where it has said so (core.files_decide): a file, if there
// is one now. Everything else is Lua's to answer.
static bool answer_without_lua(struct handler *h, struct exchange *x)
{
    const struct http_request *r = &x->request;
    struct http_response file = {.status = 0};
    if (r->encoded_slash || r->has_body || !shortcuts_have(&h->shortcuts, r->method, r->path) ||
        (h->options.mark && inject_wanted(r)))
        return false;
    fields_clear(&h->fields);
    switch (static_answer(h->options.root, &h->options.files, r, r->path, loop_wall(h->loop),
                          &x->arena, &h->fields, &file)) {
    case STATIC_FOUND:
    case STATIC_REDIRECT:
        x->user = NULL; // no work
        exchange_is_file(h, x);
        exchange_respond(x, &file);
        return true;
    default:
        return false;
    }
}

static void on_request(void *self, struct exchange *x)
{
    struct handler *h = self;
    unsigned refused = client_find(x, &h->options.trusted_proxies);
    if (refused) {
        x->user = NULL; // no work
        answer_plainly(h, x, refused);
        return;
    }
    if (answer_without_lua(h, x))
        return;
    struct work *w = take_work(h, x);
    struct co *co = w ? co_new(h->vm) : NULL;
    x->user = w;
    if (!co) {
        struct http_response busy = {.status = 503, .close = true};
        log_about(exchange_id(x), LOG_ERROR, "503 %.*s: out of memory for a handler",
                  STR_ARG(x->request.target));
        exchange_respond(x, &busy);
        return;
    }
    w->co = co;
    co_set_say(co, say);
    lua_State *L = co_state(co);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, w);
    vm_meter_start(h->vm, &w->memory);
    co_start(co, 1, on_co_end, w);
    vm_meter_stop(h->vm);
    if (w->co) // it waits
        work_start_clock(w);
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    (void)self;
    request_on_body(x->user, status, why);
}

static void on_data(void *self, struct exchange *x, struct str bytes)
{
    (void)self;
    request_on_data(x->user, bytes);
}

static void set_stage(struct work *w, enum work_stage stage, uint64_t ms)
{
    w->stage = (unsigned char)stage;
    timeout_set(w->h->loop, &w->deadline, ms);
}

// The coroutine caught its cancel, or does not come to its answer: the client gets one all the same.
static void answer_for(struct work *w)
{
    log_about(exchange_id(w->x), LOG_ERROR, "503 %.*s: the handler went on after timeouts.handler",
              STR_ARG(w->x->request.target));
    stream_forget(w);
    w->stream.closed = true;
    answer_plainly(w->h, w->x, 503);
    request_end_reading(w);
}

static void on_deadline(struct timeout *t)
{
    struct work *w = (struct work *)((char *)t - offsetof(struct work, deadline));
    bool answered = w->x && w->x->status != 0;
    if (!w->co || w->reader)
        return;
    switch ((enum work_stage)w->stage) {
    case WORK_ON_TIME:
        if (answered)
            return;
        w->late = true;
        set_stage(w, WORK_CANCELLED, OWN_ANSWER_MS);
        co_cancel(w->co, "the handler took longer than timeouts.handler");
        break;
    case WORK_CANCELLED:
        if (answered)
            return;
        if (w->x)
            answer_for(w);
        set_stage(w, WORK_GIVEN_UP, GRACE_MS);
        break;
    case WORK_GIVEN_UP:
        log_write(LOG_ERROR, "a handler that had nobody to answer went on for %d s: it was ended",
                  GRACE_MS / 1000);
        co_kill(w->co);
    }
}

static void on_start(struct deferred *d)
{
    struct work *w = (struct work *)((char *)d - offsetof(struct work, start));
    if (w->x && w->head_waits)
        stream_start(w);
}

static void on_after_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    (void)co;
    (void)n;
    (void)arg;
    if (how == CO_RAISED)
        log_write(LOG_ERROR, "in req:after: %s", error_text(L));
}

static void log_after(lua_State *L)
{
    const char *text = luaL_tolstring(L, -1, NULL);
    log_write(LOG_ERROR, "in req:after: %s", text);
    cut_logged(vm_of(L), text);
}

// The body of the coroutine that runs req:after functions. Argument: the array.
static int run_after_k(lua_State *L, int status, lua_KContext i)
{
    if (status != LUA_OK && status != LUA_YIELD)
        log_after(L);
    for (;;) {
        lua_settop(L, 1);
        lua_pushcfunction(L, add_traceback);
        if (lua_rawgeti(L, 1, ++i) == LUA_TNIL)
            return 0;
        status = lua_pcallk(L, 0, 0, 2, i, run_after_k);
        if (status != LUA_OK)
            log_after(L);
    }
}

static int run_after(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, (lua_Integer)(intptr_t)lua_touserdata(L, 1));
    lua_replace(L, 1);
    return run_after_k(L, LUA_OK, 0);
}

static void start_after(struct work *w)
{
    struct co *co = co_new(w->h->vm);
    if (!co) {
        log_write(LOG_ERROR, "out of memory for req:after");
        return;
    }
    lua_State *L = co_state(co);
    lua_pushcfunction(L, run_after);
    lua_pushlightuserdata(L, (void *)(intptr_t)w->after);
    co_start(co, 1, on_after_end, NULL);
}

static void on_end(void *self, struct exchange *x, bool sent)
{
    struct work *w = x->user;
    (void)self;
    if (!w)
        return;
    stream_forget(w); // functions of req:after may still hold its write
    w->stream.closed = true;
    if (w->after != LUA_NOREF)
        start_after(w);
    lua_file_close_all(&w->files);
    request_drop_body(w);
    w->x = NULL;
    w->handle = 0; // request tables are stale from here on
    if (!w->co) {
        give_work(w);
    } else if (!sent) {
        set_stage(w, WORK_GIVEN_UP, GRACE_MS);
        co_cancel(w->co, "the client closed the connection");
    }
}

const struct http_handler handler_http = {
    .on_request = on_request,
    .on_body = on_body,
    .on_data = on_data,
    .on_end = on_end,
};

// --- loading ---

static int load_loaded(lua_State *L, int status, lua_KContext ctx)
{
    struct handler *h = (struct handler *)ctx;
    (void)status;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->loaded);
    lua_call(L, 0, 0);
    return 0;
}

static int load_main(lua_State *L, int status, lua_KContext ctx)
{
    struct handler *h = (struct handler *)ctx;
    (void)status;
    if (!h->started)
        return luaL_error(L, "the library did not start");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/scripts/main.lua", vm_options(h->vm)->site);
    if (vm_has_file(h->vm, path)) {
        if (vm_load_file(L, "scripts/main.lua") != LUA_OK)
            return lua_error(L);
        lua_callk(L, 0, 0, ctx, load_loaded);
    }
    return load_loaded(L, LUA_OK, ctx);
}

// The body of the coroutine that loads the site. Argument: the handler.
static int load(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "lunette");
    lua_callk(L, 1, 0, (lua_KContext)h, load_main);
    return load_main(L, LUA_OK, (lua_KContext)h);
}

static int as_text(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "an error that is not a string but a %s", luaL_typename(L, 1));
    return 1;
}

// Arguments: the handler, the thread that failed, its error. Results of the library's report: the failure
// as HTML, which is kept, and as text.
static int make_report(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->report);
    lua_replace(L, 1);
    lua_call(L, 2, 2);
    struct str html = luax_check_str(L, -2);
    buf_clear(&h->reported);
    buf_add(&h->reported, html);
    return 1;
}

// Pushes on the main thread what is said of the error on top of L, in more words than its own; false,
// with nothing pushed, where nothing can be.
static bool push_report(struct handler *h, lua_State *L)
{
    lua_State *main = vm_state(h->vm);
    if (!vm_options(h->vm)->dev || !h->started || !lua_checkstack(L, 2) || !lua_checkstack(main, 6))
        return false;
    lua_pushcfunction(main, make_report);
    lua_pushlightuserdata(main, h);
    lua_pushthread(L);
    lua_xmove(L, main, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, main, 1);
    if (lua_pcall(main, 3, 1, 0) == LUA_OK && lua_isstring(main, -1))
        return true;
    log_write(LOG_WARN, "the failure cannot be shown: %s", error_text(main));
    lua_pop(main, 1);
    return false;
}

static void on_load_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct handler *h = arg;
    (void)n;
    if (how == CO_RETURNED) { // though what it ran for too long may have caught the error
        h->load_done(h->load_arg, co_was_cut(co) ? "the scripts ran for longer than timeouts.cpu "
                                                   "while they were loaded: see the log"
                                                 : NULL);
        return;
    }
    cut_take(h->vm);                   // it is the error
    lua_State *main = vm_state(h->vm); // L has failed
    if (!push_report(h, L)) {
        lua_pushcfunction(main, as_text);
        lua_xmove(L, main, 1);
        lua_pcall(main, 1, 1, 0); // the text, or the error of making it
    }
    const char *message = lua_tostring(main, -1);
    vm_push_traceback(main, L, message ? message : "an error that is not a string", 0);
    lua_remove(main, -2);
    h->load_done(h->load_arg, lua_tostring(main, -1));
    lua_pop(main, 1);
}

void handler_load(struct handler *h, void (*done)(void *arg, const char *error), void *arg)
{
    struct co *co = co_new(h->vm);
    if (!co) {
        done(arg, "out of memory");
        return;
    }
    h->load_done = done;
    h->load_arg = arg;
    lua_State *L = co_state(co);
    lua_pushcfunction(L, load);
    lua_pushlightuserdata(L, h);
    co_start(co, 1, on_load_end, h);
}

// Runs protected, when the handler is made. Argument: the handler.
static int register_all(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_file_register(L);
    request_register(L, h);
    lua_part_register(L, h);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, luaopen_lunette_core, 1);
    lua_setfield(L, -2, "lunette.core");
    return 0;
}

struct str handler_report(const struct handler *h)
{
    return buf_str(&h->reported);
}

struct str handler_running_id(struct handler *h)
{
    struct work *w = work_running(h);
    return w && w->x ? exchange_id(w->x) : STR("");
}

unsigned handler_busy(const struct handler *h)
{
    return h->busy;
}

struct handler_declared handler_declared(const struct handler *h)
{
    return h->declared;
}

void handler_end_all(struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++)
        if (h->works[i]->x)
            exchange_abort(h->works[i]->x);
}

void handler_push_run(lua_State *L)
{
    lua_pushcfunction(L, run);
}

struct handler *handler_new(struct vm *vm, const struct handler_options *o)
{
    struct handler *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->vm = vm;
    h->loop = vm_options(vm)->loop;
    h->options = *o;
    h->file_fit = o->fit;
    h->file_fit.codings.offered &= 1u
                                   << CODING_GZIP; // other codings of files are files beside them
    h->options.files.fit = &h->file_fit;
    h->options.files.caching = &h->caching;
    h->dispatch = h->failed = h->loaded = h->place = h->raise = h->raised = h->refuse = LUA_NOREF;
    h->report = LUA_NOREF;
    h->settle = h->xpcall = h->files = h->response_meta = LUA_NOREF;
    for (int i = 0; i < HTTP_METHODS; i++)
        h->plain[i] = LUA_NOREF;
    h->request_meta = h->headers_meta = LUA_NOREF;
    fields_init(&h->fields);
    buf_init(&h->text, WORK_TEXT_MAX);
    buf_init(&h->reported, WORK_REPORT_MAX);
    if (!shortcuts_init(&h->shortcuts) || file_root_open(vm_options(vm)->site, &h->site) < 0) {
        handler_free(h);
        return NULL;
    }
    file_root_walk(h->site); // a link beneath it must not lead app.file into scripts/
    lua_State *L = vm_state(vm);
    lua_pushcfunction(L, register_all);
    lua_pushlightuserdata(L, h);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        log_write(LOG_ERROR, "the library cannot be loaded: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
        handler_free(h);
        return NULL;
    }
    return h;
}

void handler_free(struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++)
        free_work(h->works[i]);
    free(h->works);
    if (h->site)
        file_root_close(h->site);
    handler_drop_routes(h);
    shortcuts_fini(&h->shortcuts);
    fields_fini(&h->fields);
    buf_fini(&h->text);
    buf_fini(&h->reported);
    free(h);
}

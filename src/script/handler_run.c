// The coroutine of a request: what Lua is called with, and what becomes of what it returns or raises.
//
//      run ──> a plain route's handler, or dispatch ──> run_answer ──> answer_send
//                                                          └──> a page of the library, when that fails
//
// All of it runs within the coroutine, so that whatever raises ends in on_co_end (handler.c).
#include "base/log.h"
#include "script/cut.h"
#include "script/luax.h"
#include "script/work.h"

#include <assert.h>

static int run_answer(lua_State *L, struct work *w);

// The stack of a request's coroutine: the work, the request table, then results. The table is nil
// until somebody needs it, where the handler takes none.
enum { AT_WORK = 1, AT_REQUEST = 2, AT_RESULTS = 3 };

static void push_request(lua_State *L, struct work *w)
{
    if (lua_isnil(L, AT_REQUEST)) {
        request_push(L, w);
        lua_replace(L, AT_REQUEST);
        w->table = lua_topointer(L, AT_REQUEST);
    }
    lua_pushvalue(L, AT_REQUEST);
}

// Pushes what lies there in the outermost frame of the coroutine, which is run's. Nothing may be raised on
// base: where that is another one than L, the error would pass L by.
static void push_from_base(lua_State *L, lua_State *base, lua_Debug *frame)
{
    int level = 0;
    if (!lua_checkstack(base, 1))
        luaL_error(L, "not enough memory");
    while (lua_getstack(base, level, frame))
        level++;
    bool there =
        level > 0 && lua_getstack(base, level - 1, frame) && lua_getlocal(base, frame, AT_REQUEST);
    assert(there);
    if (base != L)
        lua_xmove(base, L, 1);
}

void request_push_own(lua_State *L, struct work *w)
{
    lua_State *base = co_state(w->co);
    lua_Debug frame;
    push_from_base(L, base, &frame);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    request_push(L, w); // which may raise
    lua_pushvalue(L, -1);
    if (base != L)
        lua_xmove(L, base, 1);
    lua_setlocal(base, &frame, AT_REQUEST);
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
    push_request(L, w);
    lua_call(L, 1, 1);
    const char *place = lua_tostring(L, -1);
    log_about(exchange_id(w->x), LOG_ERROR, "%u %.*s %.*s: %s%s%s%s", status,
              STR_ARG(method_name(w->x->request.method)), STR_ARG(w->x->request.target), message,
              place ? " (the handler at " : "", place ? place : "", place ? ")" : "");
}

void work_log_cut(const struct work *w, const struct cut_record *r)
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
    work_drop_file(w);
    lua_rotate(L, AT_RESULTS, n);
    lua_settop(L, AT_RESULTS + n - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    push_request(L, w);
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
    work_log_cut(w, r);
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
    push_request(L, w);
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

static int run_stream(lua_State *L, struct work *w, int function)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->raise);
    int handler = lua_gettop(L);
    lua_pushvalue(L, function);
    stream_push_write(L, w);
    int status = lua_pcallk(L, 1, 1, handler, (lua_KContext)w, run_streamed);
    return run_streamed(L, status, (lua_KContext)w);
}

static int run_send(lua_State *L, struct work *w, const struct answer *a)
{
    int stream = 0;
    const char *wrong = a->kind == ANSWER_WRONG ? a->message : NULL;
    if (a->kind == ANSWER_STATUS && a->status >= 400 && !w->failing)
        return run_failed(L, w, a->status, NULL);
    if (!wrong)
        wrong = answer_send(L, w, a, &stream);
    if (!wrong)
        return stream ? run_stream(L, w, stream) : 0;
    if (w->failing)
        return luaL_error(L, "%s", wrong);
    return run_failed(L, w, 500, wrong);
}

// The client left meanwhile, or was answered without us.
static bool is_over(const struct work *w)
{
    return !w->x || w->x->status != 0;
}

static int run_answer(lua_State *L, struct work *w)
{
    struct answer a;
    luaL_checkstack(L, LUA_MINSTACK, "an answer");
    if (is_over(w))
        return 0;
    if (work_was_cut(w) && !w->failing)
        return run_cut(L, w);
    if (w->late && !w->failing)
        return run_failed(L, w, 503, "the handler took longer than timeouts.handler");
    answer_read(L, w->h, AT_RESULTS, &a);
    return run_send(L, w, &a);
}

// Plain routes: a literal path without middleware and options, whose handler C calls by itself, as
// dispatch would. What comes of it is Lua's to settle unless it is an answer as it is. It halves what
// Lua costs a small answer (2,900 instructions of 12,300); a handler without parameters saves the
// request table, too (1,400 of 9,100).

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

// The stack while it runs: its message handler, which then makes way for whether it went well.
enum { AT_RAISE = AT_RESULTS, AT_PLAIN = AT_RAISE + 1 };

// Whether the results from AT_PLAIN on, n of them, can be sent as they were read; the same as finish
// of outcome.lua.
static bool is_whole(lua_State *L, const struct handler *h, int n, const struct answer *a)
{
    switch (a->kind) {
    case ANSWER_STATUS:
        return a->status < 400;
    case ANSWER_RESPONSE:
        if (n == 1)
            return !lua_istable(L, AT_PLAIN) || !is_file_response(L, h, AT_PLAIN);
        return a->status < 400 || a->headers || lua_toboolean(L, a->body);
    case ANSWER_PREPARED:
    case ANSWER_WRONG:
        break;
    }
    return false;
}

static int run_plain_returned(lua_State *L, int status, lua_KContext ctx)
{
    struct work *w = (struct work *)ctx;
    bool went_well = status == LUA_OK || status == LUA_YIELD;
    int n = lua_gettop(L) - AT_RAISE;
    luaL_checkstack(L, LUA_MINSTACK, "an answer"); // any number of results may have filled it
    if (went_well && is_over(w))
        return 0;
    if (went_well && !w->late && !work_was_cut(w)) {
        struct answer a;
        answer_read(L, w->h, AT_PLAIN, &a);
        if (is_whole(L, w->h, n, &a))
            return run_send(L, w, &a);
        lua_settop(L, AT_RAISE + n);
    }
    lua_pushboolean(L, went_well);
    lua_replace(L, AT_RAISE);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->settle);
    push_request(L, w);
    lua_rotate(L, AT_RESULTS, 2);
    lua_callk(L, lua_gettop(L) - AT_RESULTS, LUA_MULTRET, (lua_KContext)w, run_returned);
    return run_answer(L, w);
}

// The stack is AT_WORK alone: pushes the request or nil, the message handler, and the handler of the
// request's plain route with its arguments, which are counted; −1, with nothing pushed: it has none, or
// its body is yet to come.
static int push_plain(lua_State *L, struct work *w)
{
    const struct http_request *r = &w->x->request;
    const struct plain_routes *plain = &w->h->plain[r->method];
    if (r->encoded_slash || plain->handlers == LUA_NOREF)
        return -1;
    lua_pushnil(L); // AT_REQUEST
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->raise);
    lua_rawgeti(L, LUA_REGISTRYINDEX, plain->handlers);
    names_push(L, &w->h->names, r->path);
    int type = lua_rawget(L, -2);
    if (type == LUA_TNIL || (r->has_body && !request_take_body(w, w->h->options.body_bytes))) {
        lua_settop(L, AT_WORK);
        return -1;
    }
    if (type != LUA_TNUMBER) {
        lua_replace(L, AT_PLAIN);
        push_request(L, w);
        return 1;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, plain->bare);
    lua_rawgeti(L, -1, lua_tointeger(L, -2));
    lua_replace(L, AT_PLAIN);
    lua_settop(L, AT_PLAIN);
    return 0;
}

// The body of every request's coroutine. Argument: the work.
static int run(lua_State *L)
{
    struct work *w = lua_touserdata(L, AT_WORK);
    const struct http_request *r = &w->x->request;
    int nargs = push_plain(L, w);
    if (nargs >= 0) {
        lua_KContext ctx = (lua_KContext)w;
        int status = lua_pcallk(L, nargs, LUA_MULTRET, AT_RAISE, ctx, run_plain_returned);
        return run_plain_returned(L, status, ctx);
    }
    request_push(L, w);
    w->table = lua_topointer(L, AT_REQUEST);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->dispatch);
    lua_pushvalue(L, AT_REQUEST);
    luax_push(L, method_name(r->method));
    luax_push(L, r->path);
    lua_pushboolean(L, r->encoded_slash);
    lua_pushboolean(L, r->has_body);
    lua_callk(L, 5, LUA_MULTRET, (lua_KContext)w, run_returned);
    return run_answer(L, w);
}

void handler_push_run(lua_State *L)
{
    lua_pushcfunction(L, run);
}

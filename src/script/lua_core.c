// lunette.core: the primitives that the embedded Lua library is made of. Not for sites.
//
// Every function here is a closure with the handler as its first upvalue; those that take a request
// find its work by the handle in the table.
#include "base/log.h"
#include "http/accept.h"
#include "http/conditions.h"
#include "http/page.h"
#include "script/cut.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/plain.h"
#include "script/web.h"
#include "script/work.h"

#include <stddef.h>
#include <string.h>

enum { OFFERED_MAX = 32 };

static struct handler *handler_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// start{dispatch=, failed=, loaded=, place=, raise=, raised=, refuse=, settle=, files=, report=,
// response=, methods=}: what the library gives C to call, and to recognise responses and fill request
// tables with.
static int core_start(lua_State *L)
{
    struct handler *h = handler_of(L);
    const struct {
        const char *name;
        int *ref;
    } kept[] = {
        {"dispatch", &h->dispatch}, {"failed", &h->failed},
        {"loaded", &h->loaded},     {"place", &h->place},
        {"raise", &h->raise},       {"raised", &h->raised},
        {"refuse", &h->refuse},     {"response", &h->response_meta},
        {"settle", &h->settle},     {"files", &h->files},
        {"report", &h->report},
    };
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, !h->started, 1, "the library has started already");
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (lua_getfield(L, 1, kept[i].name) == LUA_TNIL)
            return luaL_error(L, "core.start without %s", kept[i].name);
        *kept[i].ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_getfield(L, 1, "methods");
    request_methods(L, -1);
    h->started = true;
    return 0;
}

// declared(routes, middleware): how many main.lua has.
static int core_declared(lua_State *L)
{
    handler_of(L)->declared = (struct handler_declared){
        .routes = (unsigned)luaL_checkinteger(L, 1),
        .middleware = (unsigned)luaL_checkinteger(L, 2),
    };
    return 0;
}

// Whether the value on top is a function that would not see what it is called with.
static bool takes_nothing(lua_State *L)
{
    lua_Debug ar;
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    return ar.nparams == 0 && !ar.isvararg;
}

// plain(method, handlers): the plain routes of a method, path → handler: what C may call without
// dispatch (handler_run.c). The table is C's from now on.
static int core_plain(lua_State *L)
{
    struct handler *h = handler_of(L);
    enum http_method method = method_parse(luax_check_str(L, 1));
    luaL_argcheck(L, method != HTTP_METHODS, 1, "it is no method");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_newtable(L);
    lua_Integer n = 0;
    for (lua_pushnil(L); lua_next(L, 2);) {
        if (!takes_nothing(L)) {
            lua_pop(L, 1);
            continue;
        }
        lua_rawseti(L, 3, ++n); // bare[n] = handler
        lua_pushvalue(L, -1);
        lua_pushinteger(L, n);
        lua_rawset(L, 2); // handlers[path] = n: a key that is there
    }
    h->plain[method].bare = luaL_ref(L, LUA_REGISTRYINDEX);
    h->plain[method].handlers = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

// --- answers ---

// A table body as JSON text, with its Content-Type, in the response object at res.
static bool encode_body(lua_State *L, struct handler *h, int res)
{
    static const struct json_style style = {.replace_utf8 = true};
    lua_getfield(L, res, "body");
    if (!lua_istable(L, -1))
        return true;
    buf_clear(&h->text);
    if (!json_write(L, -1, &h->text, &style))
        return false;
    luax_push(L, buf_str(&h->text));
    handler_text_done(h);
    lua_setfield(L, res, "body");
    lua_getfield(L, res, "headers");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && str_ieq(luax_str(L, -2), STR("content-type")))
            return true;
    lua_createtable(L, 0, 4); // a copy: the headers may be the handler's own, used again
    for (lua_pushnil(L); lua_next(L, -3);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_pushliteral(L, "application/json");
    lua_setfield(L, -2, "Content-Type");
    lua_setfield(L, res, "headers");
    return true;
}

// normalise(…) → a response object of what a handler returned (a response itself unchanged, a table
// as JSON text), or nil and what is wrong with it.
static int core_normalise(lua_State *L)
{
    struct handler *h = handler_of(L);
    struct answer a;
    bool ready = lua_gettop(L) == 1 && answer_is_response(L, h, 1);
    answer_read(L, h, 1, &a);
    if (a.kind == ANSWER_PREPARED)
        a = (struct answer){.kind = ANSWER_WRONG, .message = "core.FILE is not for middleware"};
    const char *wrong = a.message;
    if (a.kind != ANSWER_WRONG)
        wrong = answer_check_headers(L, h, &a);
    if (wrong) {
        lua_pushnil(L);
        lua_pushstring(L, wrong);
        return 2;
    }
    if (ready) {
        lua_settop(L, 1);
        return 1;
    }
    lua_createtable(L, 0, 4);
    int res = lua_gettop(L);
    lua_pushinteger(L, (lua_Integer)a.status);
    lua_setfield(L, res, "status");
    if (a.headers)
        lua_pushvalue(L, a.headers);
    else
        lua_newtable(L);
    lua_setfield(L, res, "headers");
    if (a.body)
        lua_pushvalue(L, a.body);
    else
        lua_pushnil(L);
    lua_setfield(L, res, "body");
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->response_meta);
    lua_setmetatable(L, res);
    if (!encode_body(L, h, res)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_settop(L, res);
    return 1;
}

// encode(table) → the table as JSON, as it would be sent; or nil and why not.
static int core_encode(lua_State *L)
{
    static const struct json_style style = {.replace_utf8 = true};
    struct handler *h = handler_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    buf_clear(&h->text);
    if (!json_write(L, 1, &h->text, &style)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    luax_push(L, buf_str(&h->text));
    handler_text_done(h);
    return 1;
}

// page(status[, message]) → the built-in page.
static int core_page(lua_State *L)
{
    struct buf *b = &handler_of(L)->text;
    lua_Integer status = luaL_checkinteger(L, 1);
    struct str message = lua_isnoneornil(L, 2) ? STR("") : luax_check_str(L, 2);
    buf_clear(b);
    if (!page_html(b, (unsigned)status, message))
        return luaL_error(L, "the page is too large");
    luax_push(L, buf_str(b));
    return 1;
}

// web_page(title, html) → the page around what is shown with --dev; web_policy() → its
// Content-Security-Policy.
static int core_web_page(lua_State *L)
{
    struct buf *b = &handler_of(L)->text;
    struct str title = luax_check_str(L, 1), shown = luax_check_str(L, 2);
    buf_clear(b);
    if (!web_page(b, title, shown))
        return luaL_error(L, "the page is too large");
    luax_push(L, buf_str(b));
    handler_text_done(handler_of(L));
    return 1;
}

static int core_web_policy(lua_State *L)
{
    lua_pushstring(L, web_policy());
    return 1;
}

static int core_log(lua_State *L)
{
    int level = log_level_parse(luax_check_str(L, 1));
    luaL_argcheck(L, level >= 0, 1, "debug, info, warn or error expected");
    log_text((enum log_level)level, luax_check_str(L, 2));
    return 0;
}

static int core_add_header(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str name = luax_check_str(L, 2), value = luax_check_str(L, 3);
    enum fields_result r = fields_add(&w->extra, name, value);
    if (r == FIELDS_BAD_NAME)
        return luaL_error(L, "header name \"%s\" has a character that is not allowed", name.p);
    if (r == FIELDS_BAD_VALUE)
        return luaL_error(L, "header %s: its value has a CR, LF or another control character",
                          name.p);
    if (r == FIELDS_TWICE)
        return luaL_error(L, "header %s is there twice, and an answer has it once", name.p);
    if (r == FIELDS_FULL)
        return luaL_error(L, "header %s: the headers are over 64 KiB", name.p);
    return 0;
}

// Whether a name was added to Vary already.
static bool has_vary(const struct fields *f, struct str name)
{
    struct str lines = buf_str(&f->lines), line;
    while (f->has & FIELDS_VARY && str_split(&lines, '\n', &line)) {
        ptrdiff_t colon = str_find(line, ':');
        if (colon == 4 && str_ieq(str_of(line.p, 4), STR("Vary")) &&
            str_ieq(str_trim(str_of(line.p + 5, line.n - 6)), name)) // the rest but the CR
            return true;
    }
    return false;
}

// vary(req, name): a name for Vary, once.
static int core_vary(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str name = luax_check_str(L, 2);
    if (!has_vary(&w->extra, name))
        fields_add(&w->extra, STR("Vary"), name);
    return 0;
}

// after(req, fn): fn runs when the answer was handed over, or the connection lost.
static int core_after(lua_State *L)
{
    struct work *w = request_work(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (w->after == LUA_NOREF) {
        lua_newtable(L);
        w->after = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->after);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

// over(req) → whether the exchange has ended: nobody is there to be answered.
static int core_over(lua_State *L)
{
    lua_pushboolean(L, request_try(L, 1) == NULL);
    return 1;
}

// late(req, error) → which time of the handler is over ("timeouts.handler", "timeouts.cpu"), as the text
// of its error may say too; false: none is; and for the latter, message and traceback. Who asks answers
// for it.
static int core_late(lua_State *L)
{
    struct work *w = request_work(L, 1);
    bool cut = work_was_cut(w);
    const struct cut_record *r = cut ? cut_take(w->h->vm) : NULL;
    if (cut || cut_made(luaL_checkstring(L, 2)))
        lua_pushliteral(L, "timeouts.cpu");
    else if (w->late)
        lua_pushliteral(L, "timeouts.handler");
    else
        lua_pushboolean(L, false);
    w->late = false;
    w->cut_told = w->cut_told || cut;
    if (!r)
        return 1;
    lua_pushstring(L, r->message);
    lua_pushstring(L, r->traceback);
    return 3;
}

// timeout(req, seconds): the handler's deadline, from now on.
static int core_timeout(lua_State *L)
{
    struct work *w = request_work(L, 1);
    double s = luax_check_duration(L, 2);
    w->deadline_ms = s * 1000 < UINT32_MAX ? (uint32_t)(s * 1000) : UINT32_MAX;
    return 0;
}

// no_coding(req): the answer is sent as it is, not compressed.
static int core_no_coding(lua_State *L)
{
    request_work(L, 1)->no_coding = true;
    return 0;
}

// current() → the request table of the request whose handler runs, or nil.
static int core_current(lua_State *L)
{
    struct work *w = work_running(handler_of(L));
    if (w && w->x && w->co)
        request_push_own(L, w);
    else
        lua_pushnil(L);
    return 1;
}

// --- the request ---

// asked(req) → the method that the client sent, and whether it asked for "*": the table's fields may be
// the site's by now.
static int core_asked(lua_State *L)
{
    const struct http_request *r = &request_work(L, 1)->x->request;
    luax_push(L, method_name(r->method));
    lua_pushboolean(L, str_eq(r->raw_path, STR("*")));
    return 2;
}

typedef int accept_fn(struct str field, const struct str *offered, int n);

// accept…(req, offered) → the index of the best, or nil; and whether the field has more elements than
// were looked at.
static int accept_by(lua_State *L, struct str field_name, accept_fn *best)
{
    struct work *w = request_work(L, 1);
    struct str offered[OFFERED_MAX];
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer n = luaL_len(L, 2);
    luaL_argcheck(L, n >= 1 && n <= OFFERED_MAX, 2, "1 to 32 values expected");
    luaL_checkstack(L, (int)n, NULL);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, i);
        offered[i - 1] = luax_check_str(L, -1); // stays on the stack, and so alive
    }
    struct str field = request_fields(&w->x->request, field_name, &w->x->arena);
    int hit = best(field, offered, (int)n);
    if (hit < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, hit + 1);
    lua_pushboolean(L, accept_is_long(field));
    return 2;
}

static int core_accept(lua_State *L)
{
    return accept_by(L, STR("accept"), accept_type);
}

static int core_accept_language(lua_State *L)
{
    return accept_by(L, STR("accept-language"), accept_language);
}

static int core_accept_encoding(lua_State *L)
{
    return accept_by(L, STR("accept-encoding"), accept_encoding);
}

// check(req, etag or nil, last_modified or nil) → "go", "not_modified" or "failed", and whether the
// request had a condition at all (RFC 9110 §13).
static int core_check(lua_State *L)
{
    static const char *const verdicts[] = {
        [VERDICT_GO] = "go",
        [VERDICT_NOT_MODIFIED] = "not_modified",
        [VERDICT_FAILED] = "failed",
    };
    struct work *w = request_work(L, 1);
    const struct http_request *r = &w->x->request;
    struct arena *a = &w->x->arena;
    struct conditions c = {
        .if_match = request_fields(r, STR("if-match"), a),
        .if_none_match = request_fields(r, STR("if-none-match"), a),
        .if_modified_since = request_field(r, STR("if-modified-since")),
        .if_unmodified_since = request_field(r, STR("if-unmodified-since")),
    };
    struct validators v = {
        .coded = true, // a client that was sent a coded form shows the tag of that
        .etag = lua_isnoneornil(L, 2) ? STR("") : luax_check_str(L, 2),
        .last_modified = lua_isnoneornil(L, 3) ? -1 : (int64_t)luaL_checknumber(L, 3),
        .now = loop_wall(w->h->loop),
    };
    bool is_get = r->method == HTTP_GET || r->method == HTTP_HEAD;
    enum verdict verdict = conditions_judge(&c, &v, is_get);
    if (w->fills && is_get) // an answer for everybody is made whole, and judged when it is sent
        verdict = VERDICT_GO;
    lua_pushstring(L, verdicts[verdict]);
    lua_pushboolean(L, c.if_match.p || c.if_none_match.p || c.if_modified_since.p ||
                           c.if_unmodified_since.p);
    return 2;
}

static void push_settings(lua_State *L, const struct handler *h)
{
    if (h->options.settings.n == 0 || !plain_decode(L, h->options.settings))
        lua_newtable(L);
}

int luaopen_lunette_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", core_start},
        {"declared", core_declared},
        {"plain", core_plain},
        {"receive", core_receive},
        {"stream", core_stream},
        {"read", core_read},
        {"expect_json", core_expect_json},
        {"normalise", core_normalise},
        {"encode", core_encode},
        {"page", core_page},
        {"web_page", core_web_page},
        {"web_policy", core_web_policy},
        {"log", core_log},
        {"add_header", core_add_header},
        {"vary", core_vary},
        {"after", core_after},
        {"over", core_over},
        {"late", core_late},
        {"timeout", core_timeout},
        {"no_coding", core_no_coding},
        {"current", core_current},
        {"route", core_route},
        {"routed", core_routed},
        {"asked", core_asked},
        {"segments", core_segments},
        {"split_path", core_split_path},
        {"accept", core_accept},
        {"accept_language", core_accept_language},
        {"accept_encoding", core_accept_encoding},
        {"check", core_check},
        {"watch", core_watch},
        {"private_seen", core_private_seen},
        {"private_covered", core_private_covered},
        {"private_text", core_private_text},
        {"private_note", core_private_note},
        {"cookies_named", core_cookies_named},
        {"client_net", core_client_net},
        {"keep", core_keep},
        {"fills", core_fills},
        {"field", core_field},
        {"own_hosts", core_own_hosts},
        {"shows", core_shows},
        {"has_body", core_has_body},
        {"added", core_added},
        {"added_since", core_added_since},
        {"sender", core_sender},
        {"script_text", core_script_text},
        {"script_names", core_script_names},
        {NULL, NULL},
    };
    struct handler *h = handler_of(L);
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, functions, 1);
    lua_files_register(L, h);
    answer_push_prepared(L);
    lua_setfield(L, -2, "FILE");
    handler_push_run(L);
    lua_setfield(L, -2, "run");
    lua_pushboolean(L, vm_options(h->vm)->dev);
    lua_setfield(L, -2, "dev");
    lua_pushboolean(L,
                    h->options.mark != NULL); // a server with --dev, and no run of a site's tests
    lua_setfield(L, -2, "live");
    lua_pushstring(L, h->options.data);
    lua_setfield(L, -2, "data");
    push_settings(L, h);
    lua_setfield(L, -2, "settings");
    return 1;
}

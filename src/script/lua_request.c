// The request table: a plain table whose fields are made when they are first read, and then kept.
//
// It holds a handle under a private key; its metatable's __index finds the work by that handle,
// makes the field, and stores it with a raw set, so that a second read costs nothing here. Once the
// exchange is over the handle is stale: what was read stays, what was not raises.
#include "http/cookie.h"
#include "script/luax.h"
#include "script/values.h"
#include "script/work.h"

static const char handle_key; // its address is the key

// --- the handle ---

static struct handler *handler_upvalue(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

struct work *handler_work(struct handler *h, uint64_t handle)
{
    uint32_t place = (uint32_t)(handle & 0xffffff);
    struct work *w = place < h->work_count ? h->works[place] : NULL;
    return w && w->handle == handle && w->x ? w : NULL;
}

struct work *request_try(lua_State *L, int arg)
{
    struct work *running = work_running(handler_upvalue(L));
    const void *table = lua_topointer(L, arg);
    if (table && running && running->table == table && running->x)
        return running; // mostly: it takes a fifth of what follows
    if (!lua_istable(L, arg) || lua_rawgetp(L, arg, &handle_key) != LUA_TNUMBER)
        luaL_argerror(L, arg, "a request expected (call with a colon: req:method(…))");
    uint64_t handle = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return handler_work(handler_upvalue(L), handle);
}

struct work *request_work(lua_State *L, int arg)
{
    struct work *w = request_try(L, arg);
    if (!w)
        luaL_error(L, "the request is over: what was not read from it before is gone");
    return w;
}

void request_refuse(lua_State *L, struct work *w, unsigned status, const char *format, ...)
{
    va_list args;
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->refuse);
    request_push(L, w);
    lua_pushinteger(L, (lua_Integer)status);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_call(L, 3, 0);
    luaL_error(L, "the library's refuse returned");
}

// --- tables of values ---

static void push_cookies(lua_State *L, struct work *w, enum values_keep keep)
{
    const struct http_request *r = &w->x->request;
    lua_createtable(L, 0, 4);
    int t = lua_gettop(L);
    for (unsigned i = 0; i < r->field_count; i++) {
        struct str rest = r->fields[i].value, name, value;
        if (!str_ieq(r->fields[i].name, STR("cookie")))
            continue;
        while (cookie_next(&rest, &name, &value)) {
            names_push(L, &w->h->names, name);
            luax_push(L, value);
            values_store(L, t, keep);
        }
    }
}

// Repeated fields are joined by ", "; Cookie by "; ", as its own grammar has it (RFC 9113 §8.2.3).
static void push_joined(lua_State *L, struct str old, struct str more, bool cookie)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addlstring(&b, old.p, old.n);
    luaL_addstring(&b, cookie ? "; " : ", ");
    luaL_addlstring(&b, more.p, more.n);
    luaL_pushresult(&b);
}

static void push_headers(lua_State *L, struct work *w, enum values_keep keep)
{
    const struct http_request *r = &w->x->request;
    lua_createtable(L, 0, (int)r->field_count);
    int t = lua_gettop(L);
    for (unsigned i = 0; i < r->field_count; i++) {
        names_push(L, &w->h->field_names, r->fields[i].name);
        if (keep == VALUES_ALL) {
            luax_push(L, r->fields[i].value);
            values_store(L, t, VALUES_ALL);
            continue;
        }
        lua_pushvalue(L, -1);
        if (lua_rawget(L, t) == LUA_TNIL) {
            lua_pop(L, 1);
            luax_push(L, r->fields[i].value);
        } else {
            push_joined(L, luax_str(L, -1), r->fields[i].value,
                        str_ieq(r->fields[i].name, STR("cookie")));
            lua_remove(L, -2);
        }
        lua_rawset(L, t);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->headers_meta);
    lua_setmetatable(L, t);
    if (w->watched)
        private_hide(L, w, t);
}

// headers.Name: a name in another case than the stored lower one.
static int headers_index(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    names_push(L, &handler_upvalue(L)->field_names, luax_str(L, 2));
    lua_rawget(L, 1);
    return 1;
}

// --- the fields ---

enum field_id {
    F_METHOD = 1,
    F_PATH,
    F_RAW_PATH,
    F_QUERY_STRING,
    F_TARGET,
    F_VERSION,
    F_SCHEME,
    F_HOST,
    F_PORT,
    F_REMOTE_ADDR,
    F_REMOTE_PORT,
    F_ID,
    F_HEADERS,
    F_HEADERS_ALL,
    F_QUERY,
    F_QUERY_ALL,
    F_COOKIES,
    F_COOKIES_ALL,
    F_PARAMS,
    F_BODY, // from here on: made of the body
    F_FORM,
    F_FORM_ALL,
    F_JSON,
    F_PARTS,
    F_FILES,
    F_FILES_ALL,
};

static const struct {
    const char *name;
    enum field_id id;
} field_names[] = {
    {"method", F_METHOD},
    {"path", F_PATH},
    {"raw_path", F_RAW_PATH},
    {"query_string", F_QUERY_STRING},
    {"target", F_TARGET},
    {"version", F_VERSION},
    {"scheme", F_SCHEME},
    {"host", F_HOST},
    {"port", F_PORT},
    {"remote_addr", F_REMOTE_ADDR},
    {"remote_port", F_REMOTE_PORT},
    {"id", F_ID},
    {"headers", F_HEADERS},
    {"headers_all", F_HEADERS_ALL},
    {"query", F_QUERY},
    {"query_all", F_QUERY_ALL},
    {"cookies", F_COOKIES},
    {"cookies_all", F_COOKIES_ALL},
    {"params", F_PARAMS},
    {"body", F_BODY},
    {"form", F_FORM},
    {"form_all", F_FORM_ALL},
    {"json", F_JSON},
    {"parts", F_PARTS},
    {"files", F_FILES},
    {"files_all", F_FILES_ALL},
};

static void push_head_field(lua_State *L, struct work *w, enum field_id id)
{
    const struct http_request *r = &w->x->request;
    switch (id) {
    case F_METHOD:
        luax_push(L, method_name(r->method));
        break;
    case F_PATH:
        luax_push(L, r->path);
        break;
    case F_RAW_PATH:
        luax_push(L, r->raw_path);
        break;
    case F_QUERY_STRING:
        luax_push(L, r->query);
        break;
    case F_TARGET:
        luax_push(L, r->target);
        break;
    case F_VERSION:
        lua_pushstring(L, r->minor ? "1.1" : "1.0");
        break;
    case F_SCHEME:
        request_push_scheme(L, w);
        break;
    case F_HOST:
        request_push_host(L, w);
        break;
    case F_PORT:
        request_push_port(L, w);
        break;
    case F_REMOTE_ADDR:
        w->seen |= PRIVATE_ADDR;
        request_push_remote_addr(L, w);
        break;
    case F_REMOTE_PORT:
        w->seen |= PRIVATE_ADDR;
        request_push_remote_port(L, w);
        break;
    case F_ID:
        request_push_id(L, w);
        break;
    case F_HEADERS:
        push_headers(L, w, VALUES_LAST);
        break;
    case F_HEADERS_ALL:
        push_headers(L, w, VALUES_ALL);
        break;
    case F_QUERY:
        values_push_form(L, r->query, VALUES_LAST, &w->h->names);
        break;
    case F_QUERY_ALL:
        values_push_form(L, r->query, VALUES_ALL, &w->h->names);
        break;
    case F_COOKIES:
        w->seen |= PRIVATE_COOKIES;
        push_cookies(L, w, VALUES_FIRST);
        break;
    case F_COOKIES_ALL:
        w->seen |= PRIVATE_COOKIES;
        push_cookies(L, w, VALUES_ALL);
        break;
    case F_PARAMS:
        lua_newtable(L);
        break;
    default:
        break; // made of the body
    }
}

static void push_body_field(lua_State *L, struct work *w, int id)
{
    switch (id) {
    case F_BODY:
        request_push_body(L, w);
        break;
    case F_FORM:
        request_push_form(L, w, false);
        break;
    case F_FORM_ALL:
        request_push_form(L, w, true);
        break;
    case F_JSON:
        request_push_json(L, w);
        break;
    case F_PARTS:
        request_push_parts(L, w);
        break;
    case F_FILES:
        request_push_files(L, w, false);
        break;
    case F_FILES_ALL:
        request_push_files(L, w, true);
        break;
    }
}

enum { KEY = 2, FIELD_ID }; // the stack of __index

// The field on top is made, and kept.
static int keep_field(lua_State *L)
{
    lua_pushvalue(L, KEY);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static int index_body_field(lua_State *L, struct work *w)
{
    request_push_within(L, w, push_body_field, (int)lua_tointeger(L, FIELD_ID));
    return keep_field(L);
}

static int field_made(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return keep_field(L);
}

// A field that the library makes, by the first value of the table on top: it may wait.
static int index_library_field(lua_State *L)
{
    lua_rawgeti(L, -1, 1);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 1, 0, field_made);
    return field_made(L, LUA_OK, 0);
}

// __index: upvalue 1 the handler, 2 the table of field ids, methods, and makers of fields.
static int request_index(lua_State *L)
{
    lua_settop(L, KEY);
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(2));
    if (type == LUA_TTABLE)
        return index_library_field(L);
    if (type != LUA_TNUMBER)
        return 1; // a method, or nil
    struct work *w = request_try(L, 1);
    if (!w)
        return luaL_error(L, "req.%s: the request is over, and this was not read before",
                          lua_tostring(L, 2));
    enum field_id id = (enum field_id)lua_tointeger(L, -1);
    if (id < F_BODY) {
        push_head_field(L, w, id);
        return keep_field(L);
    }
    if (w->streams)
        request_check_kept(L, w, lua_pushfstring(L, "req.%s", lua_tostring(L, 2)));
    lua_settop(L, FIELD_ID);
    return request_with_body(L, w, index_body_field);
}

// pairs(req): the public fields that were made or set.
static int request_next(lua_State *L)
{
    lua_settop(L, 2);
    while (lua_next(L, 1)) {
        if (!lua_islightuserdata(L, -2))
            return 2;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return 1;
}

static int request_pairs(lua_State *L)
{
    lua_pushcfunction(L, request_next);
    lua_pushvalue(L, 1);
    return 2;
}

void request_push(lua_State *L, struct work *w)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)w->handle);
    lua_rawsetp(L, -2, &handle_key);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->request_meta);
    lua_setmetatable(L, -2);
}

void request_methods(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler_upvalue(L)->request_meta);
    lua_getfield(L, -1, "fields");
    for (lua_pushnil(L); lua_next(L, idx);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_pop(L, 2);
}

void request_register(lua_State *L, struct handler *h)
{
    h->field_names.lower = true;
    lua_createtable(L, 0, 4);
    lua_createtable(L, 0, 48);
    for (size_t i = 0; i < sizeof field_names / sizeof field_names[0]; i++) {
        lua_pushinteger(L, field_names[i].id);
        lua_setfield(L, -2, field_names[i].name);
    }
    lua_pushlightuserdata(L, h);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, request_index, 2);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -2, "fields");
    lua_pushcfunction(L, request_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushliteral(L, "request");
    lua_setfield(L, -2, "__name");
    h->request_meta = luaL_ref(L, LUA_REGISTRYINDEX);

    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, headers_index, 1);
    lua_setfield(L, -2, "__index");
    h->headers_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}

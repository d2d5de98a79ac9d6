// What of a request tells who asks: cookies, credentials, the client's address. An answer that was made
// with any of it must not be given to others, so that what is read is noted, in w->seen, by whoever
// reads it: a handler, middleware, the library for them. A note is never taken back.
//
// The fields of the request table are noted where they are made (lua_request.c), which costs nothing.
// req.headers is a plain table, though, and no read of a plain table is seen. Where it matters, in
// routes with the option cache, those few names are taken out of it: asked for by name they are
// found by __index, and whoever iterates gets the table completed first. That they are absent is an
// answer too, and noted just as well.
#include "http/cookie.h"
#include "script/luax.h"
#include "script/work.h"

// What is noted, how a sentence calls it, and the field that must be among `vary` to tell for whom
// the answer is.
static const struct {
    enum private bit;
    const char *text;
    struct str field; // lower case
} privates[] = {
    {PRIVATE_COOKIES, "req.cookies", STR("cookie")},
    {PRIVATE_COOKIE, "req.headers.cookie", STR("cookie")},
    {PRIVATE_SESSION, "the session", STR("cookie")},
    {PRIVATE_AUTHORIZATION, "req.headers.authorization", STR("authorization")},
    {PRIVATE_PROXY_AUTHORIZATION, "req.headers[\"proxy-authorization\"]",
     STR("proxy-authorization")},
    {PRIVATE_ADDR, "req.remote_addr", STR("")},
    {PRIVATE_FORWARDED, "req.headers.forwarded", STR("forwarded")},
    {PRIVATE_X_FORWARDED_FOR, "req.headers[\"x-forwarded-for\"]", STR("x-forwarded-for")},
    {PRIVATE_X_REAL_IP, "req.headers[\"x-real-ip\"]", STR("x-real-ip")},
    {PRIVATE_X_API_KEY, "req.headers[\"x-api-key\"]", STR("x-api-key")},
    {PRIVATE_X_AUTH_TOKEN, "req.headers[\"x-auth-token\"]", STR("x-auth-token")},
    {PRIVATE_REMOTE_USER, "req.headers[\"remote-user\"]", STR("remote-user")},
    {PRIVATE_X_REMOTE_USER, "req.headers[\"x-remote-user\"]", STR("x-remote-user")},
    {PRIVATE_X_FORWARDED_USER, "req.headers[\"x-forwarded-user\"]", STR("x-forwarded-user")},
    {PRIVATE_TRUE_CLIENT_IP, "req.headers[\"true-client-ip\"]", STR("true-client-ip")},
    {PRIVATE_CF_CONNECTING_IP, "req.headers[\"cf-connecting-ip\"]", STR("cf-connecting-ip")},
    {PRIVATE_NONCE, "req.csp_nonce", STR("")},
};
enum {
    PRIVATES = sizeof privates / sizeof privates[0],
    OF_HEADERS = PRIVATE_COOKIE | PRIVATE_AUTHORIZATION | PRIVATE_PROXY_AUTHORIZATION |
                 PRIVATE_FORWARDED | PRIVATE_X_FORWARDED_FOR | PRIVATE_X_REAL_IP |
                 PRIVATE_X_API_KEY | PRIVATE_X_AUTH_TOKEN | PRIVATE_REMOTE_USER |
                 PRIVATE_X_REMOTE_USER | PRIVATE_X_FORWARDED_USER | PRIVATE_TRUE_CLIENT_IP |
                 PRIVATE_CF_CONNECTING_IP,
};

// Of req.headers -----------------------------------------------------------------------------------

// Upvalues of the metamethods: the handler, the request's handle, the fields that are hidden.
enum { HANDLER = 1, HANDLE, HIDDEN };

// Once the request is over there is no answer that it could get into.
static void note(lua_State *L, unsigned bits)
{
    struct work *w = handler_work(lua_touserdata(L, lua_upvalueindex(HANDLER)),
                                  (uint64_t)lua_tointeger(L, lua_upvalueindex(HANDLE)));
    if (w)
        w->seen |= bits;
}

static unsigned bit_of_header(struct str name)
{
    for (int i = 0; i < PRIVATES; i++)
        if (privates[i].bit & OF_HEADERS && str_eq(privates[i].field, name))
            return privates[i].bit;
    return 0;
}

static int watched_index(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    luax_push_lower(L, luax_str(L, 2));
    unsigned bit = bit_of_header(luax_str(L, -1));
    if (bit)
        note(L, bit);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) == LUA_TNIL && bit) {
        lua_pop(L, 1);
        lua_rawget(L, lua_upvalueindex(HIDDEN));
    }
    return 1;
}

// What is set, to nil too, is no longer what the client sent.
static int watched_newindex(lua_State *L)
{
    lua_settop(L, 3);
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, 2);
        lua_pushnil(L);
        lua_rawset(L, lua_upvalueindex(HIDDEN));
    }
    lua_rawset(L, 1);
    return 0;
}

// Puts what is hidden in its place. From then on it is a table like any other.
static int watched_complete(lua_State *L)
{
    struct handler *h = lua_touserdata(L, lua_upvalueindex(HANDLER));
    lua_settop(L, 1);
    note(L, OF_HEADERS);
    for (lua_pushnil(L); lua_next(L, lua_upvalueindex(HIDDEN));) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_pushvalue(L, -2);
        if (lua_rawget(L, 1) == LUA_TNIL) { // the author may have set one
            lua_pop(L, 1);
            lua_rawset(L, 1);
        } else {
            lua_pop(L, 3);
        }
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->headers_meta);
    lua_setmetatable(L, 1);
    return 0;
}

static int plain_next(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int watched_pairs(lua_State *L)
{
    watched_complete(L);
    lua_pushcfunction(L, plain_next);
    lua_pushvalue(L, 1);
    return 2;
}

static void push_hidden(lua_State *L, int t)
{
    lua_newtable(L);
    for (int i = 0; i < PRIVATES; i++) {
        if (!(privates[i].bit & OF_HEADERS))
            continue;
        luax_push(L, privates[i].field);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, t) == LUA_TNIL) {
            lua_pop(L, 2);
            continue;
        }
        lua_rawset(L, -3);
        luax_push(L, privates[i].field);
        lua_pushnil(L);
        lua_rawset(L, t);
    }
}

void private_hide(lua_State *L, struct work *w, int t)
{
    static const luaL_Reg metamethods[] = {
        {"__index", watched_index},
        {"__newindex", watched_newindex},
        {"__pairs", watched_pairs},
        {NULL, NULL},
    };
    luaL_newlibtable(L, metamethods);
    lua_pushlightuserdata(L, w->h);
    lua_pushinteger(L, (lua_Integer)w->handle);
    push_hidden(L, t);
    for (int i = 0; i < HIDDEN; i++)
        lua_pushvalue(L, -HIDDEN);
    lua_pushcclosure(L, watched_complete, HIDDEN);
    luax_set_complete(L, -HIDDEN - 2);
    luaL_setfuncs(L, metamethods, HIDDEN);
    lua_setmetatable(L, t);
}

// Of lunette.core ----------------------------------------------------------------------------------

// watch(req): from now on it is noted what is read of req.headers. Called before anybody could.
int core_watch(lua_State *L)
{
    request_work(L, 1)->watched = true;
    return 0;
}

// private_seen(req) → a set of bits: all that was read so far.
int core_private_seen(lua_State *L)
{
    lua_pushinteger(L, request_work(L, 1)->seen);
    return 1;
}

// private_covered(name) → the bits of what may be read where the answers vary by that field.
int core_private_covered(lua_State *L)
{
    unsigned bits = 0;
    luax_push_lower(L, luax_check_str(L, 1));
    for (int i = 0; i < PRIVATES; i++)
        if (str_eq(privates[i].field, luax_str(L, -1)))
            bits |= privates[i].bit;
    lua_pushinteger(L, bits);
    return 1;
}

// private_text(bits) → what they stand for: "req.cookies and req.remote_addr"; and the field of one
// that vary can name, or nil.
int core_private_text(lua_State *L)
{
    unsigned bits = (unsigned)luaL_checkinteger(L, 1);
    struct str field = STR("");
    luaL_Buffer b;
    int n = 0;
    luaL_buffinit(L, &b);
    for (int i = PRIVATES - 1; i >= 0; i--)
        if (bits & privates[i].bit && privates[i].field.n)
            field = privates[i].field;
    if ((bits & OF_HEADERS) == OF_HEADERS) {
        luaL_addstring(&b, "all of req.headers");
        n++;
        bits &= ~(unsigned)OF_HEADERS;
    }
    for (int i = 0; i < PRIVATES; i++) {
        if (!(bits & privates[i].bit))
            continue;
        luaL_addstring(&b, n++ ? " and " : "");
        luaL_addstring(&b, privates[i].text);
    }
    luaL_pushresult(&b);
    if (field.n)
        luax_push(L, field);
    else
        lua_pushnil(L);
    return 2;
}

// private_note(req[, "nonce"]): the session was read, or req.csp_nonce. For modules that have it from
// elsewhere than the fields above.
int core_private_note(lua_State *L)
{
    static const char *const names[] = {"session", "nonce", NULL};
    struct work *w = request_work(L, 1);
    w->seen |= luaL_checkoption(L, 2, "session", names) ? PRIVATE_NONCE : PRIVATE_SESSION;
    return 0;
}

// cookies_named(req, name) → array of the values of the cookies with that name, in order. Nothing is
// noted: that is left to who makes something of them.
int core_cookies_named(lua_State *L)
{
    const struct http_request *r = &request_work(L, 1)->x->request;
    struct str wanted = luax_check_str(L, 2), name, value;
    lua_newtable(L);
    for (unsigned i = 0; i < r->field_count; i++) {
        struct str rest = r->fields[i].value;
        if (!str_ieq(r->fields[i].name, STR("cookie")))
            continue;
        while (cookie_next(&rest, &name, &value)) {
            if (!str_eq(name, wanted))
                continue;
            luax_push(L, value);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        }
    }
    return 1;
}

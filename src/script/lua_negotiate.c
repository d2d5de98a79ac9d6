// Negotiation: see the header. The decisions are http's; here they are given the fields of a request.
#include "script/lua_negotiate.h"

#include "http/accept.h"
#include "http/conditions.h"
#include "script/luax.h"
#include "script/work.h"

enum { OFFERED_MAX = 32 };

typedef int accept_fn(struct str field, const struct str *offered, int n);

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

int core_accept(lua_State *L)
{
    return accept_by(L, STR("accept"), accept_type);
}

int core_accept_language(lua_State *L)
{
    return accept_by(L, STR("accept-language"), accept_language);
}

int core_accept_encoding(lua_State *L)
{
    return accept_by(L, STR("accept-encoding"), accept_encoding);
}

int core_check(lua_State *L)
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

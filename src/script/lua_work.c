// The request under way, as the library sees it: see the header. What is noted here is in struct work.
#include "script/lua_work.h"

#include "script/cut.h"
#include "script/lua_core.h"
#include "script/luax.h"
#include "script/work.h"

int core_add_header(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str name = luax_check_str(L, 2), value = luax_check_str(L, 3);
    enum fields_result added = fields_add(&w->extra, name, value);
    return added == FIELDS_OK ? 0 : luaL_error(L, "%s", answer_push_refusal(L, added, name));
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

int core_vary(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str name = luax_check_str(L, 2);
    if (!has_vary(&w->extra, name))
        fields_add(&w->extra, STR("Vary"), name);
    return 0;
}

int core_after(lua_State *L)
{
    struct work *w = request_work(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (w->after == LUA_NOREF) {
        lua_newtable(L);
        luax_push(L, exchange_id(w->x));
        lua_rawseti(L, -2, 0);
        w->after = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->after);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

int core_over(lua_State *L)
{
    lua_pushboolean(L, request_try(L, 1) == NULL);
    return 1;
}

int core_late(lua_State *L)
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

int core_timeout(lua_State *L)
{
    struct work *w = request_work(L, 1);
    double s = luax_check_duration(L, 2);
    w->deadline_ms = s * 1000 < UINT32_MAX ? (uint32_t)(s * 1000) : UINT32_MAX;
    return 0;
}

int core_no_coding(lua_State *L)
{
    request_work(L, 1)->no_coding = true;
    return 0;
}

int core_current(lua_State *L)
{
    struct work *w = work_running(core_handler(L));
    if (w && w->x && w->co)
        request_push_own(L, w);
    else
        lua_pushnil(L);
    return 1;
}

int core_asked(lua_State *L)
{
    struct work *w = request_work(L, 1);
    const struct http_request *r = &w->x->request;
    luax_push(L, method_name(r->method));
    lua_pushboolean(L, str_eq(r->raw_path, STR("*")));
    request_push_host(L, w);
    return 3;
}

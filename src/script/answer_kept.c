// What the response cache needs of C: what is known of an answer that was kept, until it is sent; and
// what it asks about requests.
//
// The tag of a body that the cache made is that of the body, and no middleware that changes the body
// knows of it. So neither the tag nor the lifetime are among the headers that middleware sees: they
// are added when the answer is sent, if it is sent with that very body. The lifetime only as far as
// what was read by then allows: middleware may have put what it read of who asks elsewhere, too.
#include "script/luax.h"
#include "script/work.h"

#include <stdio.h>
#include <string.h>

void kept_forget(lua_State *L, struct kept *k)
{
    if (k->body == LUA_NOREF)
        return;
    luaL_unref(L, LUA_REGISTRYINDEX, k->body);
    *k = (struct kept){.body = LUA_NOREF};
}

static bool is_kept_body(lua_State *L, const struct kept *k, int body)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, k->body);
    bool same = body ? lua_rawequal(L, -1, body) : lua_isnil(L, -1); // strings by their bytes
    lua_pop(L, 1);
    return same;
}

// A client that is sent a cookie is not to share the answer either.
static void add_lifetime(const struct work *w, struct fields *f)
{
    const struct kept *k = &w->kept;
    char text[48];
    if (!k->max_age || f->has & FIELDS_CACHE_CONTROL || w->seen & ~k->own ||
        fields_find(f, STR("Set-Cookie")).p)
        return;
    int n = snprintf(text, sizeof text, "%smax-age=%llu", w->seen & ~k->shared ? "private, " : "",
                     (unsigned long long)k->max_age);
    fields_add(f, STR("Cache-Control"), str_of(text, (size_t)n));
}

bool kept_apply(lua_State *L, struct work *w, unsigned status, int body, struct fields *f)
{
    if (!is_kept_body(L, &w->kept, body))
        return false;
    bool named = w->kept.tag[0];
    if (named && status == 200 && !(f->has & FIELDS_ETAG))
        fields_add(f, STR("ETag"), str_z(w->kept.tag));
    add_lifetime(w, f);
    return named;
}

// keep(req, body, tag, max_age, shared, own, seen): body is a string or nil; tag in its quotes, or ""
// when it is not known; max_age seconds or 0; the others are bits as private_seen has them, of which
// seen was read for it earlier.
int core_keep(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str tag = luax_check_str(L, 3);
    if (!lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TSTRING);
    luaL_argcheck(L, tag.n < sizeof w->kept.tag, 3, "a tag of at most 47 bytes expected");
    struct kept k = {
        .max_age = (uint64_t)luaL_checkinteger(L, 4),
        .shared = (unsigned)luaL_checkinteger(L, 5),
        .own = (unsigned)luaL_checkinteger(L, 6),
    };
    w->seen |= (unsigned)luaL_checkinteger(L, 7);
    memcpy(k.tag, tag.p, tag.n);
    kept_forget(L, &w->kept);
    lua_pushvalue(L, 2);
    k.body = luaL_ref(L, LUA_REGISTRYINDEX);
    w->kept = k;
    return 0;
}

// fills(req, whether): the answer that is made now may become everybody's.
int core_fills(lua_State *L)
{
    struct work *w = request_try(L, 1);
    if (w)
        w->fills = lua_toboolean(L, 2);
    return 0;
}

// field(req, name) → the value of that field, repeated ones joined; nil without one. It is not noted
// as read.
int core_field(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str value = request_fields(&w->x->request, luax_check_str(L, 2), &w->x->arena);
    if (value.p)
        luax_push(L, value);
    else
        lua_pushnil(L);
    return 1;
}

int core_has_body(lua_State *L)
{
    lua_pushboolean(L, request_work(L, 1)->x->request.has_body);
    return 1;
}

// added(req) → a mark: what add_header, set_cookie and vary have added so far.
int core_added(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)request_work(L, 1)->extra.lines.n);
    return 1;
}

// added_since(req, mark) → an array of what they added behind the mark: name, value, name, …
int core_added_since(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str lines = buf_str(&w->extra.lines), line;
    size_t mark = (size_t)luaL_checkinteger(L, 2);
    luaL_argcheck(L, mark <= lines.n, 2, "a mark of this request expected");
    lines = str_of(lines.p + mark, lines.n - mark);
    lua_newtable(L);
    for (lua_Integer i = 1; str_split(&lines, '\r', &line) && line.n > 1; i += 2) {
        if (line.p[0] == '\n')
            line = str_of(line.p + 1, line.n - 1);
        size_t colon = (size_t)str_find(line, ':');
        luax_push(L, str_of(line.p, colon));
        lua_rawseti(L, -2, i);
        luax_push(L, str_trim(str_of(line.p + colon + 1, line.n - colon - 1)));
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

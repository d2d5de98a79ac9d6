// Paths as arrays of decoded segments, for the embedded library.
#include "http/uri.h"
#include "script/luax.h"
#include "script/work.h"

// Pushes the segments of raw, which uri_normalise has accepted; a trailing slash gives a last "". p has
// room for raw.n + 1 bytes.
static void push_segments(lua_State *L, struct str raw, char *p)
{
    struct str rest = uri_clean(raw, p), segment;
    rest = str_of(rest.p + 1, rest.n - 1);
    lua_newtable(L);
    for (lua_Integer i = 1; str_split(&rest, '/', &segment); i++) {
        luaL_Buffer b;
        char *decoded = luaL_buffinitsize(L, &b, segment.n);
        ptrdiff_t n = pct_decode(decoded, segment);
        luaL_pushresultsize(&b, n < 0 ? 0 : (size_t)n);
        lua_rawseti(L, -2, i);
    }
}

// segments(req) → array of the decoded segments of the path; a trailing slash gives a last "".
int core_segments(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct str raw = w->x->request.raw_path;
    if (raw.p[0] != '/') { // "*"
        lua_newtable(L);
        return 1;
    }
    char *p = arena_alloc(&w->x->arena, raw.n + 1);
    if (!p)
        return luaL_error(L, "not enough memory");
    push_segments(L, raw, p);
    return 1;
}

// split_path("/a%20b/c") → its segments, as those of a request with that path, and the path decoded and
// normalised; or nil and why it is a 400.
int core_split_path(lua_State *L)
{
    struct str raw = luax_check_str(L, 1);
    char *p = lua_newuserdatauv(L, raw.n + 1, 0);
    struct uri_path clean;
    const char *why;
    if (!uri_normalise(raw, p, &clean, &why)) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    luax_push(L, clean.path);
    push_segments(L, raw, p);
    lua_insert(L, -2);
    return 2;
}

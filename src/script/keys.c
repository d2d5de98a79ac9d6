// Sorted keys: collected on the Lua stack, ordered by their slices, then laid down again in order.
#include "script/keys.h"

#include "base/str.h"
#include "script/luax.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct key {
    struct str s;
    int at; // its place on the stack
};

// Like strcmp, for slices: a prefix comes first.
static int compare(const void *va, const void *vb)
{
    const struct key *a = va, *b = vb;
    size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
    int order = memcmp(a->s.p, b->s.p, n);
    return order ? order : (a->s.n > b->s.n) - (a->s.n < b->s.n);
}

// Pushes every key of the table at t. Returns how many, or as keys_push_sorted.
static int push_keys(lua_State *L, int t)
{
    int n = 0;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            return -1;
        if (n == INT_MAX / 4 || !lua_checkstack(L, 4))
            return -2;
        lua_pushvalue(L, -1); // one stays, one is what lua_next goes on from
        n++;
    }
    return n;
}

// Orders the n topmost values, which are strings.
static int sort_keys(lua_State *L, int n)
{
    int top = lua_gettop(L), first = top - n + 1;
    struct key *keys = lua_checkstack(L, n) ? calloc((size_t)n, sizeof *keys) : NULL;
    if (!keys)
        return -2;
    for (int i = 0; i < n; i++) {
        keys[i].at = first + i;
        keys[i].s.p = lua_tolstring(L, first + i, &keys[i].s.n);
    }
    qsort(keys, (size_t)n, sizeof *keys, compare);
    for (int i = 0; i < n; i++)
        lua_pushvalue(L, keys[i].at);
    free(keys);
    for (int i = n - 1; i >= 0; i--)
        lua_replace(L, first + i);
    return n;
}

int keys_push_sorted(lua_State *L, int idx)
{
    int t = lua_absindex(L, idx), top = lua_gettop(L);
    luax_complete(L, t);
    int n = lua_checkstack(L, 4) ? push_keys(L, t) : -2;
    if (n > 1)
        n = sort_keys(L, n);
    if (n < 0)
        lua_settop(L, top);
    return n;
}

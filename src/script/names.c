// Names: see the header. One that is kept costs 80 instructions, an interned string 170, and one in lower
// case 270.
#include "script/names.h"

#include "script/luax.h"

#include <string.h>

// The two places where s can be: the first has what came last.
static inline struct name *places_of(struct names *names, struct str s)
{
    unsigned first = (unsigned char)s.p[0], middle = (unsigned char)s.p[s.n / 2];
    unsigned last = (unsigned char)s.p[s.n - 1];
    unsigned mixed = first + 5 * middle + 11 * last + 17 * (unsigned)s.n;
    return &names->kept[mixed % (NAMES_KEPT / 2) * 2];
}

static inline bool is_name(const struct name *name, struct str s)
{
    return name->n == s.n && memcmp(name->bytes, s.p, s.n) == 0;
}

static void push_new(lua_State *L, const struct names *names, struct str s)
{
    if (names->lower)
        luax_push_lower(L, s);
    else
        luax_push(L, s);
}

// Keeps the string on top, which is what s becomes, in place of the second. The places change last: to
// keep it may raise.
static void keep(lua_State *L, struct name *places, struct str s)
{
    int ref = places[1].ref;
    lua_pushvalue(L, -1);
    if (ref)
        lua_rawseti(L, LUA_REGISTRYINDEX, ref);
    else
        ref = luaL_ref(L, LUA_REGISTRYINDEX);
    places[1] = places[0];
    places[0].ref = ref;
    places[0].n = (unsigned char)s.n;
    memcpy(places[0].bytes, s.p, s.n);
}

void names_push(lua_State *L, struct names *names, struct str s)
{
    if (s.n == 0 || s.n > NAMES_LONGEST) {
        push_new(L, names, s);
        return;
    }
    struct name *places = places_of(names, s);
    for (int i = 0; i < 2; i++) {
        if (is_name(&places[i], s)) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, places[i].ref);
            return;
        }
    }
    push_new(L, names, s);
    keep(L, places, s);
}

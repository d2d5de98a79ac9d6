// Names: see the header. One that is kept costs 80 instructions, an interned string 170, and one in lower
// case 270.
#include "script/names.h"

#include "script/luax.h"

#include <string.h>

static inline struct name *slot_of(struct names *names, struct str s)
{
    unsigned first = (unsigned char)s.p[0], middle = (unsigned char)s.p[s.n / 2];
    unsigned last = (unsigned char)s.p[s.n - 1];
    return &names->kept[(first + 5 * middle + 7 * last + (unsigned)s.n) % NAMES_KEPT];
}

static void push_new(lua_State *L, const struct names *names, struct str s)
{
    if (names->lower)
        luax_push_lower(L, s);
    else
        luax_push(L, s);
}

// Keeps the string on top, which is what s becomes. The slot changes last: to keep it may raise.
static void keep(lua_State *L, struct name *slot, struct str s)
{
    lua_pushvalue(L, -1);
    if (slot->ref)
        lua_rawseti(L, LUA_REGISTRYINDEX, slot->ref);
    else
        slot->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    memcpy(slot->bytes, s.p, s.n);
    slot->n = (unsigned char)s.n;
}

void names_push(lua_State *L, struct names *names, struct str s)
{
    if (s.n == 0 || s.n > NAMES_LONGEST) {
        push_new(L, names, s);
        return;
    }
    struct name *slot = slot_of(names, s);
    if (slot->n == s.n && memcmp(slot->bytes, s.p, s.n) == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, slot->ref);
        return;
    }
    push_new(L, names, s);
    keep(L, slot, s);
}

// Tables of named values: see the header. Raw access throughout: the tables are ours.
#include "script/values.h"

#include "http/form.h"
#include "script/json_mark.h"
#include "script/luax.h"

enum { USUAL_NAMES = 4 }; // more make the table grow

void values_store(lua_State *L, int t, enum values_keep keep)
{
    if (keep == VALUES_LAST) {
        lua_rawset(L, t);
        return;
    }
    lua_pushvalue(L, -2);
    int type = lua_rawget(L, t); // name, value, what is there
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        if (keep == VALUES_ALL) {
            lua_createtable(L, 1, 0);
            json_mark_array(L, -1);
            lua_insert(L, -2);
            lua_rawseti(L, -2, 1);
        }
        lua_rawset(L, t);
    } else if (keep == VALUES_ALL) {
        lua_insert(L, -2);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
    } else {
        lua_pop(L, 3);
    }
}

static void push_decoded(lua_State *L, struct str s)
{
    char small[256];
    if (s.n <= sizeof small) {
        lua_pushlstring(L, small, form_decode(small, s));
        return;
    }
    luaL_Buffer b;
    char *d = luaL_buffinitsize(L, &b, s.n);
    luaL_pushresultsize(&b, form_decode(d, s));
}

static inline void push_text(lua_State *L, struct str s, bool coded)
{
    if (coded)
        push_decoded(L, s);
    else
        luax_push(L, s);
}

void values_push_form(lua_State *L, struct str s, enum values_keep keep, struct names *names)
{
    struct form_pair pair;
    lua_createtable(L, 0, USUAL_NAMES);
    int t = lua_gettop(L);
    while (form_next(&s, &pair)) {
        if (names && !pair.name_coded)
            names_push(L, names, pair.name);
        else
            push_text(L, pair.name, pair.name_coded);
        push_text(L, pair.value, pair.value_coded);
        values_store(L, t, keep);
    }
}

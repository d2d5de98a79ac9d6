// Marks are metatables, known by their identity in the registry; json.null is a userdata kept there
// too.
#include "script/json_mark.h"

// Keys of the registry, by address.
static const char array_mark, object_mark, null_value;

// Pushes the metatable that marks arrays or objects, which is made when it is first asked for.
static void push_mark(lua_State *L, const char *mark)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, mark) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mark == &array_mark ? "json.array" : "json.object");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, mark);
}

static bool is_registered(lua_State *L, int idx, const char *key)
{
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    bool same = lua_rawequal(L, idx, -1);
    lua_pop(L, 1);
    return same;
}

enum json_mark json_mark_of(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx))
        return JSON_MARK_NONE;
    enum json_mark mark = is_registered(L, -1, &array_mark)    ? JSON_MARK_ARRAY
                          : is_registered(L, -1, &object_mark) ? JSON_MARK_OBJECT
                                                               : JSON_MARK_NONE;
    lua_pop(L, 1);
    return mark;
}

void json_push_array_mark(lua_State *L)
{
    push_mark(L, &array_mark);
}

void json_mark_array(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    push_mark(L, &array_mark);
    lua_setmetatable(L, idx);
}

void json_mark_object(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    push_mark(L, &object_mark);
    lua_setmetatable(L, idx);
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

void json_push_null(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &null_value) == LUA_TUSERDATA)
        return;
    lua_pop(L, 1);
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "json.null");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &null_value);
}

bool json_is_null(lua_State *L, int idx)
{
    return lua_type(L, idx) == LUA_TUSERDATA && is_registered(L, idx, &null_value);
}

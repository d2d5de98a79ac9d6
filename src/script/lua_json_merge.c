// Merge patches (RFC 7396), on values as json.decode makes them: objects and arrays are told apart
// as the encoder does.
#include "script/json_mark.h"
#include "script/lua_json.h"
#include "script/luax.h"

static bool is_object(lua_State *L, int idx)
{
    if (!lua_istable(L, idx))
        return false;
    enum json_mark mark = json_mark_of(L, idx);
    return mark == JSON_MARK_OBJECT || (mark == JSON_MARK_NONE && lua_rawlen(L, idx) == 0);
}

// Pushes a table that is marked as the one at from is.
static void push_alike(lua_State *L, int from)
{
    enum json_mark mark = json_mark_of(L, from);
    lua_createtable(L, (int)lua_rawlen(L, from), 0);
    if (mark == JSON_MARK_ARRAY)
        json_mark_array(L, -1);
    else if (mark == JSON_MARK_OBJECT)
        json_mark_object(L, -1);
}

static void check_depth(lua_State *L, int depth)
{
    if (depth > JSON_DEPTH)
        luaL_error(L, "cannot merge: nested deeper than %d", JSON_DEPTH);
    luaL_checkstack(L, 8, "not enough memory");
}

// Pushes the value at idx; of a table, a copy through and through.
static void push_copy(lua_State *L, int idx, int depth)
{
    if (!lua_istable(L, idx)) {
        lua_pushvalue(L, idx);
        return;
    }
    check_depth(L, depth + 1);
    push_alike(L, idx);
    int copy = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        int key = copy + 1, value = copy + 2;
        lua_pushvalue(L, key);
        push_copy(L, value, depth + 1);
        lua_rawset(L, copy);
        lua_settop(L, key);
    }
}

// The table that is member key (on top, popped) of the object at t; one that is no object gives way
// to a new one. Pushes it.
static void push_inner(lua_State *L, int t)
{
    lua_pushvalue(L, -1);
    if (lua_rawget(L, t) == LUA_TTABLE && is_object(L, -1)) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, t);
    lua_remove(L, -2);
}

// Changes the object at t, which is ours alone, as the object at patch says.
static void apply(lua_State *L, int t, int patch, int depth)
{
    check_depth(L, depth + 1);
    int key = lua_gettop(L) + 1, value = key + 1;
    lua_pushnil(L);
    while (lua_next(L, patch)) {
        lua_pushvalue(L, key);
        if (is_object(L, value)) {
            push_inner(L, t);
            apply(L, lua_gettop(L), value, depth + 1);
        } else {
            if (json_is_null(L, value))
                lua_pushnil(L);
            else
                push_copy(L, value, depth + 1);
            lua_rawset(L, t);
        }
        lua_settop(L, key);
    }
}

void json_merge_patch(lua_State *L, int target, int patch)
{
    target = lua_absindex(L, target);
    patch = lua_absindex(L, patch);
    luaL_checkstack(L, 8, "not enough memory");
    if (!is_object(L, patch)) {
        push_copy(L, patch, 0);
        return;
    }
    if (is_object(L, target))
        push_copy(L, target, 0);
    else
        lua_newtable(L);
    apply(L, lua_gettop(L), patch, 0);
}

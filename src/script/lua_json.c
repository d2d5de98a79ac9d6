// The module lunette.json: its functions, over those of the header.
#include "script/lua_json.h"

#include "script/luax.h"
#include "script/options.h"

enum {
    // What json.encode makes at most where json_limit says nothing: a small table may refer to itself
    // many times over.
    ENCODE_MAX = 256 << 20,
    ENCODE_KEEP = 64 << 10, // what its buffer keeps between calls
};

// --- encode ---

// json.encode's buffer, which all calls in a state share: its first upvalue. Holding it there keeps
// it from being lost when Lua raises for memory.
static int buffer_free(lua_State *L)
{
    buf_fini(lua_touserdata(L, 1));
    return 0;
}

static const char limit_key; // registry: bytes

void json_limit(lua_State *L, size_t bytes)
{
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &limit_key);
}

static void push_buffer(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &limit_key);
    size_t max = lua_isinteger(L, -1) ? (size_t)lua_tointeger(L, -1) : ENCODE_MAX;
    lua_pop(L, 1);
    buf_init(lua_newuserdatauv(L, sizeof(struct buf), 0), max);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, buffer_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

static bool option(lua_State *L, int arg, const char *name)
{
    lua_getfield(L, arg, name);
    bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

static int push_text(lua_State *L)
{
    luax_push(L, buf_str(lua_touserdata(L, 1)));
    return 1;
}

// Pushes the text. A large buffer is given back, even where Lua has no room for the text.
static void take_text(lua_State *L, struct buf *out)
{
    if (out->cap <= ENCODE_KEEP) {
        luax_push(L, buf_str(out));
        return;
    }
    lua_pushcfunction(L, push_text);
    lua_pushlightuserdata(L, out);
    int status = lua_pcall(L, 1, 1, 0);
    buf_fini(out);
    if (status != LUA_OK)
        lua_error(L);
}

// encode(v[, {pretty=, sort=}]) → text
static int encode(lua_State *L)
{
    static const char *const names[] = {"pretty", "sort", NULL};
    struct buf *out = lua_touserdata(L, lua_upvalueindex(1));
    struct json_style style = {false};
    luaL_checkany(L, 1);
    if (options_check(L, 2, names))
        style = (struct json_style){.pretty = option(L, 2, "pretty"), .sort = option(L, 2, "sort")};
    buf_clear(out);
    if (!json_write(L, 1, out, &style)) {
        if (out->cap > ENCODE_KEEP)
            buf_fini(out);
        return luaL_error(L, "cannot encode %s", lua_tostring(L, -1));
    }
    take_text(L, out);
    return 1;
}

// --- decode ---

// decode(s[, {null=true}]) → value; nil, message
//
// The message says what is wrong and where: "line 3, column 14: a value expected, not ']'".
// Members that are null are absent; with null=true they are json.null, as they always are in
// arrays. Arrays are marked as by array(), so that an empty one stays one. Numbers without fraction
// and exponent are integers if they fit in 64 bits.
static int decode(lua_State *L)
{
    static const char *const names[] = {"null", NULL};
    struct json_read_options o = {false};
    luaL_checktype(L, 1, LUA_TSTRING);
    if (options_check(L, 2, names))
        o.null = option(L, 2, "null");
    if (json_read(L, luax_str(L, 1), &o))
        return 1;
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

// --- marks and patches ---

// The table that array and object are to mark, at index 1; a new one without an argument.
static void check_markable(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (json_mark_of(L, 1) == JSON_MARK_NONE && lua_getmetatable(L, 1))
        luaL_argerror(L, 1, "the table has a metatable of its own");
}

// array([t]) → t
static int array(lua_State *L)
{
    check_markable(L);
    json_mark_array(L, 1);
    return 1;
}

// object([t]) → t
static int object(lua_State *L)
{
    check_markable(L);
    json_mark_object(L, 1);
    return 1;
}

// merge_patch(a, b) → a as b changes it (RFC 7396)
//
// The result is new and shares no table with a and b, which stay as they are. Where b is an object,
// its members replace those of a, or patch them when they are objects too, and json.null takes a
// member away: so decode b with null=true. Any other b is the result itself, arrays as a whole.
static int merge_patch(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "value expected; null is json.null");
    json_merge_patch(L, 1, 2);
    return 1;
}

int luaopen_lunette_json(lua_State *L)
{
    static const luaL_Reg functions[] = {{"decode", decode},
                                         {"array", array},
                                         {"object", object},
                                         {"merge_patch", merge_patch},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    push_buffer(L);
    lua_pushcclosure(L, encode, 1);
    lua_setfield(L, -2, "encode");
    json_push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}

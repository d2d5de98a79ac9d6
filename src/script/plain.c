// Plain values: see the header. A value is a tag and what the tag calls for:
//
//      N nil   T true   F false   i 8 bytes   d 8 bytes   s length (4 bytes) bytes
//      { key value key value … }     keys are booleans, numbers and strings; no value is nil
//
// The decoder trusts nothing: every length is held against the bytes that are left.
#include "script/plain.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

// Where the encoder is: one level for each table that it is inside of, with the key it is at.
struct level {
    const struct level *outer;
    const void *table;
    struct str name;   // the key, when it is a string
    lua_Integer index; // and when it is an integer
    bool named;
};

struct encoder {
    lua_State *L;
    struct buf *out;
    char why[256]; // the reason, once a value was refused
};

static void write_path(const struct level *l, struct buf *path)
{
    if (!l)
        return;
    write_path(l->outer, path);
    if (l->named)
        buf_addf(path, "%s%.*s", path->n ? "." : "", STR_ARG(l->name));
    else
        buf_addf(path, "[%lld]", (long long)l->index);
}

static bool refuse(struct encoder *e, const struct level *at, const char *reason)
{
    struct buf path;
    buf_init(&path, sizeof e->why / 2); // what is longer is cut off
    write_path(at, &path);
    snprintf(e->why, sizeof e->why, "%.*s%s%s", STR_ARG(buf_str(&path)), at ? ": " : "", reason);
    buf_fini(&path);
    return false;
}

static bool add(struct encoder *e, const struct level *at, char tag, const void *p, size_t n)
{
    if (buf_addc(e->out, tag) && buf_add(e->out, str_of(p, n)))
        return true;
    return refuse(e, at, "too much to be kept");
}

static bool add_string(struct encoder *e, const struct level *at, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    if (s.n > UINT32_MAX || !add(e, at, 's', &n, sizeof n) || !buf_add(e->out, s))
        return refuse(e, at, "too much to be kept");
    return true;
}

static bool add_number(struct encoder *e, int idx, const struct level *at)
{
    if (lua_isinteger(e->L, idx)) {
        lua_Integer i = lua_tointeger(e->L, idx);
        return add(e, at, 'i', &i, sizeof i);
    }
    lua_Number d = lua_tonumber(e->L, idx);
    return add(e, at, 'd', &d, sizeof d);
}

static bool add_table(struct encoder *e, int idx, const struct level *outer);

static bool add_value(struct encoder *e, int idx, const struct level *at)
{
    char reason[64];
    struct str s;
    switch (lua_type(e->L, idx)) {
    case LUA_TNIL:
        return add(e, at, 'N', NULL, 0);
    case LUA_TBOOLEAN:
        return add(e, at, lua_toboolean(e->L, idx) ? 'T' : 'F', NULL, 0);
    case LUA_TNUMBER:
        return add_number(e, idx, at);
    case LUA_TSTRING:
        s.p = lua_tolstring(e->L, idx, &s.n);
        return add_string(e, at, s);
    case LUA_TTABLE:
        return add_table(e, idx, at);
    default:
        snprintf(reason, sizeof reason, "a %s cannot be kept", luaL_typename(e->L, idx));
        return refuse(e, at, reason);
    }
}

// The key at idx, as it is shown in a path. False for a key that cannot be kept.
static bool note_key(lua_State *L, int idx, struct level *l)
{
    l->named = true;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        l->name.p = lua_tolstring(L, idx, &l->name.n);
        return true;
    case LUA_TNUMBER:
        l->named = !lua_isinteger(L, idx);
        l->index = lua_tointeger(L, idx);
        l->name = STR("[a float]");
        return true;
    default:
        l->name = str_z(luaL_typename(L, idx));
        return lua_isboolean(L, idx);
    }
}

static bool add_entries(struct encoder *e, int idx, struct level *here)
{
    lua_State *L = e->L;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        int value = lua_gettop(L);
        if (!note_key(L, value - 1, here))
            return refuse(e, here, "such a key cannot be kept");
        if (!add_value(e, value - 1, here) || !add_value(e, value, here))
            return false;
        lua_settop(L, value - 1);
    }
    return true;
}

static bool add_table(struct encoder *e, int idx, const struct level *outer)
{
    struct level here = {.outer = outer, .table = lua_topointer(e->L, idx)};
    int depth = 1;
    for (const struct level *l = outer; l; l = l->outer, depth++)
        if (l->table == here.table)
            return refuse(e, outer, "a table that contains itself cannot be kept");
    if (depth > PLAIN_DEPTH || !lua_checkstack(e->L, 4))
        return refuse(e, outer, "too many tables inside one another");
    return add(e, outer, '{', NULL, 0) && add_entries(e, idx, &here) && add(e, outer, '}', NULL, 0);
}

bool plain_encode(lua_State *L, int idx, struct buf *out)
{
    struct encoder e = {.L = L, .out = out};
    int top = lua_gettop(L);
    size_t before = out->n;
    if (add_value(&e, lua_absindex(L, idx), NULL))
        return true;
    out->n = before;
    lua_settop(L, top);
    lua_pushstring(L, e.why);
    return false;
}

static bool take(struct str *rest, void *dst, size_t n)
{
    if (rest->n < n)
        return false;
    memcpy(dst, rest->p, n);
    *rest = str_of(rest->p + n, rest->n - n);
    return true;
}

static bool push_string(lua_State *L, struct str *rest)
{
    uint32_t n;
    if (!take(rest, &n, sizeof n) || rest->n < n)
        return false;
    lua_pushlstring(L, rest->p, n);
    *rest = str_of(rest->p + n, rest->n - n);
    return true;
}

static bool push_value(lua_State *L, struct str *rest, int depth);

// The key on top: one that the encoder writes, and not in the table below it yet.
static bool key_is_good(lua_State *L)
{
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        return false;
    if (type == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1)) // NaN
        return false;
    lua_pushvalue(L, -1);
    bool fresh = lua_rawget(L, -3) == LUA_TNIL;
    lua_pop(L, 1);
    return fresh;
}

static bool push_table(lua_State *L, struct str *rest, int depth)
{
    if (depth > PLAIN_DEPTH || !lua_checkstack(L, 6))
        return false;
    lua_newtable(L);
    while (rest->n && rest->p[0] != '}') {
        if (!push_value(L, rest, depth) || !key_is_good(L))
            return false;
        if (!push_value(L, rest, depth) || lua_isnil(L, -1))
            return false;
        lua_rawset(L, -3);
    }
    char end;
    return take(rest, &end, 1);
}

// Pushes the next value of *rest, which lies in a table of that depth. On failure anything may be
// pushed.
static bool push_value(lua_State *L, struct str *rest, int depth)
{
    char tag;
    lua_Integer i;
    lua_Number d;
    if (!take(rest, &tag, 1))
        return false;
    switch (tag) {
    case 'N':
        lua_pushnil(L);
        return true;
    case 'T':
    case 'F':
        lua_pushboolean(L, tag == 'T');
        return true;
    case 'i':
        if (!take(rest, &i, sizeof i))
            return false;
        lua_pushinteger(L, i);
        return true;
    case 'd':
        if (!take(rest, &d, sizeof d))
            return false;
        lua_pushnumber(L, d);
        return true;
    case 's':
        return push_string(L, rest);
    case '{':
        return push_table(L, rest, depth + 1);
    default:
        return false;
    }
}

bool plain_decode(lua_State *L, struct str bytes)
{
    int top = lua_gettop(L);
    if (lua_checkstack(L, 4) && push_value(L, &bytes, 0) && bytes.n == 0)
        return true;
    lua_settop(L, top);
    return false;
}

// The values of a call, from Lua into a query: see lua_sqlite.h.
//
// They are looked at twice, for what they need and to be copied. Between the two nothing may run that
// collects, since a finalizer could change the table that they are in.
#include "script/json_mark.h"
#include "script/lua_sqlite.h"
#include "script/luax.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 32766 }; // SQLite's bound on parameters

static bool is_blob(lua_State *L, int idx)
{
    return luaL_testudata(L, idx, LUA_SQLITE_BLOB) != NULL;
}

// What the value at idx is, if it is nothing to keep; else NULL. Pushes nothing.
static const char *problem(lua_State *L, int idx)
{
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TSTRING:
        return NULL;
    case LUA_TNUMBER:
        return isnan(lua_tonumber(L, idx)) ? "NaN" : NULL;
    case LUA_TUSERDATA:
        return is_blob(L, idx) || json_is_null(L, idx) ? NULL : "userdata";
    default:
        return luaL_typename(L, idx);
    }
}

static struct str bytes_at(lua_State *L, int idx)
{
    if (!is_blob(L, idx))
        return luax_str(L, idx);
    lua_getiuservalue(L, idx, 1);
    struct str s = luax_str(L, -1); // the userdata keeps it
    lua_pop(L, 1);
    return s;
}

// Memory from which the copies are cut.
struct cut {
    char *p, *end;
};

static struct str cut_copy(struct cut *c, struct str s)
{
    struct str to = str_of(c->p, s.n);
    assert((size_t)(c->end - c->p) > s.n);
    if (s.n)
        memcpy(c->p, s.p, s.n);
    c->p[s.n] = '\0';
    c->p += s.n + 1;
    return to;
}

static struct sqlite_value value_at(lua_State *L, int idx, struct cut *c)
{
    switch (lua_type(L, idx)) {
    case LUA_TBOOLEAN:
        return (struct sqlite_value){.type = VALUE_INTEGER, .integer = lua_toboolean(L, idx)};
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            return (struct sqlite_value){.type = VALUE_INTEGER, .integer = lua_tointeger(L, idx)};
        return (struct sqlite_value){.type = VALUE_FLOAT, .number = lua_tonumber(L, idx)};
    case LUA_TSTRING:
        return (struct sqlite_value){.type = VALUE_TEXT, .bytes = cut_copy(c, luax_str(L, idx))};
    case LUA_TUSERDATA:
        if (is_blob(L, idx))
            return (struct sqlite_value){.type = VALUE_BLOB,
                                         .bytes = cut_copy(c, bytes_at(L, idx))};
        break;
    default:
        break;
    }
    return (struct sqlite_value){.type = VALUE_NULL};
}

// What there is to copy.
struct need {
    size_t bytes;
    unsigned count;
};

// The value at idx, which `what` names, counts. These return false when a sentence is pushed.
static bool add_need(lua_State *L, struct need *n, int idx, const char *what)
{
    const char *wrong = problem(L, idx);
    if (!wrong && n->count++ < VALUES_MAX) {
        n->bytes += sizeof(struct sqlite_value) + bytes_at(L, idx).n + 1;
        return true;
    }
    if (wrong)
        lua_pushfstring(
            L,
            "value %s is %s%s, which is not kept: nil, a boolean, a number, a string or "
            "sqlite.blob(s)",
            what, strcmp(wrong, "NaN") == 0 ? "" : "a ", wrong);
    else
        lua_pushfstring(L, "there are more than %d values", VALUES_MAX);
    return false;
}

static bool need_in_order(lua_State *L, struct need *n, int first, int last)
{
    char what[16];
    for (int i = first; i <= last; i++) {
        snprintf(what, sizeof what, "%d", i - first + 1);
        if (!add_need(L, n, i, what))
            return false;
    }
    return true;
}

static bool need_by_name(lua_State *L, struct need *n, int table)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct str name = luax_str(L, -2);
        if (!name.p) {
            lua_pushliteral(L, "a table of values has names as keys: { title = … }");
            return false;
        }
        if (!add_need(L, n, lua_gettop(L), name.p))
            return false;
        n->bytes += name.n + 1;
    }
    return true;
}

static void copy_by_name(lua_State *L, struct sqlite_query *q, struct cut *c, int table)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct sqlite_value *v = &q->values[q->value_count++];
        *v = value_at(L, lua_gettop(L), c);
        v->name = cut_copy(c, luax_str(L, -2));
    }
}

static bool check_sql(lua_State *L, int idx)
{
    struct str sql = luax_str(L, idx);
    if (!sql.p)
        lua_pushfstring(L, "the SQL must be a string, not %s", luaL_typename(L, idx));
    else if (sql.n > SQL_BYTES_MAX)
        lua_pushfstring(L, "the SQL has more than %d bytes", SQL_BYTES_MAX);
    else if (str_find(sql, '\0') >= 0)
        lua_pushliteral(L, "the SQL has a NUL byte: values are given as parameters");
    else
        return true;
    return false;
}

bool lua_sqlite_values(lua_State *L, struct sqlite_query *q, char **memory, int sql, int last)
{
    int first = sql + 1;
    struct need n = {0};
    q->named = last == first && lua_istable(L, first); // one table, and nothing else
    if (!check_sql(L, sql) ||
        !(q->named ? need_by_name(L, &n, first) : need_in_order(L, &n, first, last)))
        return false;
    size_t size = n.bytes + luax_str(L, sql).n + 1;
    char *p = *memory = malloc(size);
    if (!p) {
        lua_pushliteral(L, "not enough memory");
        return false;
    }
    q->values = (struct sqlite_value *)p; // first, for its alignment
    struct cut c = {p + n.count * sizeof *q->values, p + size};
    q->sql = cut_copy(&c, luax_str(L, sql));
    if (q->named)
        copy_by_name(L, q, &c, first);
    else
        for (int i = first; i <= last; i++)
            q->values[q->value_count++] = value_at(L, i, &c);
    return true;
}

// The values of a call, from Lua into a query: see lua_sqlite.h.
//
// They are looked at twice, for what they need and to be copied. Between the two nothing may run that
// collects, since a finalizer could change the table that they are in.
#include "script/json_mark.h"
#include "script/lua_sqlite.h"
#include "script/luax.h"

#include <assert.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t calls_bytes; // of all copies there are; a worker has one loop

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
    size_t bytes; // at most CALL_BYTES_MAX
    unsigned count;
};

static int add_bytes(lua_State *L, struct need *n, size_t bytes)
{
    if (bytes <= CALL_BYTES_MAX - n->bytes) {
        n->bytes += bytes;
        return 0;
    }
    lua_pushfstring(L, "the SQL and the values of one call have more than %d bytes together",
                    CALL_BYTES_MAX);
    return SQLITE_TOOBIG;
}

// The value at idx, which `what` names, counts. These return 0, or a code with a sentence pushed.
static int add_need(lua_State *L, struct need *n, int idx, const char *what)
{
    const char *wrong = problem(L, idx);
    if (!wrong && n->count++ < VALUES_MAX)
        return add_bytes(L, n, sizeof(struct sqlite_value) + bytes_at(L, idx).n + 1);
    if (wrong)
        lua_pushfstring(
            L,
            "value %s is %s%s, which is not kept: nil, a boolean, a number, a string or "
            "sqlite.blob(s)",
            what, strcmp(wrong, "NaN") == 0 ? "" : "a ", wrong);
    else
        lua_pushfstring(L, "there are more than %d values", VALUES_MAX);
    return SQLITE_MISUSE;
}

static int need_in_order(lua_State *L, struct need *n, int first, int last)
{
    char what[16];
    int code = 0;
    for (int i = first; !code && i <= last; i++) {
        snprintf(what, sizeof what, "%d", i - first + 1);
        code = add_need(L, n, i, what);
    }
    return code;
}

static int need_by_name(lua_State *L, struct need *n, int table)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct str name = luax_str(L, -2);
        if (!name.p) {
            lua_pushliteral(L, "a table of values has names as keys: { title = … }");
            return SQLITE_MISUSE;
        }
        int code = add_need(L, n, lua_gettop(L), name.p);
        if (!code)
            code = add_bytes(L, n, name.n + 1);
        if (code)
            return code;
    }
    return 0;
}

static void copy_by_name(lua_State *L, struct sqlite_query *q, struct cut *c, int table)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct sqlite_value *v = &q->values[q->value_count++];
        *v = value_at(L, lua_gettop(L), c);
        v->name = cut_copy(c, luax_str(L, -2));
    }
}

static int check_sql(lua_State *L, int idx)
{
    struct str sql = luax_str(L, idx);
    if (!sql.p)
        lua_pushfstring(L, "the SQL must be a string, not %s", luaL_typename(L, idx));
    else if (sql.n > SQL_BYTES_MAX)
        lua_pushfstring(L, "the SQL has more than %d bytes", SQL_BYTES_MAX);
    else if (str_find(sql, '\0') >= 0)
        lua_pushliteral(L, "the SQL has a NUL byte: values are given as parameters");
    else
        return 0;
    return sql.p && sql.n > SQL_BYTES_MAX ? SQLITE_TOOBIG : SQLITE_MISUSE;
}

static int find_need(lua_State *L, struct need *n, bool named, int sql, int last)
{
    int code = check_sql(L, sql);
    if (!code)
        code = add_bytes(L, n, luax_str(L, sql).n + 1);
    if (code)
        return code;
    return named ? need_by_name(L, n, sql + 1) : need_in_order(L, n, sql + 1, last);
}

static int reserve(lua_State *L, struct lua_sqlite_copy *copy, size_t size)
{
    if (size > CALLS_BYTES_MAX - calls_bytes) {
        lua_pushfstring(
            L, "the calls under way in this worker would hold more than %d bytes of values",
            CALLS_BYTES_MAX);
        return SQLITE_NOMEM;
    }
    copy->memory = malloc(size);
    if (!copy->memory) {
        lua_pushliteral(L, "not enough memory");
        return SQLITE_NOMEM;
    }
    calls_bytes += copy->size = size;
    return 0;
}

void lua_sqlite_copy_free(struct lua_sqlite_copy *copy)
{
    calls_bytes -= copy->size;
    free(copy->memory);
    *copy = (struct lua_sqlite_copy){0};
}

int lua_sqlite_values(lua_State *L, struct sqlite_query *q, struct lua_sqlite_copy *copy, int sql,
                      int last)
{
    int first = sql + 1;
    struct need n = {0};
    q->named = last == first && lua_istable(L, first); // one table, and nothing else
    int code = find_need(L, &n, q->named, sql, last);
    if (!code)
        code = reserve(L, copy, n.bytes);
    if (code)
        return code;
    char *p = copy->memory;
    q->values = (struct sqlite_value *)p; // first, for its alignment
    struct cut c = {p + n.count * sizeof *q->values, p + copy->size};
    q->sql = cut_copy(&c, luax_str(L, sql));
    if (q->named)
        copy_by_name(L, q, &c, first);
    else
        for (int i = first; i <= last; i++)
            q->values[q->value_count++] = value_at(L, i, &c);
    return 0;
}

// lunette.sqlite_core: statements on a leased connection, as jobs of the thread pool.
//
// A function here that fails returns nil, kind, message, code: lunette.sqlite makes the error of it, since
// it knows the line of the site.
#include "script/job.h"
#include "script/json_mark.h"
#include "script/lua_sqlite.h"
#include "script/luax.h"
#include "script/sqlite_query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 32766 };           // SQLite's bound on parameters
enum { LEASE = 1, MODE, SQL, VALUES }; // the stack of query; values follow

struct query_job {
    struct job job;
    struct sqlite_query query;
    struct sqlite_link *link; // NULL: it has been given back
    char *memory;             // of the SQL and the values
    bool value_alone;         // of a row, its first column
};

// The job -----------------------------------------------------------------------------------------

static void run(struct job *job)
{
    struct query_job *j = (struct query_job *)job;
    sqlite_query_run(sqlite_link_conn(j->link), &j->query);
}

static void give_back(struct query_job *j)
{
    struct sqlite_link *link = j->link;
    j->link = NULL;
    if (link)
        sqlite_link_over(link);
}

static void stop(struct job *job)
{
    sqlite_link_stop(((struct query_job *)job)->link);
}

static void release(struct job *job)
{
    struct query_job *j = (struct query_job *)job;
    give_back(j);
    buf_fini(&j->query.rows);
    free(j->memory);
}

// Results -----------------------------------------------------------------------------------------

static int push_failure(lua_State *L, const char *kind, const char *text, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, kind);
    lua_pushstring(L, text);
    lua_pushstring(L, code);
    return 4;
}

static void push_value(lua_State *L, struct str *bytes)
{
    struct sqlite_value v = sqlite_take_value(bytes);
    if (v.type == VALUE_INTEGER)
        lua_pushinteger(L, v.integer);
    else if (v.type == VALUE_FLOAT)
        lua_pushnumber(L, v.number);
    else if (v.type == VALUE_TEXT)
        luax_push(L, v.bytes);
    else
        lua_pushnil(L);
}

// Pushes the names of the columns; how many.
static int push_names(lua_State *L, struct str *bytes)
{
    int n = (int)sqlite_take_count(bytes);
    luaL_checkstack(L, n + LUA_MINSTACK, "too many columns");
    for (int i = 0; i < n; i++)
        luax_push(L, sqlite_take_bytes(bytes));
    return n;
}

// names is where the first name is.
static void push_row(lua_State *L, struct str *bytes, int names, int columns)
{
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        lua_pushvalue(L, names + i);
        push_value(L, bytes);
        lua_rawset(L, -3); // nil takes away what a column of the same name has put there
    }
}

// Adds the rows to the array on top, which stays there.
static void add_rows(lua_State *L, const struct sqlite_query *q)
{
    struct str bytes = buf_str(&q->rows);
    int array = lua_gettop(L);
    if (q->row_count == 0)
        return;
    lua_Integer n = (lua_Integer)lua_rawlen(L, array);
    int columns = push_names(L, &bytes);
    for (unsigned i = 0; i < q->row_count; i++) {
        push_row(L, &bytes, array + 1, columns);
        lua_rawseti(L, array, ++n);
    }
    lua_settop(L, array);
}

static int push_rows(lua_State *L, const struct sqlite_query *q)
{
    add_rows(L, q);
    if (q->more)
        lua_pushinteger(L, (lua_Integer)q->more);
    else
        lua_pushnil(L);
    return 3; // true, the array, the cursor
}

static int push_first(lua_State *L, const struct query_job *j)
{
    struct str bytes = buf_str(&j->query.rows);
    if (j->query.row_count == 0) {
        lua_pushnil(L);
        return 2;
    }
    int names = lua_gettop(L) + 1, columns = push_names(L, &bytes);
    if (j->value_alone)
        push_value(L, &bytes);
    else
        push_row(L, &bytes, names, columns);
    lua_replace(L, names);
    lua_settop(L, names);
    return 2;
}

static int push_changes(lua_State *L, const struct sqlite_query *q)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, q->changes);
    lua_setfield(L, -2, "changes");
    if (q->inserted) {
        lua_pushinteger(L, q->last_id);
        lua_setfield(L, -2, "last_id");
    }
    return 2;
}

static int finish(lua_State *L, struct job *job)
{
    struct query_job *j = (struct query_job *)job;
    const struct sqlite_query *q = &j->query;
    give_back(j); // before anything that may raise
    int code = q->failure.code;
    if (code)
        return push_failure(L, sqlite_kind(code), q->failure.text, sqlite_code_name(code));
    lua_pushboolean(L, !q->writes);
    if (q->writes || q->mode == QUERY_DO)
        return 1;
    if (q->mode == QUERY_EXEC)
        return push_changes(L, q);
    if (q->mode == QUERY_ROW)
        return push_first(L, j);
    if (q->mode == QUERY_MORE && lua_istable(L, 3)) {
        lua_pushvalue(L, 3);
    } else {
        lua_createtable(L, (int)q->row_count, 0);
        json_mark_array(L, -1);
    }
    return push_rows(L, q);
}

static const struct job_ops ops = {.run = run, .finish = finish, .release = release, .stop = stop};

static struct query_job *new_job(lua_State *L, enum sqlite_mode mode)
{
    struct query_job *j = (struct query_job *)job_push(L, sizeof *j, &ops);
    sqlite_query_init(&j->query);
    j->query.mode = mode;
    return j;
}

static int start(lua_State *L, struct sqlite_lease *lease, struct query_job *j)
{
    j->link = sqlite_link_begin(lease);
    j->query.left_count = sqlite_link_left(j->link, j->query.left);
    return job_wait(L, &j->job);
}

// A lease whose connection may be used now; else NULL, and a failure is pushed.
static struct sqlite_lease *check_lease(lua_State *L)
{
    struct sqlite_lease *lease = luaL_checkudata(L, LEASE, LUA_SQLITE_LEASE);
    if (sqlite_lease_is_free(lease))
        return lease;
    push_failure(L, "misuse",
                 lease->link
                     ? "its connection still works for a call before, of another task or one "
                       "that was cancelled"
                     : "its connection was given back",
                 "SQLITE_MISUSE");
    return NULL;
}

// Values ------------------------------------------------------------------------------------------

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

// Memory from which the job's copies are cut.
struct cut {
    char *p;
};

static struct str cut_copy(struct cut *c, struct str s)
{
    struct str to = str_of(c->p, s.n);
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

// What the values need.
struct need {
    size_t bytes;
    unsigned count;
};

// The message on top is what the call fails with.
static bool misuse(lua_State *L)
{
    push_failure(L, "misuse", lua_tostring(L, -1), "SQLITE_MISUSE");
    return false;
}

// The value at idx, which `what` names, counts. These return false when a failure is pushed.
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
    return misuse(L);
}

static bool need_in_order(lua_State *L, struct need *n, int top)
{
    char what[16];
    for (int i = VALUES; i <= top; i++) {
        snprintf(what, sizeof what, "%d", i - VALUES + 1);
        if (!add_need(L, n, i, what))
            return false;
    }
    return true;
}

static bool need_by_name(lua_State *L, struct need *n)
{
    for (lua_pushnil(L); lua_next(L, VALUES); lua_pop(L, 1)) {
        struct str name = luax_str(L, -2);
        if (!name.p) {
            lua_pushliteral(L, "a table of values has names as keys: { title = … }");
            return misuse(L);
        }
        if (!add_need(L, n, lua_gettop(L), name.p))
            return false;
        n->bytes += name.n + 1;
    }
    return true;
}

// One table, and nothing else, is values by name.
static bool is_named(lua_State *L, int top)
{
    return top == VALUES && lua_istable(L, VALUES);
}

// Copies SQL and values into the job, which is on top.
static void copy_in(lua_State *L, struct query_job *j, const struct need *n, int top)
{
    struct sqlite_query *q = &j->query;
    struct str sql = luax_str(L, SQL);
    j->memory = malloc(n->bytes + sql.n + 1);
    if (!j->memory)
        luaL_error(L, "not enough memory");
    q->values = (struct sqlite_value *)j->memory; // first, for its alignment
    struct cut c = {j->memory + n->count * sizeof *q->values};
    q->sql = cut_copy(&c, sql);
    q->named = is_named(L, top);
    if (!q->named) {
        for (int i = VALUES; i <= top; i++)
            q->values[q->value_count++] = value_at(L, i, &c);
        return;
    }
    for (lua_pushnil(L); lua_next(L, VALUES); lua_pop(L, 1)) {
        struct sqlite_value *v = &q->values[q->value_count++];
        *v = value_at(L, lua_gettop(L), &c);
        v->name = cut_copy(&c, luax_str(L, -2));
    }
}

// The functions -----------------------------------------------------------------------------------

static bool check_sql(lua_State *L)
{
    struct str sql = luax_str(L, SQL);
    if (!sql.p)
        lua_pushfstring(L, "the SQL must be a string, not %s", luaL_typename(L, SQL));
    else if (sql.n > SQL_BYTES_MAX)
        lua_pushfstring(L, "the SQL has more than %d bytes", SQL_BYTES_MAX);
    else if (str_find(sql, '\0') >= 0)
        lua_pushliteral(L, "the SQL has a NUL byte: values are given as parameters");
    else
        return true;
    return misuse(L);
}

// query(lease, "exec", sql, …)   → true, {changes=, last_id=}
// query(lease, "rows", sql, …)   → true, array of its first rows, a cursor or nil
// query(lease, "row", sql, …)    → true, its first row or nil
// query(lease, "value", sql, …)  → true, the first column of that
// query(lease, "do", sql)        → true
// and false where a reader was given a statement that writes.
static int core_query(lua_State *L)
{
    static const char *const names[] = {"exec", "rows", "row", "value", "do", NULL};
    static const enum sqlite_mode modes[] = {QUERY_EXEC, QUERY_ROWS, QUERY_ROW, QUERY_ROW,
                                             QUERY_DO};
    int mode = luaL_checkoption(L, MODE, NULL, names), top = lua_gettop(L);
    struct need need = {0};
    struct sqlite_lease *lease = check_lease(L);
    if (!lease || !check_sql(L))
        return 4;
    if (!(is_named(L, top) ? need_by_name(L, &need) : need_in_order(L, &need, top)))
        return 4;
    struct query_job *j = new_job(L, modes[mode]);
    j->value_alone = strcmp(names[mode], "value") == 0;
    copy_in(L, j, &need, top);
    return start(L, lease, j);
}

// more(lease, cursor[, array]) → as "rows", added to the array
static int core_more(lua_State *L)
{
    uint64_t cursor = (uint64_t)luaL_checkinteger(L, 2);
    lua_settop(L, 3);
    struct sqlite_lease *lease = check_lease(L);
    if (!lease)
        return 4;
    struct query_job *j = new_job(L, QUERY_MORE);
    j->query.cursor = cursor;
    return start(L, lease, j);
}

// leave(lease, cursor): nobody wants the rest.
static int core_leave(lua_State *L)
{
    sqlite_lease_leave_cursor(luaL_checkudata(L, LEASE, LUA_SQLITE_LEASE),
                              (uint64_t)luaL_checkinteger(L, 2));
    return 0;
}

void lua_sqlite_query_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"query", core_query}, {"more", core_more}, {"leave", core_leave}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

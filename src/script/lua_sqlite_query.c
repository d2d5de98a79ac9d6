// lunette.sqlite_core: statements on a leased connection, as jobs of the thread pool.
//
// A function here that fails returns nil, kind, message, code: lunette.sqlite makes the error of it, since
// it knows the line of the site.
#include "script/job.h"
#include "script/json_mark.h"
#include "script/lua_sqlite.h"
#include "script/luax.h"
#include "script/sqlite_query.h"

#include <stdlib.h>
#include <string.h>

enum { LEASE = 1, MODE, SQL }; // the stack of query; values follow

struct query_job {
    struct job job;
    struct sqlite_query query;
    struct sqlite_link *link;    // NULL: it has been given back
    struct lua_sqlite_copy copy; // the SQL and the values
    bool value_alone;            // of a row, its first column
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
    lua_sqlite_copy_free(&j->copy);
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

static const struct job_ops ops = {
    .run = run, .finish = finish, .release = release, .stop = stop, .database = true};

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

// The functions -----------------------------------------------------------------------------------

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
    struct sqlite_lease *lease = check_lease(L);
    if (!lease)
        return 4;
    struct query_job *j = new_job(L, modes[mode]);
    j->value_alone = strcmp(names[mode], "value") == 0;
    int code = lua_sqlite_values(L, &j->query, &j->copy, SQL, top);
    if (code)
        return push_failure(L, sqlite_kind(code), lua_tostring(L, -1), sqlite_code_name(code));
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

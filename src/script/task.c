// Tasks: see the header.
#include "script/task.h"

#include "base/log.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <string.h>

enum task_state { TASK_RUNS, TASK_RETURNED, TASK_RAISED };
enum { OUTCOME = 1, TRACEBACK, USER_VALUES = TRACEBACK }; // results in a table, or the error

struct task {
    struct co *co; // NULL once it has ended
    struct str id; // of the request that it was spawned for, in the task's own block; maybe empty
    enum task_state state;
    int n;                 // results in OUTCOME
    const char *cancelled; // the reason, or NULL
    struct task_listener *listeners;
};

void task_listen(struct task_listener *l, struct task *t)
{
    l->task = t;
    l->next = t->listeners;
    l->link = &t->listeners;
    if (l->next)
        l->next->link = &l->next;
    t->listeners = l;
}

void task_unlisten(struct task_listener *l)
{
    if (!l->task)
        return;
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->task = NULL;
}

// Pushes the line that ends the traceback of a task: a tail call, or a library's function that was
// spawned itself, leaves no other trace of the site.
static void push_origin(lua_State *L, int function)
{
    lua_Debug ar;
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &ar);
    if (*ar.what == 'C')
        lua_pushliteral(L, "");
    else
        lua_pushfstring(L, "\nspawned: function <%s:%d>", ar.short_src, ar.linedefined);
}

// Message handler: keeps the traceback, for the case that nobody asks for the error.
static int keep_traceback(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    vm_push_traceback(L, L, message, 1);
    push_origin(L, lua_upvalueindex(2));
    lua_concat(L, 2);
    lua_setiuservalue(L, lua_upvalueindex(1), TRACEBACK);
    lua_settop(L, 1);
    return 1;
}

// The stack of a task's first function, which returns the handle.
enum { SELF = 1, HANDLER, FIRST_RESULT };

static int main_over(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    struct task *t = lua_touserdata(L, SELF);
    if (status == LUA_OK || status == LUA_YIELD) {
        int n = lua_gettop(L) - HANDLER;
        lua_createtable(L, n, 0);
        lua_insert(L, FIRST_RESULT);
        for (int i = n; i > 0; i--)
            lua_rawseti(L, FIRST_RESULT, i);
        t->n = n;
        t->state = TASK_RETURNED;
    } else {
        t->state = TASK_RAISED;
    }
    lua_setiuservalue(L, SELF, OUTCOME);
    lua_settop(L, SELF);
    return 1;
}

// handle, fn, … : a task that was cancelled before it began does not begin.
static int run_main(lua_State *L)
{
    struct task *t = lua_touserdata(L, SELF);
    if (t->cancelled) {
        lua_pushstring(L, t->cancelled);
        return main_over(L, LUA_ERRRUN, 0);
    }
    lua_pushvalue(L, SELF);
    lua_pushvalue(L, HANDLER); // where the function still is
    lua_pushcclosure(L, keep_traceback, 2);
    lua_insert(L, HANDLER);
    int nargs = lua_gettop(L) - FIRST_RESULT;
    int status = lua_pcallk(L, nargs, LUA_MULTRET, HANDLER, 0, main_over);
    return main_over(L, status, 0);
}

// Protected: handle → nothing. An error that is our own cancelling is none.
static int log_unheard(lua_State *L)
{
    const struct task *t = lua_touserdata(L, 1);
    lua_getiuservalue(L, 1, OUTCOME);
    if (t->cancelled && str_eq(luax_str(L, -1), str_z(t->cancelled)))
        return 0;
    if (lua_getiuservalue(L, 1, TRACEBACK) != LUA_TSTRING)
        luaL_tolstring(L, 2, NULL);
    log_about(t->id, LOG_ERROR, "a spawned function failed: %s", lua_tostring(L, -1));
    cut_logged(vm_of(L), lua_tostring(L, -1));
    return 0;
}

// The handle is on top of T.
static void report(const struct task *t, lua_State *T)
{
    lua_State *L = vm_state(vm_of(T));
    if (!lua_checkstack(L, 2) || !lua_checkstack(T, 1)) {
        log_about(t->id, LOG_ERROR, "a spawned function failed, and there is no memory to say how");
        return;
    }
    lua_pushcfunction(L, log_unheard);
    lua_pushvalue(T, -1);
    lua_xmove(T, L, 1);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        log_about(t->id, LOG_ERROR, "a spawned function failed: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

static void ended(struct co *co, enum co_end how, lua_State *T, int n, void *arg)
{
    (void)co, (void)n;
    struct task *t = arg;
    t->co = NULL;
    if (how == CO_RAISED) { // keeping the outcome took too much memory: there is none
        t->state = TASK_RAISED;
        log_about(t->id, LOG_ERROR, "a spawned function failed: not enough memory");
    } else if (t->state == TASK_RAISED && !t->listeners) {
        report(t, T);
    }
    while (t->listeners) {
        struct task_listener *l = t->listeners;
        task_unlisten(l);
        l->ended(l, t);
    }
}

struct task *task_new(lua_State *L, int n)
{
    struct str id = log_running_id();
    struct task *t = lua_newuserdatauv(L, sizeof *t + id.n, USER_VALUES);
    *t = (struct task){.state = TASK_RUNS, .id = str_of((char *)(t + 1), id.n)};
    if (id.n)
        memcpy(t + 1, id.p, id.n);
    luaL_setmetatable(L, TASK_CLASS);
    t->co = co_new(vm_of(L));
    if (!t->co)
        luaL_error(L, "not enough memory");
    co_set_id(t->co, t->id);
    lua_State *T = co_state(t->co);
    if (!lua_checkstack(T, n + 2)) {
        co_drop(t->co);
        luaL_error(L, "too many arguments");
    }
    lua_pushcfunction(T, run_main);
    lua_pushvalue(L, -1);
    lua_xmove(L, T, 1);
    lua_insert(L, -(n + 1));
    lua_xmove(L, T, n);
    co_start_later(t->co, n + 1, ended, t);
    return t;
}

void task_cancel(struct task *t, const char *reason)
{
    if (!t->co || t->cancelled)
        return;
    t->cancelled = reason;
    co_cancel(t->co, reason);
}

void task_give_up(struct task_listener *l, const char *reason)
{
    struct task *t = l->task;
    task_unlisten(l);
    if (t)
        task_cancel(t, reason);
}

struct co *task_co(const struct task *t)
{
    return t->co;
}

bool task_failed(const struct task *t)
{
    return t->state == TASK_RAISED;
}

int task_push_outcome(lua_State *L, int idx)
{
    const struct task *t = lua_touserdata(L, idx);
    lua_getiuservalue(L, idx, OUTCOME);
    if (t->state == TASK_RAISED)
        return lua_isnil(L, -1) ? luaL_error(L, "not enough memory") : lua_error(L);
    int results = lua_gettop(L);
    luaL_checkstack(L, t->n, "too many results");
    for (int i = 1; i <= t->n; i++)
        lua_rawgeti(L, results, i);
    return t->n;
}

void task_push_first(lua_State *L, int idx)
{
    lua_getiuservalue(L, idx, OUTCOME);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
}

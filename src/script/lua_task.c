// lunette.task: sleep, spawn, all, timeout. Everything that waits here does so through co_wait.
//
// A task is a function in a co of its own; its handle is a userdata on that co's stack, so that it
// lives at least as long. Whoever wants to hear of its end has a listener in the task's list: a
// join, an all, a timeout. The end is told from outside of Lua, where nothing may be allocated:
// the task's own first function keeps results and errors in the handle's user values before.
#include "base/log.h"
#include "net/timeout.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const char HANDLE[] = "lunette.handle";
static const char CANCELLED[] = "cancelled";

enum task_state { TASK_RUNS, TASK_RETURNED, TASK_RAISED };
enum { OUTCOME = 1, TRACEBACK, USER_VALUES = TRACEBACK }; // results in a table, or the error

struct task {
    struct co *co; // NULL once it has ended
    struct str id; // of the request that it was spawned for, in the task's own block; maybe empty
    enum task_state state;
    int n;                 // results in OUTCOME
    const char *cancelled; // the reason, or NULL
    struct listener *listeners;
};

struct listener {
    void (*ended)(struct listener *l, struct task *t); // it is out of the list by then
    struct task *task;                                 // NULL: in no list
    struct listener *next, **link;
};

static void listen(struct listener *l, struct task *t)
{
    l->task = t;
    l->next = t->listeners;
    l->link = &t->listeners;
    if (l->next)
        l->next->link = &l->next;
    t->listeners = l;
}

static void unlisten(struct listener *l)
{
    if (!l->task)
        return;
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->task = NULL;
}

// From loop_now() to when so many seconds have passed from this moment: never less.
static uint64_t milliseconds(const struct loop *l, double seconds)
{
    return (uint64_t)ceil(seconds * 1000) + loop_behind(l);
}

// sleep

struct sleep {
    struct co_wait wait;
    struct loop *loop;
    struct timeout timeout;
    struct deferred turn; // for 0 seconds: let others run once
};

static int no_results(lua_State *L, struct co_wait *w)
{
    (void)L, (void)w;
    return 0;
}

static void sleep_cancelled(struct co_wait *w)
{
    struct sleep *s = (struct sleep *)w; // its first member
    timeout_remove(s->loop, &s->timeout);
    loop_undefer(s->loop, &s->turn);
}

static void slept(struct timeout *t)
{
    struct sleep *s = (struct sleep *)((char *)t - offsetof(struct sleep, timeout));
    timeout_remove(s->loop, t);
    co_wake(&s->wait);
}

static void turn_over(struct deferred *d)
{
    struct sleep *s = (struct sleep *)((char *)d - offsetof(struct sleep, turn));
    co_wake(&s->wait);
}

static int task_sleep(lua_State *L)
{
    if (lua_istable(L, 1))
        return luaL_error(L, "task.sleep: call with a dot, task.sleep(seconds)");
    double seconds = luax_check_duration(L, 1);
    struct sleep *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct sleep){.wait = {.finish = no_results, .cancel = sleep_cancelled},
                        .loop = vm_options(vm_of(L))->loop,
                        .turn = {.fn = turn_over}};
    timeout_init(&s->timeout, slept);
    if (seconds <= 0)
        loop_defer(s->loop, &s->turn);
    else if (!timeout_set(s->loop, &s->timeout, milliseconds(s->loop, seconds)))
        return luaL_error(L, "not enough memory");
    return co_wait(L, &s->wait);
}

// The life of a task

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

static int task_over(lua_State *L, int status, lua_KContext ctx)
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
static int task_main(lua_State *L)
{
    struct task *t = lua_touserdata(L, SELF);
    if (t->cancelled) {
        lua_pushstring(L, t->cancelled);
        return task_over(L, LUA_ERRRUN, 0);
    }
    lua_pushvalue(L, SELF);
    lua_pushvalue(L, HANDLER); // where the function still is
    lua_pushcclosure(L, keep_traceback, 2);
    lua_insert(L, HANDLER);
    int nargs = lua_gettop(L) - FIRST_RESULT;
    int status = lua_pcallk(L, nargs, LUA_MULTRET, HANDLER, 0, task_over);
    return task_over(L, status, 0);
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

static void task_ended(struct co *co, enum co_end how, lua_State *T, int n, void *arg)
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
        struct listener *l = t->listeners;
        unlisten(l);
        l->ended(l, t);
    }
}

// Makes a task of the function and its arguments, the top n values, and leaves the handle instead.
// It begins in a deferred call, so that whoever spawns it can listen before it ends.
static struct task *spawn(lua_State *L, int n)
{
    struct str id = log_running_id();
    struct task *t = lua_newuserdatauv(L, sizeof *t + id.n, USER_VALUES);
    *t = (struct task){.state = TASK_RUNS, .id = str_of((char *)(t + 1), id.n)};
    if (id.n)
        memcpy(t + 1, id.p, id.n);
    luaL_setmetatable(L, HANDLE);
    t->co = co_new(vm_of(L));
    if (!t->co)
        luaL_error(L, "not enough memory");
    co_set_id(t->co, t->id);
    lua_State *T = co_state(t->co);
    if (!lua_checkstack(T, n + 2)) {
        co_drop(t->co);
        luaL_error(L, "too many arguments");
    }
    lua_pushcfunction(T, task_main);
    lua_pushvalue(L, -1);
    lua_xmove(L, T, 1);
    lua_insert(L, -(n + 1));
    lua_xmove(L, T, n);
    co_start_later(t->co, n + 1, task_ended, t);
    return t;
}

static void cancel(struct task *t, const char *reason)
{
    if (!t->co || t->cancelled)
        return;
    t->cancelled = reason;
    co_cancel(t->co, reason);
}

// Pushes what the function of the handle at idx returned, or raises what it raised.
static int outcome(lua_State *L, int idx)
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

static int task_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    spawn(L, lua_gettop(L));
    return 1;
}

// handle:join() and handle:cancel()

struct join {
    struct co_wait wait;
    struct listener listener;
};

static void joined(struct listener *l, struct task *t)
{
    (void)t;
    struct join *j = (struct join *)((char *)l - offsetof(struct join, listener));
    co_wake(&j->wait);
}

static void join_cancelled(struct co_wait *w)
{
    unlisten(&((struct join *)w)->listener);
}

static int join_over(lua_State *L, struct co_wait *w)
{
    (void)w;
    return outcome(L, SELF);
}

static int handle_join(lua_State *L)
{
    struct task *t = luax_self(L, HANDLE);
    if (!t->co)
        return outcome(L, SELF);
    if (t->co == co_running(vm_of(L)))
        return luaL_error(L, "a task cannot join itself");
    struct join *j = lua_newuserdatauv(L, sizeof *j, 0);
    *j = (struct join){.wait = {.finish = join_over, .cancel = join_cancelled},
                       .listener = {.ended = joined}};
    listen(&j->listener, t);
    return co_wait(L, &j->wait);
}

static int handle_cancel(lua_State *L)
{
    cancel(luax_self(L, HANDLE), CANCELLED);
    return 0;
}

// all

struct member {
    struct listener listener;
    struct all *all;
};

struct all {
    struct co_wait wait;
    int n, left;
    int failed; // the first member that raised, from 1; 0: none
    struct member members[];
};
enum { FUNCTIONS = 1, HANDLES }; // the stack of all

static void cancel_members(struct co_wait *w)
{
    struct all *a = (struct all *)w;
    for (int i = 0; i < a->n; i++) {
        struct task *t = a->members[i].listener.task;
        unlisten(&a->members[i].listener);
        if (t)
            cancel(t, CANCELLED);
    }
}

static void member_ended(struct listener *l, struct task *t)
{
    struct member *m = (struct member *)l;
    struct all *a = m->all;
    a->left--;
    if (t->state == TASK_RAISED) {
        a->failed = (int)(m - a->members) + 1;
        cancel_members(&a->wait); // none of them is heard any more
        co_wake(&a->wait);
    } else if (a->left == 0) {
        co_wake(&a->wait);
    }
}

static int all_over(lua_State *L, struct co_wait *w)
{
    const struct all *a = (const struct all *)w;
    if (a->failed) {
        lua_rawgeti(L, HANDLES, a->failed);
        return outcome(L, lua_gettop(L));
    }
    lua_createtable(L, a->n, 0);
    for (int i = 1; i <= a->n; i++) {
        lua_rawgeti(L, HANDLES, i);
        lua_getiuservalue(L, -1, OUTCOME);
        lua_rawgeti(L, -1, 1);
        lua_rawseti(L, -4, i);
        lua_pop(L, 2);
    }
    return 1;
}

static int check_functions(lua_State *L)
{
    luaL_checktype(L, FUNCTIONS, LUA_TTABLE);
    lua_Unsigned n = lua_rawlen(L, FUNCTIONS);
    luaL_argcheck(L, n <= 100000, FUNCTIONS, "too many functions");
    for (lua_Unsigned i = 1; i <= n; i++) {
        if (lua_rawgeti(L, FUNCTIONS, (lua_Integer)i) != LUA_TFUNCTION)
            luaL_error(L, "task.all: item %d is a %s, not a function", (int)i,
                       luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    return (int)n;
}

// Everything is made before anything listens: what raises half-way leaves nothing behind that would
// be called.
static int task_all(lua_State *L)
{
    int n = check_functions(L);
    lua_settop(L, FUNCTIONS);
    lua_createtable(L, n, 0);
    if (n == 0)
        return 1;
    struct all *a = lua_newuserdatauv(L, sizeof *a + (size_t)n * sizeof *a->members, 0);
    *a = (struct all){.wait = {.finish = all_over, .cancel = cancel_members}, .n = n, .left = n};
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, FUNCTIONS, i);
        spawn(L, 1);
        lua_rawseti(L, HANDLES, i);
    }
    for (int i = 0; i < n; i++) {
        a->members[i] = (struct member){.listener = {.ended = member_ended}, .all = a};
        lua_rawgeti(L, HANDLES, i + 1);
        listen(&a->members[i].listener, lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    return co_wait(L, &a->wait);
}

// timeout

struct limit {
    struct co_wait wait;
    struct listener listener;
    struct timeout timeout;
    struct loop *loop;
    bool passed;
};
enum { SECONDS = 1, LIMITED }; // the stack of timeout

static void limited_ended(struct listener *l, struct task *t)
{
    (void)t;
    struct limit *m = (struct limit *)((char *)l - offsetof(struct limit, listener));
    timeout_remove(m->loop, &m->timeout);
    co_wake(&m->wait);
}

static void limit_cancelled(struct co_wait *w)
{
    struct limit *m = (struct limit *)w;
    struct task *t = m->listener.task;
    timeout_remove(m->loop, &m->timeout);
    unlisten(&m->listener);
    if (t)
        cancel(t, CANCELLED);
}

static void limit_passed(struct timeout *timeout)
{
    struct limit *m = (struct limit *)((char *)timeout - offsetof(struct limit, timeout));
    struct task *t = m->listener.task;
    m->passed = true;
    timeout_remove(m->loop, timeout);
    unlisten(&m->listener);
    cancel(t, "timeout");
    co_wake(&m->wait);
}

static int limit_over(lua_State *L, struct co_wait *w)
{
    const struct limit *m = (const struct limit *)w;
    if (!m->passed)
        return outcome(L, LIMITED);
    luaL_pushfail(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static int task_timeout(lua_State *L)
{
    double seconds = luax_check_duration(L, SECONDS);
    luaL_checktype(L, LIMITED, LUA_TFUNCTION);
    struct task *t = spawn(L, lua_gettop(L) - SECONDS);
    struct limit *m = lua_newuserdatauv(L, sizeof *m, 0);
    *m = (struct limit){.wait = {.finish = limit_over, .cancel = limit_cancelled},
                        .listener = {.ended = limited_ended},
                        .loop = vm_options(vm_of(L))->loop};
    timeout_init(&m->timeout, limit_passed);
    if (!timeout_set(m->loop, &m->timeout, milliseconds(m->loop, seconds))) {
        cancel(t, CANCELLED);
        return luaL_error(L, "not enough memory");
    }
    listen(&m->listener, t);
    return co_wait(L, &m->wait);
}

int luaopen_lunette_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", task_sleep},     {"spawn", task_spawn}, {"all", task_all},
        {"timeout", task_timeout}, {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"join", handle_join},
        {"cancel", handle_cancel},
        {NULL, NULL},
    };
    luax_class(L, HANDLE, methods, NULL);
    luaL_newlib(L, functions);
    return 1;
}

// lunette.task: sleep, spawn, all, timeout, and what handles do. Everything that waits here does so
// through co_wait; what waits for tasks listens to them (script/task.h).
#include "net/timeout.h"
#include "script/luax.h"
#include "script/task.h"
#include "script/vm_inside.h"

#include <math.h>
#include <stddef.h>

static const char CANCELLED[] = "cancelled";

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

// spawn

static int task_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    task_new(L, lua_gettop(L));
    return 1;
}

// handle:join() and handle:cancel()

struct join {
    struct co_wait wait;
    struct task_listener listener;
};
enum { HANDLE = 1 }; // the stack of join

static void joined(struct task_listener *l, struct task *t)
{
    (void)t;
    struct join *j = (struct join *)((char *)l - offsetof(struct join, listener));
    co_wake(&j->wait);
}

static void join_cancelled(struct co_wait *w)
{
    task_unlisten(&((struct join *)w)->listener);
}

static int join_over(lua_State *L, struct co_wait *w)
{
    (void)w;
    return task_push_outcome(L, HANDLE);
}

static int handle_join(lua_State *L)
{
    struct task *t = luax_self(L, TASK_CLASS);
    if (!task_co(t))
        return task_push_outcome(L, HANDLE);
    if (task_co(t) == co_running(vm_of(L)))
        return luaL_error(L, "a task cannot join itself");
    struct join *j = lua_newuserdatauv(L, sizeof *j, 0);
    *j = (struct join){.wait = {.finish = join_over, .cancel = join_cancelled},
                       .listener = {.ended = joined}};
    task_listen(&j->listener, t);
    return co_wait(L, &j->wait);
}

static int handle_cancel(lua_State *L)
{
    task_cancel(luax_self(L, TASK_CLASS), CANCELLED);
    return 0;
}

// all

struct member {
    struct task_listener listener;
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
    for (int i = 0; i < a->n; i++)
        task_give_up(&a->members[i].listener, CANCELLED);
}

static void member_ended(struct task_listener *l, struct task *t)
{
    struct member *m = (struct member *)l;
    struct all *a = m->all;
    a->left--;
    if (task_failed(t)) {
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
        return task_push_outcome(L, lua_gettop(L));
    }
    lua_createtable(L, a->n, 0);
    for (int i = 1; i <= a->n; i++) {
        lua_rawgeti(L, HANDLES, i);
        task_push_first(L, -1);
        lua_rawseti(L, -3, i);
        lua_pop(L, 1);
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
        task_new(L, 1);
        lua_rawseti(L, HANDLES, i);
    }
    for (int i = 0; i < n; i++) {
        a->members[i] = (struct member){.listener = {.ended = member_ended}, .all = a};
        lua_rawgeti(L, HANDLES, i + 1);
        task_listen(&a->members[i].listener, lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    return co_wait(L, &a->wait);
}

// timeout

struct limit {
    struct co_wait wait;
    struct task_listener listener;
    struct timeout timeout;
    struct loop *loop;
    bool passed;
};
enum { SECONDS = 1, LIMITED }; // the stack of timeout

static void limited_ended(struct task_listener *l, struct task *t)
{
    (void)t;
    struct limit *m = (struct limit *)((char *)l - offsetof(struct limit, listener));
    timeout_remove(m->loop, &m->timeout);
    co_wake(&m->wait);
}

static void limit_cancelled(struct co_wait *w)
{
    struct limit *m = (struct limit *)w;
    timeout_remove(m->loop, &m->timeout);
    task_give_up(&m->listener, CANCELLED);
}

static void limit_passed(struct timeout *timeout)
{
    struct limit *m = (struct limit *)((char *)timeout - offsetof(struct limit, timeout));
    m->passed = true;
    timeout_remove(m->loop, timeout);
    task_give_up(&m->listener, "timeout");
    co_wake(&m->wait);
}

static int limit_over(lua_State *L, struct co_wait *w)
{
    const struct limit *m = (const struct limit *)w;
    if (!m->passed)
        return task_push_outcome(L, LIMITED);
    luaL_pushfail(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static int task_timeout(lua_State *L)
{
    double seconds = luax_check_duration(L, SECONDS);
    luaL_checktype(L, LIMITED, LUA_TFUNCTION);
    struct task *t = task_new(L, lua_gettop(L) - SECONDS);
    struct limit *m = lua_newuserdatauv(L, sizeof *m, 0);
    *m = (struct limit){.wait = {.finish = limit_over, .cancel = limit_cancelled},
                        .listener = {.ended = limited_ended},
                        .loop = vm_options(vm_of(L))->loop};
    timeout_init(&m->timeout, limit_passed);
    if (!timeout_set(m->loop, &m->timeout, milliseconds(m->loop, seconds))) {
        task_cancel(t, CANCELLED);
        return luaL_error(L, "not enough memory");
    }
    task_listen(&m->listener, t);
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
    luax_class(L, TASK_CLASS, methods, NULL);
    luaL_newlib(L, functions);
    return 1;
}

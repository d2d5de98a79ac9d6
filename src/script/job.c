// Jobs of Lua calls: see the header. The struct is not in the userdata's own memory, since a thread
// may need it longer than the Lua state lives.
#include "script/job.h"

#include "base/log.h"
#include "script/luax.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

static const char JOB[] = "lunette.job";

static void release(struct job *j)
{
    if (j->released)
        return;
    j->released = true;
    if (j->ops->release)
        j->ops->release(j);
}

static void unref(struct job *j)
{
    if (--j->refs > 0)
        return;
    release(j);
    free(j);
}

static int job_gc(lua_State *L)
{
    struct job **slot = lua_touserdata(L, 1);
    struct job *j = *slot;
    *slot = NULL;
    if (j)
        unref(j);
    return 0;
}

static void run(struct pool_job *p)
{
    struct job *j = (struct job *)((char *)p - offsetof(struct job, pool));
    j->ops->run(j);
}

// Nobody is woken by a job that did not run: its pool is being freed, and no Lua runs any more.
static void done(struct pool_job *p, bool ran)
{
    struct job *j = (struct job *)((char *)p - offsetof(struct job, pool));
    bool wake = j->wanted && ran;
    j->in = NULL;
    if (!j->wanted)
        release(j);
    unref(j); // the userdata of one that is wanted still has it
    if (wake)
        co_wake(&j->wait);
}

// The results are on the stack before what they were made of is given up.
static int finish(lua_State *L, struct co_wait *w)
{
    struct job *j = (struct job *)((char *)w - offsetof(struct job, wait));
    j->wanted = false;
    int n = j->ops->finish(L, j);
    release(j);
    return n;
}

static void cancel(struct co_wait *w)
{
    struct job *j = (struct job *)((char *)w - offsetof(struct job, wait));
    j->wanted = false;
    if (!j->in) {
        release(j);
    } else if (pool_withdraw(j->in, &j->pool)) {
        j->in = NULL;
        release(j);
        unref(j);
    } else if (j->ops->stop) {
        j->ops->stop(j);
    }
}

struct job *job_push(lua_State *L, size_t size, const struct job_ops *ops)
{
    assert(size >= sizeof(struct job));
    struct job **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    if (luaL_newmetatable(L, JOB)) {
        lua_pushcfunction(L, job_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct job *j = *slot = calloc(1, size);
    if (!j) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    *j = (struct job){
        .ops = ops,
        .pool = {.run = run, .done = done},
        .wait = {.finish = finish, .cancel = cancel},
        .refs = 1,
    };
    return j;
}

static struct pool *pool_of(lua_State *L, const struct job *j)
{
    const struct vm_options *o = vm_options(vm_of(L));
    if (j->ops->database && o->sql_pool)
        return o->sql_pool;
    return j->ops->slow && o->slow_pool ? o->slow_pool : o->pool;
}

// The request is refused, not broken: what others made wait is no fault of its handler.
static int refuse(lua_State *L)
{
    log_write(LOG_WARN,
              "too many calls wait for the server's threads: one more is refused, with a 503");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "lunette.errors") == LUA_TTABLE) {
        lua_getfield(L, -1, "busy");
        lua_pushliteral(L, "too many calls wait for the server's threads");
        lua_call(L, 1, 0);
    }
    return luaL_error(L, "too many calls wait for the server's threads");
}

// Where no wait is possible co_wait says so, and no thread need begin.
int job_wait(lua_State *L, struct job *j)
{
    struct pool *pool = pool_of(L, j);
    assert(!j->in && !j->released);
    if (!pool) {
        release(j);
        return luaL_error(L, "this call needs the server's threads, which are not there");
    }
    if (co_can_wait(L)) {
        if (pool_submit(pool, &j->pool) < 0) {
            release(j);
            return refuse(L);
        }
        j->in = pool;
        j->refs++;
    }
    j->wanted = true;
    return co_wait(L, &j->wait);
}

int job_run_here(lua_State *L, struct job *j)
{
    assert(!j->in && !j->released);
    j->ops->run(j);
    return finish(L, &j->wait);
}

int job_wait_if_possible(lua_State *L, struct job *j)
{
    bool possible = pool_of(L, j) && co_can_wait(L);
    return possible ? job_wait(L, j) : job_run_here(L, j);
}

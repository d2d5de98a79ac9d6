// A Lua call that waits for the thread pool.
//
// A binding makes a job with job_push, copies what the thread needs into it (a thread must not look
// at Lua's memory), and returns job_wait(L, j). The userdata that job_push leaves on the stack owns
// the job; when the coroutine is cancelled while a thread works on it, or the vm is freed then, it
// lives on until the thread is done, and is released then. So release may come after the vm is
// gone; the vm goes before the pool.
#ifndef LUNETTE_SCRIPT_JOB_H
#define LUNETTE_SCRIPT_JOB_H

#include "net/pool.h"
#include "script/co.h"

struct job;
struct job_ops {
    void (*run)(struct job *j); // in a thread; touches nothing but the job
    // Pushes the results; may raise. The userdata is still on the stack, and must stay there.
    int (*finish)(lua_State *L, struct job *j);
    // Gives up what the job holds, as soon as its results are there or nobody wants them: once, in
    // the loop's thread, without Lua. The struct itself is not its business. May be NULL.
    void (*release)(struct job *j);
    // Nobody wants the results any more while a thread makes them: may tell it so. In the loop's thread,
    // once, before release. May be NULL.
    void (*stop)(struct job *j);
    // Threads and a queue of their own: at most one of them.
    bool slow;     // computes for long (vm_options.slow_pool)
    bool database; // statements of SQL, and what waits for locks (vm_options.sql_pool)
};

struct job {
    const struct job_ops *ops;
    struct pool_job pool;
    struct co_wait wait;
    struct pool *in; // the pool that has the job; NULL: none
    bool wanted;     // the coroutine waits for it
    bool released;
    unsigned refs; // the userdata, and the pool while it has the job
};

// Pushes the userdata of a new job: size bytes, of which struct job is the first, all else zero.
// They come from malloc and are not counted as Lua's. Raises without memory.
struct job *job_push(lua_State *L, size_t size, const struct job_ops *ops);
// Runs the job, whose userdata is on the stack, in vm_options.pool, and waits: return job_wait(L, j)
// from a lua_CFunction. Raises where a wait is impossible, and when there is no pool; leaves the
// handler with a 503 when the pool takes no more. A job waits once.
int job_wait(lua_State *L, struct job *j);
// The same at once and in this thread, for a job that is short or whose caller cannot wait.
int job_run_here(lua_State *L, struct job *j);
// job_wait where a wait is possible, job_run_here elsewhere.
int job_wait_if_possible(lua_State *L, struct job *j);

#endif

// A Lua call that waits for the thread pool.
//
// A binding makes a job with job_push, copies what the thread needs into it (a thread must not look
// at Lua's memory), and returns job_wait(L, j). The userdata that job_push leaves on the stack owns
// the job; when the coroutine is cancelled while a thread works on it, it lives on until the thread
// is done, and is released then.
#ifndef LUNETTE_SCRIPT_JOB_H
#define LUNETTE_SCRIPT_JOB_H

#include "net/pool.h"
#include "script/co.h"

struct job;
struct job_ops {
    void (*run)(struct job *j);                 // in a thread
    int (*finish)(lua_State *L, struct job *j); // pushes the results; may raise
    void (*release)(struct job *j);             // gives up what it holds, once; may be NULL
};

struct job {
    const struct job_ops *ops;
    struct pool_job pool;
    struct co_wait wait;
    unsigned refs; // the userdata, and the pool while it has the job
};

// Pushes the userdata of a new job: size bytes, of which struct job is the first, all else zero.
// Raises without memory.
struct job *job_push(lua_State *L, size_t size, const struct job_ops *ops);
// Runs the job, whose userdata is on the stack, in vm_options.pool, and waits. Raises where a wait
// is impossible, and when the pool takes no more.
int job_wait(lua_State *L, struct job *j);

#endif

// Threads for calls that would block the loop: password hashing, copies of files, libmagic.
//
// A job is a struct that its owner embeds. run is called in one of the threads, and may touch
// nothing but the job; done is called in the loop's thread afterwards, and the job is its owner's
// again. Jobs begin in the order in which they were submitted, and end in any. A thread is started
// when a job comes that none is free for, and then kept; without jobs all of them sleep. They block
// every signal.
//
// All functions belong to the loop's thread.
#ifndef LUNETTE_NET_POOL_H
#define LUNETTE_NET_POOL_H

#include "net/loop.h"

struct pool;

struct pool_job {
    void (*run)(struct pool_job *j);
    // May submit, this job too, and withdraw; must not free the pool. ran: false when the pool was
    // freed before the job's turn came.
    void (*done)(struct pool_job *j, bool ran);
    struct pool_job *next; // the pool's
};

// At most threads of them, and at most waiting jobs that find all of these busy. Starts none yet.
// NULL with errno.
struct pool *pool_new(struct loop *l, unsigned threads, unsigned waiting);
// 0; −EAGAIN when too many jobs wait already, the pool is being freed, or no thread can be had:
// done will not be called.
int pool_submit(struct pool *p, struct pool_job *j);
// Takes back a job that no thread has begun: true, and done will not be called. False: it runs or
// has run, and done will still come. Only for a job that was submitted and is not done.
bool pool_withdraw(struct pool *p, struct pool_job *j);
// Jobs that wait for a thread.
unsigned pool_queued(struct pool *p);
// Waits for the jobs that run, and calls done for all that are left. Before loop_free. NULL is fine.
void pool_free(struct pool *p);

#endif

// Coroutines of handlers: the only place that calls lua_resume.
//
// A co is one piece of work (a request's handler, a spawned function, a script being loaded) in a Lua thread of its own, taken
// from a pool. A C function that has to wait calls co_wait; the loop's callback later calls co_wake. Between the two the work is suspended: the thread yields
// with a private mark, through pcall, iterators, metamethods and the author's own coroutines, out to here.
//
// Author's coroutines: coroutine.resume and coroutine.wrap are ours. When the inner coroutine yields the private mark, the
// resumer yields it outward itself; when woken, it resumes the inner one again. The author never sees the mark; his own yields are untouched.
//
// Where Lua cannot yield (a C function without continuation on the stack) co_wait raises "cannot wait inside table.sort"
// (the function's name: table.sort, string.gsub, a __gc metamethod, an error handler, …) with the position of the Lua call.
#ifndef LUNETTE_SCRIPT_CO_H
#define LUNETTE_SCRIPT_CO_H

#include "script/vm.h"

struct co;

enum co_end {
    CO_RETURNED, // n results on top of L's stack
    CO_RAISED, // one error object on top of L's stack; the thread is dead, its stack there for a traceback
};
// The work ended. Pop nothing: the co is released after this call. arg is what co_start was given.
typedef void co_end_fn(struct co *co, enum co_end how, lua_State *L, int n, void *arg);

// Takes a thread from the pool (or makes one). Push the function and its arguments on co_state(co), then co_start. NULL when Lua is out of memory.
struct co *co_new(struct vm *vm);
lua_State *co_state(struct co *co);
// Runs until the first wait or the end; on_end may have been called before this returns.
void co_start(struct co *co, int nargs, co_end_fn *on_end, void *arg);

// The co that runs now, or NULL (the main thread: no waiting).
struct co *co_running(struct vm *vm);

struct co_wait;
struct co_wait {
    // Pushes the results of the wait when the co goes on, and returns how many; may raise. Runs in the coroutine that waited.
    int (*finish)(lua_State *L, struct co_wait *w);
    // The co is cancelled while it waits: take the wait out of wherever it is registered. co_wake must not follow.
    void (*cancel)(struct co_wait *w);
    struct co *co; // set by co_wait
};

// Suspends the running co: return co_wait(L, w) from a lua_CFunction. w must stay valid until finish or cancel: keep it in a userdata on the stack, or in a
// C object that outlives the wait. Raises (does not return) where a wait is impossible.
int co_wait(lua_State *L, struct co_wait *w);
// Whether co_wait would raise here; pushes nothing.
bool co_can_wait(lua_State *L);
// The wait is over: resumes the co at once if called from the loop, from a deferred call if Lua is running.
void co_wake(struct co_wait *w);

// Resumes a waiting co with an error (the string reason) at its wait, so that its __close variables run, which may wait again. A co that has not waited yet, or runs
// now, raises at its next wait. Once.
void co_cancel(struct co *co, const char *reason);

// Threads in the pool and coroutines alive: for tests and figures.
unsigned co_alive(const struct vm *vm);

#endif

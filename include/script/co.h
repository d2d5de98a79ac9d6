// Coroutines of handlers: the place where Lua is resumed from the loop.
//
// A co is one piece of work (a request's handler, a spawned function, a script being loaded) in a
// Lua thread of its own, taken from a pool. A C function that has to wait calls co_wait; the loop's
// callback later calls co_wake. Between the two the work is suspended: the thread yields with a
// private mark, through pcall, iterators, metamethods and the author's own coroutines, out to here.
//
// Author's coroutines: coroutine.resume and coroutine.wrap are ours. When the inner coroutine
// yields the private mark, the resumer yields it outward itself; when woken, it resumes the inner
// one again. The author never sees the mark; his own yields are untouched.
//
// Where Lua cannot yield (a C function without continuation on the stack) co_wait raises
// "cannot wait inside table.sort" (the function's name: table.sort, string.gsub, __gc, an error
// handler, …) with the position of the Lua call.
#ifndef LUNETTE_SCRIPT_CO_H
#define LUNETTE_SCRIPT_CO_H

#include "net/watchdog.h"
#include "script/vm.h"

struct co;

enum co_end {
    CO_KILLED,   // by co_kill: nothing is on L's stack for on_end
    CO_RETURNED, // n results on top of L's stack
    CO_RAISED,   // one error object (n is 1) on top; the thread is dead, its stack is there for a
                 // traceback: vm_push_traceback(vm_state(vm), L, …)
};
// The work ended. Pop nothing: the co is released after this call. arg is what co_start was given.
// Called from outside of Lua: nothing in it may raise, so use lua_pcall for what can.
typedef void co_end_fn(struct co *co, enum co_end how, lua_State *L, int n, void *arg);

// Takes a thread from the pool (or makes one). Push the function and its arguments on
// co_state(co), then co_start. NULL when Lua is out of memory. There is room for 20 values; pushing
// what allocates must happen in a protected call.
struct co *co_new(struct vm *vm);
lua_State *co_state(struct co *co);
// Gives back a co that was never started, with what was pushed on it.
void co_drop(struct co *co);
// Runs until the first wait or the end; on_end may have been called before this returns. A meter
// that vm_meter_start has set (from outside the running co) counts for this co whenever it runs.
void co_start(struct co *co, int nargs, co_end_fn *on_end, void *arg);
// The same from a deferred call of the loop.
void co_start_later(struct co *co, int nargs, co_end_fn *on_end, void *arg);

// What ends with a co, however that ends: fn is called once nothing of it runs any more, its __close
// variables included. For what an author's coroutine that nobody resumes again would keep until it is
// garbage. fn must not raise.
struct co_ending {
    void (*fn)(struct co_ending *e);
    struct co_ending *next, **link; // NULL: not to be called
};
void co_at_end(struct co *co, struct co_ending *e); // e has fn, and is in no list
void co_not_at_end(struct co_ending *e);

// The co that runs now, or NULL (the main thread: no waiting).
struct co *co_running(struct vm *vm);

struct co_wait;
struct co_wait {
    // Pushes the results of the wait when the co goes on, and returns how many; may raise. Runs in
    // the coroutine that waited, whose stack is as it was at co_wait.
    int (*finish)(lua_State *L, struct co_wait *w);
    // The co will not wait (any more): take the wait out of wherever it is registered. co_wake must
    // not follow. Must not raise.
    void (*cancel)(struct co_wait *w);
    struct co *co; // set by co_wait
};

// Suspends the running co: return co_wait(L, w) from a lua_CFunction. w must stay valid until
// finish or cancel, one of which is always called: keep it in a userdata on the stack, or in a C
// object that outlives the wait. Where a wait is impossible, or when the co was cancelled before,
// calls w->cancel and raises.
int co_wait(lua_State *L, struct co_wait *w);
// Whether a wait is possible here; pushes nothing.
bool co_can_wait(lua_State *L);
// The wait is over: resumes the co at once if called from the loop, from a deferred call if Lua is
// running or another co's end is being told.
void co_wake(struct co_wait *w);

// Ends the wait of a waiting co with an error (the string reason, of which 95 bytes are kept), so
// that its __close variables run, which may wait again. w->cancel is called now, the co goes on
// from a deferred call. A co that has not waited yet, was woken already, or runs now, raises at its
// next wait. Only the first call counts.
void co_cancel(struct co *co, const char *reason);
// Ends a co that waits, or was woken and does not run yet, without its consent: for one that caught its
// cancel and went on. Its wait is cancelled, on_end is called with CO_KILLED, its __close variables run
// and cannot wait. Only from the loop, not while Lua runs.
void co_kill(struct co *co);

// Whether Lua in this co ever ran for longer than timeouts.cpu, and was cut (script/cut.h).
bool co_was_cut(const struct co *co);
// fn(arg, words), with co_start's arg, says what the co is for, should it never come back. It is called
// in a signal handler, amid Lua.
typedef void co_say_fn(const void *arg, struct watchdog_words *words);
void co_set_say(struct co *co, co_say_fn *fn);
// Records of the log that the co writes are about the request with this id, whose text must outlive the co;
// not for that request's own, which its exchange names.
void co_set_id(struct co *co, struct str id);
struct str co_running_id(struct vm *vm); // of the co that runs now; without bytes: none

// Coroutines alive (from co_new until their end), and threads kept in the pool.
unsigned co_alive(const struct vm *vm);
unsigned co_pooled(const struct vm *vm);

// fn goes on after a wait by a continuation (lua_callk, lua_pcallk): it is never the obstacle that
// "cannot wait inside" names.
void co_passes(struct vm *vm, lua_CFunction fn);

#endif

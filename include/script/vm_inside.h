// What vm.c, co.c and the replaced parts of the standard library share; for nobody else.
#ifndef LUNETTE_SCRIPT_VM_INSIDE_H
#define LUNETTE_SCRIPT_VM_INSIDE_H

#include "net/timeout.h"
#include "net/watchdog.h"
#include "script/co.h"
#include "script/cut.h"
#include "script/lua_guard.h"
#include "script/vm.h"
#include "script/vm_blocks.h"

#include <stdatomic.h>

enum { PASSING_MAX = 16, GUARDED = 12, BLOCKING = 23 };

// The threads that are running or have resumed one that does, innermost first. A link lives on the
// C stack beside the lua_resume it stands for; the link with a co is where a wait gets out.
struct co_link {
    lua_State *L;
    struct co *co; // NULL for an author's coroutine
    const char
        *closing; // L is being closed, not resumed: what to call that in "cannot wait inside"
    struct co_link *outer;
};

// What becomes of a run that is late; see cut.c.
struct cut {
    volatile int step; // enum watchdog_step, by the signal handler; 0: it is on time
    bool raised;       // the first error was, and is in the record
    bool told;         // somebody has the record
    struct cut_record record;
};

struct vm {
    struct vm_options options;
    lua_State *L;
    struct blocks blocks; // freed ones, for the next of their size
    size_t memory;        // in use
    size_t *meter;        // in force now, or NULL
    size_t grown;         // bytes that were ever allocated
    size_t refused_at;    // grown at the last refusal of memory
    unsigned refusals;    // that came too soon after each other; see vm.c
    bool run_full;        // the last refusal was request_memory's
    struct timeout rest;  // see vm_rest.c
    size_t rest_grown;    // grown, when it was last looked at
    size_t rested;        // memory after the last rest; 0: what waited then has ended
    uint64_t rest_serial; // of the last co at that rest
    unsigned rest_steps;  // that this cycle may still take; 0: it has not begun
    unsigned rest_cycles; // that are over in this rest
    char warning[512];    // lua_warning's pieces, until the last
    size_t warned;

    struct co_link *running; // NULL: only the main thread can be running
    unsigned depth;          // nested runs and ends of coroutines: see vm_enter
    struct cut cut;
    struct co *live; // list of coroutines from co_new to their end
    struct co *pool; // list of idle ones
    unsigned alive, pooled;
    uint64_t serials, modules_opened;
    bool closing;                       // no new co any more
    lua_CFunction passing[PASSING_MAX]; // see co_passes
    unsigned passings;
    lua_CFunction pcall, xpcall, find_loader; // for co_obstacle.c and cut.c

    lua_CFunction originals[GUARDED], loadlib, searchpath,
        searchers[2]; // of Lua's, for lua_guard.c
    struct guard_seen seen[GUARD_SEEN];
    lua_CFunction blocking[BLOCKING]; // what lua_blocking.c has wrapped
    struct timers *timers;            // background work; NULL: lunette.timer is not loaded
};

// Around everything that may run Lua once scripts are there. The outermost pair is one run: what
// timeouts.cpu bounds.
static inline void vm_enter(struct vm *vm)
{
    if (vm->depth++ == 0 && vm->options.watchdog)
        watchdog_begin(vm->options.watchdog, vm);
}
static inline void vm_leave(struct vm *vm)
{
    if (--vm->depth > 0 || !vm->options.watchdog)
        return;
    watchdog_end(vm->options.watchdog);
    if (vm->cut.step)
        cut_over(vm);
}

// A thread runs, or is closed, until link_pop. The signal handler may look at any moment.
static inline void link_push(struct vm *vm, struct co_link *link)
{
    link->outer = vm->running;
    atomic_signal_fence(memory_order_seq_cst);
    vm->running = link;
}
static inline void link_pop(struct vm *vm, struct co_link *link)
{
    vm->running = link->outer;
    atomic_signal_fence(memory_order_seq_cst);
}

// vm_rest.c. A run is over, and none is under it: garbage is collected when nothing follows.
void vm_rest_soon(struct vm *vm);
// A co has ended.
void vm_rest_lose(struct vm *vm, uint64_t serial);
void vm_rest_init(struct vm *vm);
void vm_rest_fini(struct vm *vm);

// What a thread yields when it waits, and leaves on its stack meanwhile: the address of co_mark.
extern const char co_mark;
static inline bool co_is_mark(lua_State *L, int idx)
{
    return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == (const void *)&co_mark;
}
// Yields the mark from L, whose inner thread waits; k finds the stack as it was, plus the mark.
int co_pass(lua_State *L, lua_KContext ctx, lua_KFunction k);
// L is suspended by co_wait or co_pass, not by an author's yield.
bool co_thread_waits(lua_State *L);
// L belongs to the pool and runs nothing: its one value is the mark (or work not yet begun is).
bool co_thread_idle(lua_State *L);
// L, running or resuming another, is the thread in which a co began: nobody may yield from it.
bool co_thread_is_base(lua_State *L);
// lua_resetthread, with a name for what that is while __close variables run.
int co_close_thread(struct vm *vm, lua_State *L, const char *closing);
// The counter of the running co; NULL when it has none, or none runs.
size_t *co_meter(struct vm *vm);
// Those that run are cut. Whether the innermost was before.
bool co_mark_cut(struct vm *vm);
// What the innermost co says that it is for.
void co_say(const struct vm *vm, struct watchdog_words *words);
// A number that no other co of this vm ever has; 0 outside of a co.
uint64_t co_serial(struct vm *vm);

// The two halves of vm_free's care for coroutines: before and after lua_close.
void co_drop_all(struct vm *vm);
void co_free_all(struct vm *vm);

// Pushes on L the sentence "scripts/x.lua:6: cannot wait inside table.sort".
void co_push_obstacle(lua_State *L);

// vm_load_file for any path; name is the chunk's name ("@scripts/x.lua").
int vm_load_path(lua_State *L, const char *path, const char *name);
// What is left of path beneath the site's folder ("scripts/x.lua"); path itself outside of it.
const char *vm_short_path(const struct vm *vm, const char *path);

void timers_free(struct vm *vm); // of lua_timer.c: for vm_free, once no coroutine is left

void lua_blocking_open(lua_State *L);  // with dev: calls of io and os that take long are told
void lua_base_open(lua_State *L);      // print, os.exit, the watch on globals
void lua_coroutine_open(lua_State *L); // coroutine.*
void lua_require_open(lua_State *L);   // require, package.path, the embedded modules
int luaopen_lunette_task(lua_State *L);

#endif

// lunette.timer: the background work that a site declares with app.every, app.at and app.at_start
// (src/lua/lunette/timers.lua), of one vm.
//
// Declared it does nothing: it runs between timers_begin and timers_end, which are the server's to
// call. Each run is a coroutine, whose errors are logged; a piece of work never overlaps itself.
//
//      every   at a fixed rate from timers_begin on. What falls into a run is left out.
//      daily   at a time of day (base/daily.h). The clock is looked at once a minute or more often, so
//              it may be set: a time that it passes comes at once, up to an hour late.
//      start   once
//
// Work is the server's, done in one worker of all, or each worker's own. Whose turn the server's is
// comes from above; what one worker must know of what another has done is in struct timers_marks.
#ifndef LUNETTE_SCRIPT_LUA_TIMER_H
#define LUNETTE_SCRIPT_LUA_TIMER_H

#include "script/vm.h"

#include <stdatomic.h>

enum {
    TIMERS_MAX = 1000,   // pieces of work
    TIMERS_STARTS = 64,  // of them that the server does once at its start
    TIMERS_FINEST = 1,   // milliseconds: the shortest interval
    TIMERS_LATE = 3600,  // seconds after which a time of day that was missed is not made up for
    TIMERS_GRACE = 1000, // milliseconds that a run gets after it was cancelled
};

// In memory that all workers share; all 0 at first. Only the worker that does the server's work writes.
struct timers_marks {
    _Atomic uint32_t number;  // of the generation that `started` is about
    _Atomic uint64_t started; // a bit for each `start` of it that is over
    _Atomic int64_t looked;   // until when times of day have been done; 0: nobody has looked
};

enum timers_share {
    TIMERS_NONE,
    TIMERS_OWN, // what is each worker's
    TIMERS_ALL, // the server's too
};

// Begins that share of the work; more than before may be given later, less is nothing new. number names
// the generation. From the loop, not while Lua runs. marks must outlive the vm.
void timers_begin(struct vm *vm, enum timers_share share, struct timers_marks *marks,
                  uint32_t number);
// Nothing begins any more. Runs under way go on for patience_ms; then they are cancelled, and TIMERS_GRACE
// later killed. From the loop, not while Lua runs.
void timers_end(struct vm *vm, uint32_t patience_ms);
// Runs under way.
unsigned timers_running(const struct vm *vm);
// Calls fn with what each of those is: "app.every at scripts/main.lua:6".
void timers_each_running(const struct vm *vm, void (*fn)(const char *what));

// every(what, fn, seconds, each_worker, at_once), daily(what, fn, "03:30"), start(what, fn,
// each_worker) → true, or nil and why not.
int luaopen_lunette_timer(lua_State *L);

#endif

// Lua that runs without waiting for longer than timeouts.cpu is cut.
//
// First it gets an error, once, that passes through the scripts as any other does, except that no
// handler of the site's that an xpcall has is called for it: __close variables and on_error pages have
// a moment (WATCHDOG_STILL) to run. What is still running after that gets the error at every
// instruction, in every coroutine that takes part, until it is out; so no pcall can swallow it. A
// coroutine that was cut before has no such moment the second time.
//
// Where Lua runs no hooks it cannot be cut: in a function of C (a pattern that backtracks for ever), in
// __gc, and in the __close variables of an author's coroutine that was cut itself. The watchdog then
// says so to who can end the process.
#ifndef LUNETTE_SCRIPT_CUT_H
#define LUNETTE_SCRIPT_CUT_H

#include "net/watchdog.h"
#include "script/vm.h"

// Where it was when it was cut.
struct cut_record {
    char message[320];    // "scripts/main.lua:3: Lua ran for longer than timeouts.cpu (5 s) …"
    char traceback[2048]; // "\tscripts/main.lua:3: in function 'spin'\n…"; may be empty
};

// watchdog_options.interrupt, for the runs of every vm.
void cut_interrupt(void *vm, enum watchdog_step step, struct watchdog_words *words);

// The record of the run that is under way, when it was cut and nobody has asked yet: who asks logs it.
// Else NULL. What nobody asks for is logged when the run is over.
const struct cut_record *cut_take(struct vm *vm);

// Whether an error is that of a cut; of another coroutine perhaps, which this one had joined.
bool cut_made(const char *error);
// text was logged. When it has the record's message, that is told.
void cut_logged(struct vm *vm, const char *text);

// For vm_leave: the run is over, and was late.
void cut_over(struct vm *vm);

#endif

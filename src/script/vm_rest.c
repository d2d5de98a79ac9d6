// Collecting while nobody works: what a large request left is garbage that Lua would keep until it
// allocates again, and the C library after that. So when no Lua has run for REST_MS, a cycle is
// walked in small steps, between which the loop turns, and the pages are given back. Less than WORTH
// is left to either's own pace.
//
// How many steps is bounded: a script may have chosen the generational collector, whose steps never say
// that a cycle is over.
//
// Pages are given back only when all threads allocate from one arena: of the others malloc_trim keeps
// what lies at the end, and a buffer that a thread of the pool had can be that.
#include "script/vm_inside.h"

#include <malloc.h>

enum {
    REST_MS = 1000,
    WORTH = 4 << 20, // bytes more in Lua than at the last rest, or free in the C library
    STEP_KB = 256,   // of allocation that one step stands for: about a millisecond of work
    // Lua waits for as much as there is before a cycle, and walks it as twice that is allocated.
    CYCLE_SHARE = 4, // of what there is that steps may stand for, with a margin
    CYCLE_MIN = 16,  // steps in any case
    ARENAS = 1,
};

static unsigned cycle_steps(const struct vm *vm)
{
    return CYCLE_MIN + (unsigned)(CYCLE_SHARE * (vm->memory / (STEP_KB * 1024)));
}

// Bodies and answers of many clients may have taken much where Lua took little.
static void give_back(struct vm *vm)
{
    blocks_drain(&vm->blocks);
    if (mallinfo2().fordblks >= WORTH)
        malloc_trim(0);
}

// One step of a cycle. True: there is another.
static bool collect(struct vm *vm)
{
    if (vm->rest_steps == 0)
        vm->rest_steps = cycle_steps(vm);
    vm_enter(vm);
    bool over = lua_gc(vm->L, LUA_GCSTEP, STEP_KB) || --vm->rest_steps == 0;
    vm_leave(vm);
    vm->rest_grown = vm->grown; // finalizers are Lua, and allocate
    if (!over)
        return true;
    vm->rest_steps = 0;
    vm->rested = vm->memory;
    return false;
}

static void on_rest(struct timeout *t)
{
    struct vm *vm = (struct vm *)((char *)t - offsetof(struct vm, rest));
    struct loop *loop = vm->options.loop;
    if (vm->grown != vm->rest_grown) { // somebody works
        vm->rest_grown = vm->grown;
        vm->rest_steps = 0;
        timeout_set(loop, t, REST_MS);
        return;
    }
    bool due = vm->rest_steps > 0 || vm->memory >= vm->rested + WORTH;
    if (due && collect(vm))
        timeout_set(loop, t, 0);
    else
        give_back(vm);
}

void vm_rest_init(struct vm *vm)
{
    mallopt(M_ARENA_MAX, ARENAS); // of the whole process
    timeout_init(&vm->rest, on_rest);
}

void vm_rest_fini(struct vm *vm)
{
    if (vm->options.loop)
        timeout_remove(vm->options.loop, &vm->rest);
}

void vm_rest_soon(struct vm *vm)
{
    if (vm->rest.armed || !vm->options.loop)
        return;
    vm->rest_grown = vm->grown;
    timeout_set(vm->options.loop, &vm->rest, REST_MS);
}

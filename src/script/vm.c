// A generation: the Lua state, its allocator and what is loaded into it before any script.
//
// The allocator counts. It refuses growth past the state's cap, and growth that takes a metered run
// past its own bound; Lua then collects everything and asks again before it raises "not enough
// memory". How often that may happen in a row is limited, for each time costs a look at everything
// that there is. While no coroutine runs the cap is wider by RESERVE, so that the server's own code can
// still log the error and answer. Shrinking and freeing never fail, which Lua relies on.
#include "script/vm.h"

#include "base/log.h"
#include "script/vm_inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RESERVE = 256 * 1024 };
// The collector starts a cycle when memory has doubled (half as much again costs a small answer 2 % of
// its instructions more), and then works twice as fast as Lua allocates. Where the cap is nearer, it is
// asked for a whole cycle there.
enum { GC_PAUSE = 200, GC_STEP_MUL = 200, GC_STEP_LOG2 = 13 };
// A collection for a refusal is worth its price when a 16th of the bound was allocated since the one
// before it. So many in a row may be worth less.
enum { REFUSALS = 8, WORTH = 16 };

// One refusal more. After REFUSALS of them that each came too soon nothing is granted until a new
// object, twice, has been refused: that Lua cannot do without, so it raises. (When its table of
// strings may not grow it just goes on, and would ask again, and collect, for every new string.)
__attribute__((cold)) static void *refuse(struct vm *vm, bool object)
{
    bool metered = vm->meter && vm->options.request_memory;
    size_t bound = metered ? vm->options.request_memory : vm->options.memory;
    if (vm->refusals >= REFUSALS) {
        vm->refusals += object;
        if (vm->refusals == REFUSALS + 2)
            vm->refusals = 0;
        return NULL;
    }
    if (vm->grown - vm->refused_at >= bound / WORTH)
        vm->refusals = 0;
    vm->refused_at = vm->grown;
    vm->refusals++;
    return NULL;
}

static bool may_grow(struct vm *vm, size_t by)
{
    if (vm->running && vm->refusals >= REFUSALS)
        return false;
    size_t cap = vm->options.memory + (vm->running ? 0 : RESERVE);
    if (vm->options.memory && (by > cap || vm->memory > cap - by)) {
        vm->run_full = false;
        return false;
    }
    if (!vm->meter || !vm->options.request_memory)
        return true;
    if (*vm->meter + by <= vm->options.request_memory)
        return true;
    // The collector may have freed what this run allocated while another ran, or none: no run can hold
    // more than there is.
    if (vm->memory < *vm->meter)
        *vm->meter = vm->memory;
    if (*vm->meter + by <= vm->options.request_memory)
        return true;
    vm->run_full = true;
    return false;
}

static void count_more(struct vm *vm, size_t by)
{
    vm->memory += by;
    vm->grown += by;
    if (vm->meter)
        *vm->meter += by;
}

// What others allocated and this run's allocations made the collector free is no credit.
static void count_less(struct vm *vm, size_t by)
{
    vm->memory -= by;
    if (vm->meter)
        *vm->meter -= by < *vm->meter ? by : *vm->meter;
}

// Four functions, the first of which ends by calling one of the others: what is called most, for a
// new block and for one that is freed, then saves next to no registers (half of the time spent here).
__attribute__((noinline)) static void *make(struct vm *vm, size_t n)
{
    if (!may_grow(vm, n))
        return refuse(vm, true);
    void *p = blocks_take(&vm->blocks, n);
    if (p)
        count_more(vm, n);
    return p;
}

__attribute__((noinline)) static void *release(struct vm *vm, void *p, size_t n)
{
    count_less(vm, n);
    blocks_give(&vm->blocks, p, n);
    return NULL;
}

__attribute__((noinline)) static void *resize(struct vm *vm, void *p, size_t before, size_t after)
{
    if (after > before && !may_grow(vm, after - before))
        return refuse(vm, false);
    void *q = blocks_resize(p, before, after);
    if (!q && after > before)
        return NULL;
    if (after > before)
        count_more(vm, after - before);
    else
        count_less(vm, before - after);
    return q ? q : p; // a shrink that failed leaves the block as it was
}

// For a new object Lua passes its type as before.
static void *allocate(void *vm, void *p, size_t before, size_t after)
{
    if (!p)
        return after ? make(vm, after) : NULL;
    return after ? resize(vm, p, before, after) : release(vm, p, before);
}

void vm_meter_start(struct vm *vm, size_t *counter)
{
    vm->meter = counter;
}

void vm_meter_stop(struct vm *vm)
{
    vm->meter = co_meter(vm);
}

size_t *vm_meter(const struct vm *vm)
{
    return vm->meter;
}

bool vm_run_was_full(struct vm *vm)
{
    vm->refusals = 0;
    return vm->run_full;
}

// Making

static int panic(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    log_write(LOG_ERROR, "Lua error outside of any protection: %s", message ? message : "?");
    return 0; // Lua aborts
}

// Warnings come in pieces; those that begin with '@' are commands to the warning system.
static void warning(void *ud, const char *piece, int more)
{
    struct vm *vm = ud;
    if (vm->warned == 0 && !more && *piece == '@')
        return;
    int n = snprintf(vm->warning + vm->warned, sizeof vm->warning - vm->warned, "%s", piece);
    vm->warned += (size_t)n;
    if (vm->warned >= sizeof vm->warning)
        vm->warned = sizeof vm->warning - 1;
    if (more)
        return;
    log_write(LOG_WARN, "%s", vm->warning);
    vm->warned = 0;
}

static int open_all(lua_State *L)
{
    luaL_openlibs(L);
    lua_guard_open(L);
    lua_blocking_open(L);
    lua_base_open(L);
    lua_coroutine_open(L);
    lua_require_open(L);
    return 0;
}

struct vm *vm_new(const struct vm_options *o)
{
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->options = *o;
    vm_rest_init(vm);
    vm->L = lua_newstate(allocate, vm);
    if (!vm->L)
        goto fail;
    *(struct vm **)lua_getextraspace(vm->L) = vm;
    lua_atpanic(vm->L, panic);
    lua_setwarnf(vm->L, warning, vm);
    lua_gc(vm->L, LUA_GCINC, GC_PAUSE, GC_STEP_MUL, GC_STEP_LOG2);
    lua_pushcfunction(vm->L, open_all);
    if (lua_pcall(vm->L, 0, 0, 0) == LUA_OK)
        return vm;
    log_write(LOG_ERROR, "Lua's library could not be loaded: %s", lua_tostring(vm->L, -1));
fail:
    vm_free(vm);
    errno = ENOMEM;
    return NULL;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    co_drop_all(vm);
    timers_free(vm);
    vm_rest_fini(vm);
    if (vm->L) {
        vm_enter(vm);
        lua_close(vm->L);
        vm->L = NULL;
        vm_leave(vm);
    }
    co_free_all(vm);
    assert(vm->memory == 0);
    blocks_drain(&vm->blocks);
    free(vm);
}

lua_State *vm_state(struct vm *vm)
{
    return vm->L;
}

struct vm *vm_of(lua_State *L)
{
    return *(struct vm **)lua_getextraspace(L);
}

const struct vm_options *vm_options(const struct vm *vm)
{
    return &vm->options;
}

size_t vm_memory(const struct vm *vm)
{
    return vm->memory;
}

// Tracebacks

struct traceback {
    lua_State *of;
    const char *message;
    int level;
};

static int make_traceback(lua_State *L)
{
    const struct traceback *t = lua_touserdata(L, 1);
    luaL_traceback(L, t->of, t->message, t->level);
    lua_pushfstring(L, "%s/", vm_of(L)->options.site);
    luaL_gsub(L, lua_tostring(L, -2), lua_tostring(L, -1), "");
    return 1;
}

void vm_push_traceback(lua_State *L, lua_State *of, const char *message, int level)
{
    // Within L itself the frame of make_traceback is one level more.
    struct traceback t = {of, message, of == L ? level + 1 : level};
    bool room = lua_checkstack(L, 2);
    assert(room);
    lua_pushcfunction(L, make_traceback);
    lua_pushlightuserdata(L, &t);
    lua_pcall(L, 1, 1, 0); // when it fails, Lua's own message is left instead
}

// A generation: one Lua state with the site's scripts in it, its memory cap and its own library.
//
// The state has all of Lua 5.4's libraries, with these replaced: require (may wait; looks in the
// site first), coroutine.* (a wait inside the author's own coroutine passes through, see co.h),
// print (to the log, with file and line), os.exit (raises). The embedded library's modules are in
// package.preload. Globals are watched: an undeclared assignment from the site's scripts is an
// error in dev, else one warning for each name.
#ifndef LUNETTE_SCRIPT_VM_H
#define LUNETTE_SCRIPT_VM_H

#include "base/snapshot.h"
#include "base/str.h"
#include "net/loop.h"

#include <lua.h>
#include <stddef.h>

struct vm;
struct co;
struct pool;
struct cache_client;
struct reach;
struct watchdog;

struct vm_options {
    const char *site; // absolute path of the site's folder; scripts are in site/scripts
    const struct snapshot *scripts; // what is beneath site/scripts; NULL: what the disk has there
    size_t memory;                  // limits.lua_memory: bytes of the whole state; 0: no bound
    size_t request_memory; // limits.request_memory: what one metered run may add; 0: no bound
    bool dev;
    struct loop *loop;
    struct pool *pool;         // for calls that would block (net/pool.h); NULL: those raise
    struct pool *slow_pool;    // for those that compute for long; NULL: pool
    struct pool *sql_pool;     // for statements of databases; NULL: pool
    const struct str *secrets; // config.lua's secret, newest first
    unsigned secret_count;     // 0: none
    const struct reach *reach; // what the sandbox lets be used (base/reach.h); NULL: anything
    bool no_programs;          // the sandbox refuses every program
    struct cache_client
        *cache;                // this worker's (content/cache_client.h); NULL: lunette.cache raises
    struct watchdog *watchdog; // whose interrupt is cut_interrupt (script/cut.h); NULL: no bound
    uint32_t cpu_ms;           // its limit, timeouts.cpu
};

// NULL with errno. The library is there, the site's scripts are not loaded. The strings of o must
// outlive the vm.
struct vm *vm_new(const struct vm_options *o);
// Must not be called from within Lua. Coroutines that still wait are dropped: their waits are
// cancelled, their __close variables run (and cannot wait), their on_end is not called.
void vm_free(struct vm *vm);

lua_State *vm_state(struct vm *vm); // the main thread
struct vm *vm_of(lua_State *L);     // of any of its threads
const struct vm_options *vm_options(const struct vm *vm);
size_t vm_memory(const struct vm *vm); // bytes in use

// Loads the file at relative (to the site's folder: "scripts/main.lua") as luaL_loadfilex would:
// LUA_OK with the function pushed, else a status with a message. Text only, at most 16 MiB. The
// chunk's name is "@" and the relative path, so that messages read "scripts/main.lua:6: …".
int vm_load_file(lua_State *L, const char *relative);
// Whether there is such a file to load; path is absolute.
bool vm_has_file(const struct vm *vm, const char *path);
// Pushes the text of the file at relative (to the site's folder), as vm_load_file would read it. 0 or
// −errno with nothing pushed. Raises when Lua has no memory for it.
int vm_push_text(lua_State *L, const char *relative);

// Pushes on L message and the traceback of the thread `of`, with absolute paths beneath the site
// shortened ("scripts/main.lua:6"). Never raises: without memory it pushes Lua's message for that.
// For a thread that has failed, L must be another one: vm_state().
void vm_push_traceback(lua_State *L, lua_State *of, const char *message, int level);

// The embedded library: module name → what lua_dump made of it, with its lines, as the chunk
// "=lunette/router". For LUNETTE_LUA=dir in the environment, sources are read from dir instead.
struct vm_module {
    const char *name; // "lunette.router"
    const char *code;
    size_t n;
};
extern const struct vm_module vm_modules[]; // made by the build from src/lua; ends with a NULL name

// Counts what Lua allocates and frees from here to vm_meter_stop into *counter; growth that would
// take it past request_memory is refused. An estimate: what the collector frees is counted where it
// does so; the counter never goes below 0, nor, when it refuses, above what the whole state holds. A co that is
// started in between is metered by this counter for all of its life, waits included, and nothing
// else is: a co that it spawns is not.
void vm_meter_start(struct vm *vm, size_t *counter);
void vm_meter_stop(struct vm *vm);
// The counter in force now, or NULL.
size_t *vm_meter(const struct vm *vm);
// After LUA_ERRMEM, once what failed is garbage: whether it was request_memory of the run that refused,
// not `memory` of all. Memory is granted anew.
bool vm_run_was_full(struct vm *vm);

#endif

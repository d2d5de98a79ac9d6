// require, in which a module's chunk may wait; the searcher of the site's scripts; the embedded
// modules.
//
// While a chunk runs, a record of it is in the registry's table of modules that are loading.
// Another coroutine that requires the same module waits until the record is closed, and then gets
// the module, or its error. A record also says which one its chunk requires at the moment:
//
// drawing:
//     a ──needs──► b ──needs──► c
//
// Whoever requires a module from which this chain leads back to himself would wait for himself, and
// gets an error with the chain instead. A record is closed as a to-be-closed slot of require, so
// that the error of a chunk keeps its traceback.
#include "script/lua_cache.h"
#include "script/lua_cipher.h"
#include "script/lua_codec.h"
#include "script/lua_crypto.h"
#include "script/lua_gzip.h"
#include "script/lua_json.h"
#include "script/lua_log.h"
#include "script/lua_sqlite.h"
#include "script/lua_timer.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char LOADING[] = "lunette.loading"; // registry: name → record
static const char RECORD[] = "lunette.module being loaded";

struct record {
    const char *name;       // the string is kept by the table
    uint64_t co, serial;    // who loads it; larger serials were opened later
    struct record *from;    // whose chunk required this, or NULL
    struct record *needs;   // what this chunk requires now, or NULL; open while it is here
    struct waiter *waiters; // those who required it meanwhile
    bool loaded;            // else, once closed, VALUE is the error
};
enum { VALUE = 1, DATA, USER_VALUES = DATA }; // of a record

// A userdata on the stack of the require that waits, whose stack also keeps the record.
struct waiter {
    struct co_wait wait;
    struct record *from; // the innermost module of the co that waits, or NULL
    struct waiter *next, **link;
};

// The stack of require. A require that waits for another has the record at LOADER, and no more.
enum { NAME = 1, LOADED, OPEN, LOADER, LOADER_DATA, OWN_RECORD, RESULT };

// The module whose chunk the running co is in: the last that it opened.
static struct record *innermost(lua_State *L, int open)
{
    uint64_t co = co_serial(vm_of(L));
    struct record *last = NULL;
    for (lua_pushnil(L); lua_next(L, open); lua_pop(L, 1)) {
        struct record *r = lua_touserdata(L, -1);
        if (r->co == co && (!last || r->serial > last->serial))
            last = r;
    }
    return last;
}

// Waiting for a module that another co loads

static void unlink_waiter(struct waiter *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    if (w->from)
        w->from->needs = NULL;
}

static void wait_cancelled(struct co_wait *wait)
{
    unlink_waiter((struct waiter *)wait);
}

static int wait_over(lua_State *L, struct co_wait *wait)
{
    (void)wait;
    const struct record *r = lua_touserdata(L, LOADER);
    lua_getiuservalue(L, LOADER, VALUE);
    lua_getiuservalue(L, LOADER, DATA);
    if (r->loaded)
        return 2;
    lua_pop(L, 1);
    if (lua_isnil(L, -1))
        return luaL_error(L, "module '%s' was not loaded: its coroutine was closed",
                          lua_tostring(L, NAME));
    return lua_error(L);
}

// Raises when waiting for r would be waiting for ourselves.
static void check_circle(lua_State *L, const struct record *r)
{
    uint64_t co = co_serial(vm_of(L));
    const struct record *p = r;
    while (p && p->co != co)
        p = p->needs;
    if (!p)
        return;
    luaL_Buffer b;
    lua_getiuservalue(L, LOADER, DATA);
    const char *data = lua_tostring(L, -1);
    luaL_where(L, 1);
    if (data && *data == '/')
        lua_pushfstring(L, "%s requires itself: ", vm_short_path(vm_of(L), data));
    else
        lua_pushfstring(L, "module '%s' requires itself: ", lua_tostring(L, NAME));
    lua_concat(L, 2);
    luaL_buffinit(L, &b);
    for (p = r; p; p = p->needs) {
        luaL_addstring(&b, p->name);
        luaL_addstring(&b, " -> ");
    }
    luaL_addstring(&b, r->name);
    luaL_pushresult(&b);
    lua_concat(L, 2);
    lua_error(L);
}

static int wait_for(lua_State *L, struct record *r)
{
    check_circle(L, r);
    struct waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct waiter){.wait = {.finish = wait_over, .cancel = wait_cancelled}};
    w->from = innermost(L, OPEN);
    if (w->from)
        w->from->needs = r;
    w->next = r->waiters;
    w->link = &r->waiters;
    if (w->next)
        w->next->link = &w->next;
    r->waiters = w;
    return co_wait(L, &w->wait);
}

// Records

static void open_record(lua_State *L)
{
    struct record *r = lua_newuserdatauv(L, sizeof *r, USER_VALUES);
    *r = (struct record){.name = lua_tostring(L, NAME)};
    luaL_setmetatable(L, RECORD);
    lua_pushvalue(L, LOADER_DATA);
    lua_setiuservalue(L, OWN_RECORD, DATA);
    r->co = co_serial(vm_of(L));
    r->serial = ++vm_of(L)->modules_opened;
    r->from = innermost(L, OPEN);
    lua_toclose(L, OWN_RECORD);
    lua_pushvalue(L, NAME);
    lua_pushvalue(L, OWN_RECORD);
    lua_rawset(L, OPEN);
    if (r->from)
        r->from->needs = r;
}

// __close(record, error): whatever became of the chunk, nobody waits for it any longer.
static int close_record(lua_State *L)
{
    struct record *r = luaL_checkudata(L, 1, RECORD);
    lua_settop(L, 2);
    if (!r->loaded)
        lua_setiuservalue(L, 1, VALUE);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_pushstring(L, r->name);
    lua_pushnil(L);
    lua_rawset(L, -3);
    if (r->from)
        r->from->needs = NULL;
    while (r->waiters) {
        struct waiter *w = r->waiters;
        unlink_waiter(w);
        co_wake(&w->wait);
    }
    return 0;
}

// require

// name → loader and its data, from the first of package.searchers that has one. A function of its
// own because no searcher may wait, which co_obstacle.c says of it.
static int find_loader(lua_State *L)
{
    enum { SEARCHERS = NAME + 1, TRIED };
    lua_getfield(L, lua_upvalueindex(1), "searchers");
    if (!lua_istable(L, SEARCHERS))
        return luaL_error(L, "'package.searchers' must be a table");
    lua_pushliteral(L, "");
    for (int i = 1; lua_rawgeti(L, SEARCHERS, i) != LUA_TNIL; i++) {
        lua_pushvalue(L, NAME);
        lua_call(L, 1, 2);
        if (lua_isfunction(L, -2))
            return 2;
        lua_pop(L, 1);
        if (lua_isstring(L, -1)) {
            lua_pushfstring(L, "%s\n\t%s", lua_tostring(L, TRIED), lua_tostring(L, -1));
            lua_replace(L, TRIED);
        }
        lua_settop(L, TRIED);
    }
    lua_pushfstring(L, "module '%s' not found:%s", lua_tostring(L, NAME), lua_tostring(L, TRIED));
    lua_pushfstring(L, "%s/", vm_of(L)->options.site);
    luaL_gsub(L, lua_tostring(L, -2), lua_tostring(L, -1), "");
    return 1;
}

// The chunk has returned RESULT.
static int chunk_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    struct record *r = lua_touserdata(L, OWN_RECORD);
    if (!lua_isnil(L, RESULT)) {
        lua_pushvalue(L, RESULT);
        lua_setfield(L, LOADED, r->name);
    }
    if (lua_getfield(L, LOADED, r->name) == LUA_TNIL) {
        lua_pushboolean(L, 1);
        lua_copy(L, -1, -2);
        lua_setfield(L, LOADED, r->name);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, OWN_RECORD, VALUE);
    r->loaded = true;
    lua_pushvalue(L, LOADER_DATA);
    return 2;
}

static int require(lua_State *L)
{
    luaL_checkstring(L, NAME);
    lua_settop(L, NAME);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, NAME);
    lua_gettable(L, LOADED);
    if (lua_toboolean(L, -1))
        return 1;
    lua_pop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_pushvalue(L, NAME);
    if (lua_rawget(L, OPEN) != LUA_TNIL)
        return wait_for(L, lua_touserdata(L, -1));
    lua_settop(L, OPEN);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, find_loader, 1);
    lua_pushvalue(L, NAME);
    lua_call(L, 1, 2);
    if (!lua_isfunction(L, LOADER))
        return luaL_error(L, "%s", lua_tostring(L, LOADER));
    open_record(L);
    lua_pushvalue(L, LOADER);
    lua_pushvalue(L, NAME);
    lua_pushvalue(L, LOADER_DATA);
    lua_callk(L, 2, 1, 0, chunk_done);
    return chunk_done(L, LUA_OK, 0);
}

// Searching

// Pushes the first file that a template of path leads to, and gives it; or NULL with the places tried on
// top, as Lua's own package.searchpath words them.
static const char *find_file(lua_State *L, const char *name, const char *path)
{
    luaL_Buffer tried;
    const char *slashed = luaL_gsub(L, name, ".", LUA_DIRSEP);
    struct str rest = str_z(path), template;
    luaL_buffinit(L, &tried);
    while (str_split(&rest, *LUA_PATH_SEP, &template)) {
        luax_push(L, template);
        const char *file = luaL_gsub(L, lua_tostring(L, -1), LUA_PATH_MARK, slashed);
        if (vm_has_file(vm_of(L), file))
            return file;
        lua_pushfstring(L, template.p == path ? "no file '%s'" : "\n\tno file '%s'", file);
        lua_replace(L, -3);
        lua_pop(L, 1);
        luaL_addvalue(&tried);
    }
    luaL_pushresult(&tried);
    return NULL;
}

// The second searcher: as Lua's, but that files beneath the site are named relative to it.
static int search_path(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct vm *vm = vm_of(L);
    if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
        return luaL_error(L, "'package.path' must be a string");
    const char *path = find_file(L, name, lua_tostring(L, -1));
    if (!path) {
        lua_getfield(L, lua_upvalueindex(1), "path");
        guard_tell_search(L, name, lua_tostring(L, -1));
        lua_pop(L, 1);
        return 1; // the places tried
    }
    lua_pushfstring(L, "@%s", vm_short_path(vm, path));
    if (vm_load_path(L, path, lua_tostring(L, -1)) != LUA_OK)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name,
                          vm_short_path(vm, path), lua_tostring(L, -1));
    lua_pushstring(L, path);
    return 2;
}

static void set_paths(lua_State *L, int package)
{
    const char *site = vm_of(L)->options.site;
    lua_getfield(L, package, "path");
    lua_pushfstring(L,
                    "%s/scripts/?.lua;%s/scripts/?/init.lua;%s/lua_modules/share/lua/5.4/?.lua;"
                    "%s/lua_modules/share/lua/5.4/?/init.lua;%s",
                    site, site, site, site, lua_tostring(L, -1));
    lua_setfield(L, package, "path");
    lua_getfield(L, package, "cpath");
    lua_pushfstring(L, "%s/lua_modules/lib/lua/5.4/?.so;%s", site, lua_tostring(L, -1));
    lua_setfield(L, package, "cpath");
    lua_pop(L, 2);
}

static void set_searcher(lua_State *L, int package)
{
    enum { OF_LUA_FILES = 2 };
    lua_getfield(L, package, "searchers");
    lua_pushvalue(L, package);
    lua_pushcclosure(L, search_path, 1);
    lua_rawseti(L, -2, OF_LUA_FILES);
    lua_pop(L, 1);
}

// The embedded modules

// Loads lunette.router from dir/lunette/router.lua, or dir/lunette/router/init.lua.
static int load_from_folder(lua_State *L, const char *dir, const char *name)
{
    static const char *const endings[] = {".lua", "/init.lua"};
    char path[PATH_MAX];
    const char *slashed = luaL_gsub(L, name, ".", "/");
    for (int i = 0; i < 2; i++) {
        int n = snprintf(path, sizeof path, "@%s/%s%s", dir, slashed, endings[i]);
        if (n >= PATH_MAX)
            break;
        if (i == 1 || access(path + 1, F_OK) == 0)
            return vm_load_path(L, path + 1, path);
    }
    return luaL_error(L, "the path of %s is too long", name);
}

static int after_embedded(lua_State *L, int status, lua_KContext ctx)
{
    (void)L, (void)status, (void)ctx;
    return 1;
}

// The loader of an embedded module: name, ":preload:" → what its chunk returns.
static int load_embedded(lua_State *L)
{
    const struct vm_module *m = lua_touserdata(L, lua_upvalueindex(1));
    const char *dir = getenv("LUNETTE_LUA");
    lua_settop(L, 2);
    int status =
        dir ? load_from_folder(L, dir, m->name) : luaL_loadbufferx(L, m->code, m->n, m->name, "b");
    if (status != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_callk(L, 2, 1, 0, after_embedded);
    return 1;
}

static void set_preloads(lua_State *L, int package)
{
    static const luaL_Reg in_c[] = {
        {"lunette.cache", luaopen_lunette_cache},
        {"lunette.cache_own", luaopen_lunette_cache_own},
        {"lunette.cipher", luaopen_lunette_cipher},
        {"lunette.cookie", luaopen_lunette_cookie},
        {"lunette.crypto", luaopen_lunette_crypto},
        {"lunette.gzip", luaopen_lunette_gzip},
        {"lunette.html", luaopen_lunette_html},
        {"lunette.json", luaopen_lunette_json},
        {"lunette.log", luaopen_lunette_log},
        {"lunette.mime", luaopen_lunette_mime},
        {"lunette.sqlite_core", luaopen_lunette_sqlite_core},
        {"lunette.task", luaopen_lunette_task},
        {"lunette.time", luaopen_lunette_time},
        {"lunette.timer", luaopen_lunette_timer},
        {"lunette.url", luaopen_lunette_url},
        {NULL, NULL},
    };
    lua_getfield(L, package, "preload");
    for (const struct vm_module *m = vm_modules; m->name; m++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)m);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, m->name);
    }
    luaL_setfuncs(L, in_c, 0);
    lua_pop(L, 1);
}

void lua_require_open(lua_State *L)
{
    static const luaL_Reg metamethods[] = {{"__close", close_record}, {NULL, NULL}};
    luaL_newmetatable(L, RECORD);
    luaL_setfuncs(L, metamethods, 0);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_getglobal(L, LUA_LOADLIBNAME);
    int package = lua_gettop(L);
    set_paths(L, package);
    set_searcher(L, package);
    set_preloads(L, package);
    if (vm_of(L)->options.request_memory) // what does not fit as a string need not be written
        json_limit(L, vm_of(L)->options.request_memory);
    lua_pushvalue(L, package);
    lua_pushcclosure(L, require, 1);
    lua_setglobal(L, "require");
    lua_settop(L, 0);
    vm_of(L)->find_loader = find_loader;
    co_passes(vm_of(L), require);
    co_passes(vm_of(L), load_embedded);
}

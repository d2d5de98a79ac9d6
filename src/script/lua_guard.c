// The sandbox's refusals, told: see the header. A wrapper is one C function for all, which calls the
// original in its own frame, so that messages and tracebacks read as they always do. Originals are
// kept where no script gets at them.
#include "script/lua_guard.h"

#include "base/log.h"
#include "script/vm_inside.h"

#include <assert.h>
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    AGAIN = 60,  // seconds between two records of one line for the same call
    VARIETY = 8, // records of one line in that time for different ones
    SHOWN = 200, // bytes of an argument
};

// How a function tells that it was refused.
enum kind {
    RETURNS, // nil, message, errno
    RAISES,  // or says it in words: the path is judged before the call
    MAKES,   // the same, for a file of its own choice in /tmp
    RUNS,    // a shell
};

static const struct guarded {
    const char *library, *name;
    enum kind kind;
    enum reach_right right; // for argument 1; io.open decides by its mode
} table[] = {
    {"io", "open", RETURNS, REACH_READ},         {"os", "remove", RETURNS, REACH_WRITE},
    {"os", "rename", RETURNS, REACH_WRITE},      {"io", "lines", RAISES, REACH_READ},
    {"io", "input", RAISES, REACH_READ},         {"io", "output", RAISES, REACH_WRITE},
    {LUA_GNAME, "loadfile", RAISES, REACH_READ}, {LUA_GNAME, "dofile", RAISES, REACH_READ},
    {"io", "tmpfile", MAKES, REACH_WRITE},       {"os", "tmpname", MAKES, REACH_WRITE},
    {"io", "popen", RUNS, REACH_EXEC},           {"os", "execute", RUNS, REACH_EXEC},
};
static_assert(sizeof table / sizeof *table == GUARDED, "room for the originals");

// Telling -----------------------------------------------------------------------------------------

static int64_t seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

void guard_find_place(lua_State *L, char dst[static GUARD_KEY_MAX])
{
    lua_Debug ar;
    snprintf(dst, GUARD_KEY_MAX, "?");
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || strncmp(ar.source, "=lunette", 8) == 0)
            continue;
        snprintf(dst, GUARD_KEY_MAX, "%s:%d", ar.short_src, ar.currentline);
        return;
    }
}

// The entry of the key. A new one takes the place of the one that was told longest ago.
static struct guard_seen *find_seen(struct vm *vm, const char *key)
{
    struct guard_seen *oldest = vm->seen;
    for (struct guard_seen *s = vm->seen; s < vm->seen + GUARD_SEEN; s++) {
        if (strcmp(s->key, key) == 0)
            return s;
        if (s->at < oldest->at)
            oldest = s;
    }
    *oldest = (struct guard_seen){0};
    snprintf(oldest->key, sizeof oldest->key, "%s", key);
    return oldest;
}

// Whether the call is told now; *more is then how often the key was not told before.
static bool is_due(struct vm *vm, const char *key, const char *call, unsigned *more)
{
    struct guard_seen *s = find_seen(vm, key);
    char shown[sizeof s->call];
    int64_t now = seconds();
    snprintf(shown, sizeof shown, "%s", call);
    *more = 0;
    if (s->told > 0 && now - s->at >= AGAIN) {
        *more = s->more;
        s->told = s->more = 0;
    }
    if (s->told == VARIETY || (s->told > 0 && strcmp(s->call, shown) == 0)) {
        s->more++;
        return false;
    }
    if (s->told++ == 0)
        s->at = now;
    memcpy(s->call, shown, sizeof shown);
    return true;
}

static void tell(lua_State *L, const char *call, const char *reason)
{
    char place[GUARD_KEY_MAX], key[GUARD_KEY_MAX], often[64] = "";
    unsigned more;
    guard_find_place(L, place);
    snprintf(key, sizeof key, "%.90s %.*s", place, (int)strcspn(call, "("), call);
    if (!is_due(vm_of(L), key, call, &more))
        return;
    if (more)
        snprintf(often, sizeof often, " (and %u times more since it was told last)", more);
    log_write(LOG_WARN, "%s: the sandbox refused %s: %s%s", place, call, reason, often);
}

static const char *setting_of(unsigned right)
{
    return right == REACH_EXEC ? "exec" : right == REACH_WRITE ? "write" : "read";
}

// Whether the sandbox refuses path; real is what the path leads to. A path that cannot be looked up
// because of somebody's rights is judged as it stands.
static bool refuses(const struct vm *vm, const char *path, unsigned right,
                    char real[static PATH_MAX])
{
    if (!vm->options.reach)
        return false;
    int rc = reach_resolve(path, real);
    if (rc == -EACCES && path[0] == '/' && strlen(path) < PATH_MAX)
        memcpy(real, path, strlen(path) + 1);
    else if (rc < 0)
        return false;
    return !reach_allows(vm->options.reach, real, right);
}

bool guard_tell(lua_State *L, const char *call, const char *path, enum reach_right right)
{
    char real[PATH_MAX], reason[2 * SHOWN + 64];
    if (!refuses(vm_of(L), path, right, real))
        return false;
    snprintf(reason, sizeof reason, "%.*s is not in sandbox.%s of config.lua", 2 * SHOWN - 1, real,
             setting_of(right));
    tell(L, call, reason);
    return true;
}

bool guard_may_read(lua_State *L, const char *path)
{
    char real[PATH_MAX];
    return access(path, F_OK) != 0 || !refuses(vm_of(L), path, REACH_READ, real);
}

// One template, for instance "/usr/share/lua/5.4/?.lua". True when it was told.
static bool tell_template(lua_State *L, const char *name, const char *template)
{
    char call[SHOWN + 16];
    const char *file = luaL_gsub(L, template, LUA_PATH_MARK, luaL_gsub(L, name, ".", LUA_DIRSEP));
    snprintf(call, sizeof call, "require(\"%.*s\")", SHOWN, name);
    bool told = access(file, F_OK) == 0 && guard_tell(L, call, file, REACH_READ);
    lua_pop(L, 2);
    return told;
}

void guard_tell_search(lua_State *L, const char *name, const char *path)
{
    if (!vm_of(L)->options.reach)
        return;
    luaL_checkstack(L, 8, NULL);
    for (bool told = false; *path && !told; path += *path != '\0') {
        size_t n = strcspn(path, LUA_PATH_SEP);
        lua_pushlstring(L, path, n);
        told = tell_template(L, name, lua_tostring(L, -1));
        lua_pop(L, 1);
        path += n;
    }
}

// The wrapper -------------------------------------------------------------------------------------

// 'io.open("/etc/shadow", "r")': the string arguments as they were given.
static void show_call(lua_State *L, const struct guarded *g, char dst[static 2 * SHOWN + 64])
{
    bool global = strcmp(g->library, LUA_GNAME) == 0;
    size_t n =
        (size_t)snprintf(dst, 64, "%s%s%s(", global ? "" : g->library, global ? "" : ".", g->name);
    for (int i = 1; i <= 2 && lua_type(L, i) == LUA_TSTRING; i++)
        n += (size_t)snprintf(dst + n, SHOWN, "%s\"%.*s\"", i > 1 ? ", " : "", SHOWN - 8,
                              lua_tostring(L, i));
    snprintf(dst + n, 2, ")");
}

static void tell_path(lua_State *L, const struct guarded *g, const char *path, enum reach_right r)
{
    char call[2 * SHOWN + 64];
    show_call(L, g, call);
    guard_tell(L, call, path, r);
}

// The results of the call are n values, the first of them nil.
static void tell_returned(lua_State *L, const struct guarded *g, int n)
{
    lua_Integer err = n == 3 ? lua_tointeger(L, -1) : 0;
    enum reach_right right = g->right;
    bool opens = strcmp(g->name, "open") == 0;
    if (lua_type(L, 1) != LUA_TSTRING || (err != EACCES && err != EPERM && err != EXDEV))
        return;
    int top = lua_gettop(L);
    const char *second = top - n >= 2 ? lua_tostring(L, 2) : NULL;
    if (opens && second && strpbrk(second, "wa+"))
        right = REACH_WRITE;
    char real[PATH_MAX];
    const char *path = lua_tostring(L, 1);
    if (!opens && second && !refuses(vm_of(L), path, right, real))
        path = second; // where os.rename would have moved it
    tell_path(L, g, path, right);
}

// Before the call: it will be refused, if there is something to refuse.
static void tell_beforehand(lua_State *L, const struct guarded *g)
{
    const char *path = g->kind == MAKES ? P_tmpdir : lua_tostring(L, 1);
    bool named = g->kind == MAKES || lua_type(L, 1) == LUA_TSTRING;
    if (named && (g->right == REACH_WRITE || access(path, F_OK) == 0))
        tell_path(L, g, path, g->right);
}

// A shell that may not run is not tried: the C library would say that there is no memory for it.
static bool refuse_shell(lua_State *L, const struct guarded *g)
{
    struct vm *vm = vm_of(L);
    char call[2 * SHOWN + 64], real[PATH_MAX];
    if (lua_type(L, 1) != LUA_TSTRING)
        return false;
    if (!vm->options.no_programs && !refuses(vm, "/bin/sh", REACH_EXEC, real))
        return false;
    show_call(L, g, call);
    tell(L, call,
         vm->options.no_programs ? "sandbox.exec of config.lua names no program"
                                 : "it needs /bin/sh, which is not in sandbox.exec of config.lua");
    return true;
}

static int guarded(lua_State *L)
{
    const struct guarded *g = lua_touserdata(L, lua_upvalueindex(1));
    lua_CFunction original = vm_of(L)->originals[g - table];
    if (g->kind == RUNS && refuse_shell(L, g)) {
        errno = EPERM;
        return luaL_fileresult(L, 0, strcmp(g->name, "popen") == 0 ? lua_tostring(L, 1) : NULL);
    }
    if (g->kind == RAISES || g->kind == MAKES)
        tell_beforehand(L, g);
    int n = original(L);
    if (g->kind == RETURNS && n > 0 && lua_isnil(L, -n))
        tell_returned(L, g, n);
    return n;
}

// dofile apart, since it alone passes waits on (co_passes goes by the function).
static int guarded_dofile(lua_State *L)
{
    const struct guarded *g = lua_touserdata(L, lua_upvalueindex(1));
    tell_beforehand(L, g);
    return vm_of(L)->originals[g - table](L);
}

// Libraries in C ----------------------------------------------------------------------------------
//
// What the site writes, uploads for instance, must not become code. Landlock has no say there:
// mapping a file that may be read is no execution to it.

static bool is_written(const struct vm *vm, const char *path)
{
    char real[PATH_MAX];
    return vm->options.reach && reach_resolve(path, real) == 0 &&
           reach_allows(vm->options.reach, real, REACH_WRITE);
}

// package.loadlib(path, name)
static int load_library(lua_State *L)
{
    char call[SHOWN + 32];
    const char *path = luaL_checkstring(L, 1);
    if (!is_written(vm_of(L), path)) {
        snprintf(call, sizeof call, "package.loadlib(\"%.*s\")", SHOWN, path);
        if (access(path, F_OK) == 0)
            guard_tell(L, call, path, REACH_READ);
        return vm_of(L)->loadlib(L);
    }
    snprintf(call, sizeof call, "package.loadlib(\"%.*s\")", SHOWN, path);
    tell(L, call, "libraries are not loaded from folders that the site may write");
    luaL_pushfail(L);
    lua_pushfstring(L, "%s is in a folder that the site may write", path);
    lua_pushliteral(L, "open");
    return 3;
}

// Searchers 3 and 4: the library of a module, or of the first part of its name. What is judged is what
// Lua's own will load: a script may have put another searchpath, or a metatable, in the package table.
static int search_library(lua_State *L, lua_CFunction original, bool root)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushcfunction(L, vm_of(L)->searchpath);
    lua_pushlstring(L, name, root ? strcspn(name, ".") : strlen(name));
    const char *searched = lua_tostring(L, -1);
    lua_pushliteral(L, "cpath");
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TSTRING)
        return luaL_error(L, "'package.cpath' must be a string");
    const char *cpath = lua_tostring(L, -1);
    lua_pushvalue(L, -1);
    lua_insert(L, 2); // keeps the text
    lua_call(L, 2, 1);
    const char *path = lua_tostring(L, -1);
    if (!path)
        guard_tell_search(L, searched, cpath);
    else if (is_written(vm_of(L), path))
        return luaL_error(L, "module '%s' is not loaded: %s is in a folder that the site may write",
                          name, path);
    lua_settop(L, 1);
    return original(L);
}

static int search_c(lua_State *L)
{
    return search_library(L, vm_of(L)->searchers[0], false);
}

static int search_c_root(lua_State *L)
{
    return search_library(L, vm_of(L)->searchers[1], true);
}

static void guard_package(lua_State *L, struct vm *vm)
{
    enum { OF_C_LIBRARIES = 3 };
    static const lua_CFunction ours[] = {search_c, search_c_root};
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "loadlib");
    vm->loadlib = lua_tocfunction(L, -1);
    lua_getfield(L, -2, "searchpath");
    vm->searchpath = lua_tocfunction(L, -1);
    lua_pop(L, 2);
    lua_pushcfunction(L, load_library);
    lua_setfield(L, -2, "loadlib");
    lua_getfield(L, -1, "searchers");
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(L, -1, OF_C_LIBRARIES + i);
        vm->searchers[i] = lua_tocfunction(L, -1);
        lua_pop(L, 1);
        lua_pushvalue(L, -2); // the package table, as Lua's own have it
        lua_pushcclosure(L, ours[i], 1);
        lua_rawseti(L, -2, OF_C_LIBRARIES + i);
    }
    lua_pop(L, 2);
}

void lua_guard_open(lua_State *L)
{
    struct vm *vm = vm_of(L);
    if (!vm->options.reach && !vm->options.no_programs)
        return;
    for (size_t i = 0; i < GUARDED; i++) {
        bool passes = strcmp(table[i].name, "dofile") == 0;
        luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_getfield(L, -1, table[i].library);
        lua_getfield(L, -1, table[i].name);
        vm->originals[i] = lua_tocfunction(L, -1);
        lua_pop(L, 1);
        lua_pushlightuserdata(L, (void *)(uintptr_t)&table[i]);
        lua_pushcclosure(L, passes ? guarded_dofile : guarded, 1);
        lua_setfield(L, -2, table[i].name);
        lua_pop(L, 2);
    }
    guard_package(L, vm);
}

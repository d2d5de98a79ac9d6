// lunette.sqlite_core: databases and leases of their connections. What is done with a connection is in
// lua_sqlite_query.c.
#include "script/lua_sqlite.h"

#include "content/save.h"
#include "script/job.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0640 };

static const char DATABASE[] = "lunette.sqlite_db";

// Opening -----------------------------------------------------------------------------------------

struct opening {
    struct job job;
    struct sqlite_db_options options;
    char *folder, *path; // its own copies
    int error;
};

static void release_opening(struct job *job)
{
    struct opening *o = (struct opening *)job;
    free(o->folder);
    free(o->path);
    free(o->options.path);
}

// A new file is made without being opened: to close any descriptor of a database's file gives up the
// locks that SQLite has on it in this process. 0 or −errno; −EXDEV for a link.
static int make_file(int dir, const char *name)
{
    struct stat st;
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EISDIR;
    if (mknodat(dir, name, S_IFREG | FILE_MODE, 0) != 0 && errno != EEXIST)
        return -errno;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -EXDEV;
    return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

// The path as SQLite needs it: it follows no link (SQLITE_OPEN_NOFOLLOW), and there is none in this.
static int find_path(struct opening *o)
{
    char self[64], folder[PATH_MAX];
    const char *name;
    int dir = save_open_folder(o->folder, o->path, &name);
    if (dir < 0)
        return dir;
    int err = make_file(dir, name);
    snprintf(self, sizeof self, "/proc/self/fd/%d", dir);
    ssize_t n = readlink(self, folder, sizeof folder - 1);
    if (!err && n < 0)
        err = -errno;
    close(dir);
    if (err)
        return err;
    folder[n] = '\0';
    return asprintf(&o->options.path, "%s/%s", folder, name) < 0 ? -ENOMEM : 0;
}

static void run_opening(struct job *job)
{
    struct opening *o = (struct opening *)job;
    o->error = o->path ? find_path(o) : 0;
}

static int failed(lua_State *L, int err)
{
    if (err != EXDEV)
        return luax_fail(L, err);
    lua_pushnil(L);
    lua_pushliteral(L, "the path leads out of the data folder, or through a link");
    lua_pushliteral(L, "EXDEV");
    return 3;
}

static int finish_opening(lua_State *L, struct job *job)
{
    struct opening *o = (struct opening *)job;
    if (o->error)
        return failed(L, -o->error);
    struct sqlite_db **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL;
    luaL_setmetatable(L, DATABASE);
    *slot = sqlite_db_new(&o->options);
    int err = errno;
    o->options.path = NULL; // it is the database's
    if (*slot)
        return 1;
    if (err != EMFILE)
        return luax_fail(L, err);
    lua_pushnil(L);
    lua_pushfstring(L, "%d databases are open in this worker already", DATABASES_MAX);
    lua_pushliteral(L, "EMFILE");
    return 3;
}

static lua_Integer option(lua_State *L, const char *name)
{
    lua_getfield(L, 3, name);
    lua_Integer value = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

static char *copy(lua_State *L, int arg)
{
    char *text = strdup(luaL_checkstring(L, arg));
    if (!text)
        luaL_error(L, "not enough memory");
    return text;
}

// open(folder, path beneath it or nil, {timeout_ms=, readers=, statements=, full=}) → a database, which
// has no connection yet; or nil, message, code
static int core_open(lua_State *L)
{
    static const struct job_ops ops = {
        .run = run_opening, .finish = finish_opening, .release = release_opening};
    const struct vm_options *vm = vm_options(vm_of(L));
    luaL_checktype(L, 3, LUA_TTABLE);
    struct opening *o = (struct opening *)job_push(L, sizeof *o, &ops);
    lua_getfield(L, 3, "full");
    bool full = lua_toboolean(L, -1);
    lua_pop(L, 1);
    o->options = (struct sqlite_db_options){
        .statements = (unsigned)option(L, "statements"),
        .full = full,
        .readers = (unsigned)option(L, "readers"),
        .timeout_ms = (uint32_t)option(L, "timeout_ms"),
        .loop = vm->loop,
        .pool = vm->sql_pool ? vm->sql_pool : vm->pool,
    };
    if (!vm->pool)
        return luaL_error(L, "a database needs the server's threads, which are not there");
    if (lua_isnil(L, 2))
        return job_run_here(L, &o->job);
    o->folder = copy(L, 1);
    o->path = copy(L, 2);
    return job_wait(L, &o->job);
}

// __gc, __close, and close(database): whoever has a connection goes on to the end.
static int close_database(lua_State *L)
{
    struct sqlite_db **slot = luaL_checkudata(L, 1, DATABASE);
    struct sqlite_db *db = *slot;
    *slot = NULL;
    if (db)
        sqlite_db_close(db);
    return 0;
}

// rest(database) → whether its connections are all closed, for now
static int core_rest(lua_State *L)
{
    struct sqlite_db **slot = luaL_checkudata(L, 1, DATABASE);
    lua_pushboolean(L, !*slot || sqlite_db_in_memory(*slot) || sqlite_db_rest(*slot));
    return 1;
}

// closing() → how many databases that nobody has any more still have connections
static int core_closing(lua_State *L)
{
    lua_pushinteger(L, sqlite_db_closing());
    return 1;
}

// Leases ------------------------------------------------------------------------------------------

struct taking {
    struct co_wait wait; // first
    struct sqlite_turn turn;
};
enum { TAKE_DATABASE = 1, TAKE_USE, TAKE_LEASE }; // the stack of take

static void ready(struct sqlite_turn *t)
{
    struct taking *w = (struct taking *)((char *)t - offsetof(struct taking, turn));
    co_wake(&w->wait);
}

static void take_cancelled(struct co_wait *w)
{
    sqlite_db_leave(&((struct taking *)w)->turn);
}

static int not_taken(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int late(lua_State *L, const struct sqlite_db *db)
{
    not_taken(L, "late");
    lua_pushinteger(L, sqlite_db_loops(db));
    lua_pushboolean(L, sqlite_db_in_transaction(db));
    return 4;
}

// A lease ends with the co that took it, at the latest: an author's coroutine that holds it and is not
// resumed again would keep the connection from everybody until it is garbage.
struct held {
    struct sqlite_lease lease; // first
    struct co_ending ending;
};

static void end_with_co(struct co_ending *e)
{
    sqlite_lease_end(&((struct held *)((char *)e - offsetof(struct held, ending)))->lease);
}

static int taken(lua_State *L, struct co_wait *w)
{
    (void)w;
    struct held *held = lua_touserdata(L, TAKE_LEASE);
    struct sqlite_db *const *slot = lua_touserdata(L, TAKE_DATABASE);
    struct co *co = co_running(vm_of(L));
    if (!held->lease.link)
        return *slot ? late(L, *slot) : not_taken(L, "closed");
    if (co)
        co_at_end(co, &held->ending);
    lua_pushvalue(L, TAKE_LEASE);
    return 1;
}

static void push_lease(lua_State *L)
{
    struct held *held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = (struct held){.ending.fn = end_with_co};
    luaL_setmetatable(L, LUA_SQLITE_LEASE);
}

// lease() → a lease of nothing yet, for take
static int core_lease(lua_State *L)
{
    push_lease(L);
    return 1;
}

static void check_empty(lua_State *L)
{
    const struct sqlite_lease *lease = luaL_checkudata(L, TAKE_LEASE, LUA_SQLITE_LEASE);
    luaL_argcheck(L, !lease->link, TAKE_LEASE, "it has a connection");
}

// take(database, use[, lease]) → a lease, to be closed; or nil and why: "late" (then also how many loops
// over rows are open, and whether a transaction is), "closed", "memory", or "own" when the caller would wait
// for itself
static int core_take(lua_State *L)
{
    static const char *const uses[] = {"read", "loop", "write", "transaction", NULL};
    struct sqlite_db **slot = luaL_checkudata(L, TAKE_DATABASE, DATABASE);
    enum sqlite_use use = (enum sqlite_use)luaL_checkoption(L, TAKE_USE, NULL, uses);
    uint64_t serial = co_serial(vm_of(L));
    lua_settop(L, TAKE_LEASE);
    if (lua_isnil(L, TAKE_LEASE)) {
        lua_settop(L, TAKE_USE);
        push_lease(L);
    }
    check_empty(L);
    struct taking *w =
        lua_newuserdatauv(L, sizeof *w, 0); // to push may collect: the slot is read after
    if (!*slot)
        return not_taken(L, "closed");
    if (sqlite_db_would_block(*slot, use, serial))
        return not_taken(L, "own");
    *w = (struct taking){
        .wait = {.finish = taken, .cancel = take_cancelled},
        .turn = {.ready = ready,
                 .lease = lua_touserdata(L, TAKE_LEASE),
                 .use = use,
                 .serial = serial},
    };
    switch (sqlite_db_take(*slot, &w->turn)) {
    case TAKEN:
        return taken(L, &w->wait);
    case TAKEN_LATER:
        return co_wait(L, &w->wait);
    default:
        return not_taken(L, "memory");
    }
}

// __gc, __close, and release(lease)
static int release(lua_State *L)
{
    struct held *held = luaL_checkudata(L, 1, LUA_SQLITE_LEASE);
    co_not_at_end(&held->ending);
    sqlite_lease_end(&held->lease);
    return 0;
}

// blob(string) → a value that is bound as a blob
static int core_blob(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_newuserdatauv(L, 0, 1);
    luaL_setmetatable(L, LUA_SQLITE_BLOB);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

int luaopen_lunette_sqlite_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", core_open},       {"close", close_database}, {"take", core_take},
        {"release", release},      {"blob", core_blob},       {"rest", core_rest},
        {"closing", core_closing}, {"lease", core_lease},     {NULL, NULL},
    };
    luax_class(L, DATABASE, NULL, close_database);
    luax_class(L, LUA_SQLITE_LEASE, NULL, release);
    luax_class(L, LUA_SQLITE_BLOB, NULL, NULL);
    luaL_newlib(L, functions);
    lua_sqlite_query_register(L);
    return 1;
}

// lunette.trial: see the header.
#include "script/lua_trial.h"

#include "base/folder.h"
#include "base/wall.h"
#include "content/cache.h"
#include "net/loop.h"
#include "script/luax.h"
#include "script/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const double TIME_MAX = 253402300799; // the last second of the year 9999

static struct trial *trial_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// The score

static void keep_title(lua_State *L, char title[static TRIAL_TITLE_MAX])
{
    struct str text = luax_check_str(L, 1);
    luaL_argcheck(L, text.n < TRIAL_TITLE_MAX && !memchr(text.p, '\0', text.n), 1, "no title");
    memcpy(title, text.p, text.n);
    title[text.n] = '\0';
}

static int trial_started(lua_State *L)
{
    struct trial_score *score = trial_of(L)->score;
    keep_title(L, score->itself);
    score->started = true;
    return 0;
}

static int trial_begin(lua_State *L)
{
    keep_title(L, trial_of(L)->score->running);
    return 0;
}

static int trial_count(lua_State *L)
{
    struct trial_score *score = trial_of(L)->score;
    score->running[0] = '\0';
    if (lua_toboolean(L, 1))
        score->passed++;
    else
        score->failed++;
    lua_pushinteger(L, (lua_Integer)score->passed + score->failed);
    return 1;
}

static int trial_over(lua_State *L)
{
    trial_of(L)->score->over = true;
    return 0;
}

static int trial_load(lua_State *L)
{
    if (vm_load_file(L, luaL_checkstring(L, 1)) == LUA_OK)
        return 1;
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

// What a test starts with

static int trial_keep(lua_State *L)
{
    const struct trial *t = trial_of(L);
    int rc = folder_mirror(t->data, t->kept);
    if (rc < 0)
        return luax_fail(L, -rc);
    lua_pushboolean(L, 1);
    return 1;
}

static int trial_reset(lua_State *L)
{
    const struct trial *t = trial_of(L);
    cache_clear(t->cache);
    int rc = folder_mirror(t->kept, t->data);
    if (rc < 0)
        return luax_fail(L, -rc);
    lua_pushboolean(L, 1);
    return 1;
}

// Time that passes is passed by the values of the cache, too. It cannot be taken back from them.
static void age_cache(const struct trial *t, const struct timespec *before)
{
    struct timespec now = wall_now();
    double ms =
        (double)(now.tv_sec - before->tv_sec) * 1e3 + (double)(now.tv_nsec - before->tv_nsec) / 1e6;
    if (ms > 0)
        cache_advance(t->cache, (uint64_t)ms);
}

static int trial_clock(lua_State *L)
{
    const struct trial *t = trial_of(L);
    struct timespec before = wall_now();
    if (lua_isnoneornil(L, 1)) {
        wall_stand(NULL);
    } else {
        double at = luaL_checknumber(L, 1), whole = floor(at);
        luaL_argcheck(L, at >= 0 && at <= TIME_MAX, 1, "not a time between 1970 and the year 9999");
        wall_stand(&(struct timespec){(time_t)whole, (long)((at - whole) * 1e9)});
        age_cache(t, &before);
    }
    loop_update_time(t->loop);
    return 0;
}

// The log

// It cannot grow past its maximum: a write beyond that fails, and the log counts what it loses.
int trial_open_log(void)
{
    int fd = memfd_create("lunette test log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, TRIAL_LOG_MAX) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int trial_log(lua_State *L)
{
    int fd = trial_of(L)->log;
    off_t n = lseek(fd, 0, SEEK_CUR);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (off_t at = 0; at < n;) {
        size_t want = n - at < (off_t)LUAL_BUFFERSIZE ? (size_t)(n - at) : LUAL_BUFFERSIZE;
        ssize_t got = pread(fd, luaL_prepbuffer(&b), want, at);
        if (got <= 0)
            break;
        luaL_addsize(&b, (size_t)got);
        at += got;
    }
    luaL_pushresult(&b);
    lseek(fd, 0, SEEK_SET);
    return 1;
}

static int open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"started", trial_started}, {"begin", trial_begin}, {"count", trial_count},
        {"over", trial_over},       {"load", trial_load},   {"keep", trial_keep},
        {"reset", trial_reset},     {"clock", trial_clock}, {"log", trial_log},
        {"ask", trial_ask},         {NULL, NULL},
    };
    const struct trial *t = trial_of(L);
    luaL_newlibtable(L, functions);
    lua_pushvalue(L, lua_upvalueindex(1));
    luaL_setfuncs(L, functions, 1);
    lua_pushstring(L, t->file);
    lua_setfield(L, -2, "file");
    lua_pushboolean(L, t->tap);
    lua_setfield(L, -2, "tap");
    lua_pushstring(L, t->data_name);
    lua_setfield(L, -2, "data_name");
    return 1;
}

void trial_register(lua_State *L, struct trial *t)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushlightuserdata(L, t);
    lua_pushcclosure(L, open_module, 1);
    lua_setfield(L, -2, "lunette.trial");
    lua_pop(L, 1);
}

// What the tests of the script layer share: a site in a temporary folder, a loop and a vm, and a
// way to run a piece of Lua in a co until it ends.
#ifndef LUNETTE_TESTS_SCRIPT_TEST_H
#define LUNETTE_TESTS_SCRIPT_TEST_H

#include "base/log.h"
#include "net/loop.h"
#include "net/pool.h"
#include "script/co.h"
#include "script/luax.h"
#include "script/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lauxlib.h>

struct fixture {
    char site[64];
    struct loop *loop;
    struct pool *pool;
    struct vm *vm;
    int ended;
    bool collect; // a full collection at every wait
    char result[4096];
};

// wait(…) → the same values, in the next deferred call.
struct test_wait {
    struct co_wait wait;
    struct deferred turn;
    struct loop *loop;
};

static inline int test_wait_over(lua_State *L, struct co_wait *w)
{
    (void)w;
    lua_pop(L, 1); // the userdata
    return lua_gettop(L);
}

static inline void test_wait_cancelled(struct co_wait *w)
{
    struct test_wait *t = (struct test_wait *)w;
    loop_undefer(t->loop, &t->turn);
}

static inline void test_wait_turn(struct deferred *d)
{
    co_wake(&((struct test_wait *)((char *)d - offsetof(struct test_wait, turn)))->wait);
}

static inline int test_wait(lua_State *L)
{
    const struct fixture *f = lua_touserdata(L, lua_upvalueindex(1));
    struct test_wait *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct test_wait){.wait = {.finish = test_wait_over, .cancel = test_wait_cancelled},
                            .turn = {.fn = test_wait_turn},
                            .loop = f->loop};
    loop_defer(f->loop, &t->turn);
    if (f->collect)
        lua_gc(L, LUA_GCCOLLECT);
    return co_wait(L, &t->wait);
}

static inline void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->site, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void open_vm(struct fixture *f, struct vm_options o)
{
    o.site = f->site;
    o.loop = f->loop;
    o.pool = f->pool;
    f->vm = vm_new(&o);
    assert_non_null(f->vm);
    lua_State *L = vm_state(f->vm);
    lua_pushlightuserdata(L, f);
    lua_pushcclosure(L, test_wait, 1);
    lua_setglobal(L, "wait");
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[128];
    strcpy(f->site, "/tmp/lunette-test-XXXXXX");
    assert_non_null(mkdtemp(f->site));
    snprintf(path, sizeof path, "%s/scripts", f->site);
    assert_int_equal(mkdir(path, 0700), 0);
    f->loop = loop_new();
    assert_non_null(f->loop);
    f->pool = pool_new(f->loop, 2, 100);
    assert_non_null(f->pool);
    open_vm(f, (struct vm_options){.memory = 64 << 20, .request_memory = 16 << 20, .dev = true});
    *state = f;
    return 0;
}

static inline int setup_collecting(void **state)
{
    setup(state);
    ((struct fixture *)*state)->collect = true;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    vm_free(f->vm);
    pool_free(f->pool);
    loop_free(f->loop);
    snprintf(command, sizeof command, "rm -rf '%s'", f->site);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

// Protected: the values on the stack as text, "1,true,x".
static inline int describe(lua_State *L)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, ',');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return 1;
}

static inline void work_ended(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct fixture *f = arg;
    (void)co;
    lua_State *to = vm_state(f->vm);
    lua_pushcfunction(to, describe);
    for (int i = n; i > 0; i--)
        lua_pushvalue(L, -n);
    lua_xmove(L, to, n);
    assert_int_equal(lua_pcall(to, n, 1, 0), LUA_OK);
    snprintf(f->result, sizeof f->result, "%s%s", how == CO_RAISED ? "error: " : "",
             lua_tostring(to, -1));
    lua_pop(to, 1);
    f->ended++;
}

// Starts the chunk in a co of its own. It is named t, so that its messages begin with "t:1:".
static inline struct co *start(struct fixture *f, const char *chunk)
{
    struct co *co = co_new(f->vm);
    assert_non_null(co);
    int status = luaL_loadbufferx(co_state(co), chunk, strlen(chunk), "=t", "t");
    if (status != LUA_OK)
        fail_msg("%s", lua_tostring(co_state(co), -1));
    f->ended = 0;
    loop_update_time(f->loop);
    co_start(co, 0, work_ended, f);
    return co;
}

static inline const char *finish(struct fixture *f)
{
    for (int turns = 0; !f->ended && turns < 2000; turns++)
        assert_int_equal(loop_turn(f->loop, 100), 0);
    return f->ended ? f->result : "it never ended";
}

// The results of the chunk, or "error: message".
static inline const char *run(struct fixture *f, const char *chunk)
{
    start(f, chunk);
    return finish(f);
}

// Whether the chunk gives that; fails with both otherwise.
#define expect(f, chunk, text) assert_string_equal(run(f, chunk), text)

// The error log of what the chunk does, as text.
static inline void logged(struct fixture *f, const char *chunk, char *text, size_t cap)
{
    char path[128];
    const char *failed;
    snprintf(path, sizeof path, "%s/log", f->site);
    unlink(path);
    assert_int_equal(log_open(&(struct log_options){path, "off", LOG_INFO}, &failed), 0);
    run(f, chunk);
    log_close();
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, cap - 1, file)] = 0;
    fclose(file);
}

struct story {
    const char *chunk, *result;
};

#define tell(f, stories)                                                         \
    for (size_t story = 0; story < sizeof(stories) / sizeof *(stories); story++) \
    expect(f, (stories)[story].chunk, (stories)[story].result)

// A test twice: as it is, and with a full collection at every wait.
#define BOTH_WITH(test, up, up_collecting, down)                                           \
    cmocka_unit_test_setup_teardown(test, up, down),                                       \
    {                                                                                      \
        .name = #test " while collecting", .test_func = test, .setup_func = up_collecting, \
        .teardown_func = down                                                              \
    }
#define BOTH(test) BOTH_WITH(test, setup, setup_collecting, teardown)

#endif

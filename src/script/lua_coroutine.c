// coroutine.*: Lua's own library, with waits passing through.
//
// When the coroutine that resume or wrap runs waits (co.h), it yields the private mark. Resume then
// yields the mark from its own thread in turn, out to the loop, and resumes the coroutine again
// when it is itself resumed. A coroutine that waits is neither suspended, since nobody but the
// loop may resume it, nor dead: its status is "normal".
#include "script/vm_inside.h"

#include <lauxlib.h>
#include <lualib.h>

enum status { RUNNING, WAITING, NORMAL, SUSPENDED, DEAD };
static const char *const status_names[] = {"running", "normal", "normal", "suspended", "dead"};
enum { FAILED = -1, WAITS = -2 }; // instead of a number of results

static lua_State *check_thread(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static enum status status_of(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (co == L)
        return RUNNING;
    if (co == vm_of(L)->L)
        return NORMAL;
    if (lua_status(co) == LUA_YIELD)
        return co_thread_waits(co) ? WAITING : SUSPENDED;
    if (lua_status(co) != LUA_OK || co_thread_idle(co))
        return DEAD;
    if (lua_getstack(co, 0, &ar))
        return NORMAL;
    return lua_gettop(co) == 0 ? DEAD : SUSPENDED;
}

static int fail(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    return FAILED;
}

// Runs co with n values that are on its stack already. Its results, or the error object, are moved
// to L; nothing is when it waits.
static int go_on(lua_State *L, lua_State *co, int n)
{
    struct vm *vm = vm_of(L);
    struct co_link link = {.L = co};
    link_push(vm, &link);
    int results, status = lua_resume(co, L, n, &results);
    link_pop(vm, &link);
    if (status == LUA_YIELD && co_thread_waits(co))
        return WAITS;
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return FAILED;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        return fail(L, "too many results to resume");
    }
    lua_xmove(co, L, results);
    return results;
}

// Runs co with the n values on top of L.
static int begin(lua_State *L, lua_State *co, int n)
{
    switch (status_of(L, co)) {
    case SUSPENDED:
        break;
    case DEAD:
        return fail(L, "cannot resume dead coroutine");
    case WAITING:
        return fail(L, "cannot resume a waiting coroutine");
    default:
        return fail(L, "cannot resume non-suspended coroutine");
    }
    if (!lua_checkstack(co, n))
        return fail(L, "too many arguments to resume");
    lua_xmove(L, co, n);
    return go_on(L, co, n);
}

// resume

static int resume_again(lua_State *L, int status, lua_KContext ctx);

static int resume_result(lua_State *L, int n)
{
    if (n == WAITS)
        return co_pass(L, 0, resume_again);
    lua_pushboolean(L, n != FAILED);
    if (n == FAILED)
        n = 1;
    lua_insert(L, -(n + 1));
    return n + 1;
}

static int resume_again(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    lua_pop(L, 1); // the mark
    return resume_result(L, go_on(L, lua_tothread(L, 1), 0));
}

static int resume(lua_State *L)
{
    lua_State *co = check_thread(L);
    return resume_result(L, begin(L, co, lua_gettop(L) - 1));
}

// wrap: its coroutine is the upvalue

static int wrap_again(lua_State *L, int status, lua_KContext ctx);

// Propagates the error object on top of L, as Lua's wrap does: a dead coroutine is closed, and
// a string gets the position of the call.
static int wrap_failed(lua_State *L, lua_State *co)
{
    int status = co == L ? LUA_OK : lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        if (lua_checkstack(co, 1)) // where lua_resetthread looks for it, to pass it to __close
            lua_xmove(L, co, 1);
        status = co_close_thread(vm_of(L), co, "the __close of a coroutine that has failed");
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap_result(lua_State *L, lua_State *co, int n)
{
    if (n == WAITS)
        return co_pass(L, 0, wrap_again);
    return n == FAILED ? wrap_failed(L, co) : n;
}

static int wrap_again(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    lua_pop(L, 1); // the mark
    return wrap_result(L, co, go_on(L, co, 0));
}

static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return wrap_result(L, co, begin(L, co, lua_gettop(L)));
}

static int create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int wrap(lua_State *L)
{
    create(L);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

// The rest

static int yield(lua_State *L)
{
    if (co_thread_is_base(L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, lua_isyieldable(co) && !co_thread_is_base(co));
    return 1;
}

static int status(lua_State *L)
{
    lua_pushstring(L, status_names[status_of(L, check_thread(L))]);
    return 1;
}

static int running(lua_State *L)
{
    int is_main = lua_pushthread(L);
    lua_pushboolean(L, is_main);
    return 2;
}

static int close(lua_State *L)
{
    lua_State *co = check_thread(L);
    enum status s = status_of(L, co);
    if (s == WAITING)
        return luaL_error(L, "cannot close a waiting coroutine");
    if (s != SUSPENDED && s != DEAD)
        return luaL_error(L, "cannot close a %s coroutine", status_names[s]);
    if (co_thread_idle(co) || co_close_thread(vm_of(L), co, "coroutine.close") == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

void lua_coroutine_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"close", close},   {"create", create},   {"isyieldable", isyieldable},
        {"resume", resume}, {"running", running}, {"status", status},
        {"wrap", wrap},     {"yield", yield},     {NULL, NULL},
    };
    lua_getglobal(L, LUA_COLIBNAME);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
    co_passes(vm_of(L), resume);
    co_passes(vm_of(L), wrapped);
}

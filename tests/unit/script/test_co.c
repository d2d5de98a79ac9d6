// Waiting: where it works, how it passes through coroutines, what it says where it cannot.
#include "script_test.h"

// Every form that API.md promises, with wait(x) → x after a turn of the loop.
static void waits_work(void **state)
{
    static const struct story stories[] = {
        {"return wait(1, 2, 3)", "1,2,3"},
        {"return wait()", ""},
        {"return 1", "1"},
        {"return pcall(wait, 5)", "true,5"},
        {"return pcall(function() wait() error('x', 0) end)", "false,x"},
        {"return xpcall(function(a) return wait(a) + 1 end, print, 5)", "true,6"},
        {"return pcall(pcall, pcall, wait, 1)", "true,true,true,1"},
        {"local s = 0 for x in function(_, x) x = wait(x or 0) + 1 if x < 4 then return x end end do s = s + x end return s",
         "6"},
        {"local t = setmetatable({}, {__index = function(_, k) return wait(k) end}) return t.x, t[1]",
         "x,1"},
        {"local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, wait(v)) end}) t.x = 4 return t.x",
         "4"},
        {"local t = setmetatable({}, {__add = function(_, v) return wait(v) end}) return t + 3",
         "3"},
        {"local t = setmetatable({}, {__concat = function(_, v) return wait(v) end}) return t .. 'z'",
         "z"},
        {"local t = setmetatable({}, {__call = function(_, v) return wait(v) end}) return t(7)",
         "7"},
        {"local m = {__lt = function() return wait(true) end, __le = function() return wait(false) end} local a, b = setmetatable({}, m), setmetatable({}, m) return a < b, a <= b, a > b",
         "true,false,true"},
        {"local m = {__eq = function() return wait(1) end} return setmetatable({}, m) == setmetatable({}, m)",
         "true"},
        {"return #setmetatable({}, {__len = function() return wait(9) end}), -setmetatable({}, {__unm = function() return wait(8) end})",
         "9,8"},
        {"local s = 0 for k, v in pairs(setmetatable({}, {__pairs = function() wait() return next, {3, 4} end})) do s = s + wait(v) end return s",
         "7"},
        {"local log = {} do local x <close> = setmetatable({}, {__close = function() log[1] = wait('closed') end}) end return log[1]",
         "closed"},
        {"local log = {} local ok, e = pcall(function() local x <close> = setmetatable({}, {__close = function(_, e) log[1] = wait(e) wait() end}) wait() error('e', 0) end) return ok, e, log[1]",
         "false,e,e"},
        {"local function f(n) if n == 0 then return wait('deep') end return (f(n - 1)) end return f(5000)",
         "deep"},
        {"goto a ::a:: local f = load('return wait(...)') return f(3)", "3"},
        {"local t = {} for i = 1, 200 do t[i] = wait(i) end return #t", "200"},
    };
    tell(*state, stories);
}

static void waits_pass_through_coroutines(void **state)
{
    static const struct story stories[] = {
        {"return coroutine.resume(coroutine.create(function(a) return wait(a), 2 end), 1)",
         "true,1,2"},
        {"return coroutine.wrap(function(a) return wait(a), 2 end)(1)", "1,2"},
        {"local s = 0 for x in coroutine.wrap(function() for i = 1, 3 do wait() coroutine.yield(i) wait() end end) do s = s + x end return s",
         "6"},
        {"local c = coroutine.create(function(a) local b = coroutine.yield(wait(a)) wait() return b, 9 end)"
         " local r = {coroutine.resume(c, 1)} local q = {coroutine.resume(c, 2)}"
         " return r[1], r[2], q[1], q[2], q[3], coroutine.status(c)",
         "true,1,true,2,9,dead"},
        // nested, with the author's yields between
        {"local function gen(n) return coroutine.wrap(function() if n > 0 then for x in gen(n - 1) do coroutine.yield(wait(x)) end end coroutine.yield(wait(n)) end) end"
         " local s = '' for x in gen(6) do s = s .. x end return s",
         "0123456"},
        {"local c = coroutine.wrap(function() local ok, e = pcall(function() wait() error('in', 0) end) coroutine.yield(e) return pcall(wait, 3) end) return c(), c()",
         "in,true,3"},
        {"return coroutine.resume(coroutine.create(function() wait() error('e', 0) end))",
         "false,e"},
        {"return pcall(coroutine.wrap(function() wait() error('e') end))", "false,t:1: e"},
        {"return pcall(function() coroutine.wrap(function() wait() error('e') end)() end)",
         "false,t:1: t:1: e"},
        {"return pcall(coroutine.wrap(function() wait() error({}) end)) == false", "true"},
        // the author's own values stay his, light userdata and nil included
        {"local c = coroutine.wrap(function(...) local n = select('#', ...) n = n + select('#', coroutine.yield(nil, nil)) return n end) local a = select('#', c(nil)) return a, c(nil, nil)",
         "2,3"},
        {"local function run() return coroutine.wrap(function() return coroutine.wrap(function() return wait('in') end)() end)() end return run(), run()",
         "in,in"},
        // a coroutine that one co made and another goes on with is not tied to the first
        {"gen = rawset(_G, 'gen', coroutine.wrap(function() for i = 1, 9 do wait() coroutine.yield(i) end end)).gen return gen()",
         "1"},
        {"return gen()", "2"},
        {"return coroutine.isyieldable(), coroutine.wrap(function() return coroutine.isyieldable() end)()",
         "false,true"},
        {"return coroutine.yield(1)", "error: t:1: attempt to yield from outside a coroutine"},
        {"return pcall(coroutine.yield, 1)", "false,attempt to yield from outside a coroutine"},
        {"return select(2, coroutine.running())", "false"},
        {"return coroutine.resume(coroutine.running())",
         "false,cannot resume non-suspended coroutine"},
        {"local c c = coroutine.create(function() return coroutine.status(c), coroutine.resume(c) end) return coroutine.resume(c)",
         "true,running,false,cannot resume non-suspended coroutine"},
        {"local c = coroutine.create(print) coroutine.resume(c) return coroutine.resume(c)",
         "false,cannot resume dead coroutine"},
        {"return pcall(coroutine.close, coroutine.running())",
         "false,cannot close a running coroutine"},
        {"local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() error('c', 0) end}) coroutine.yield() end) coroutine.resume(c) return coroutine.close(c)",
         "false,c"},
        {"local c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c) return coroutine.close(c), coroutine.status(c)",
         "true,dead"},
        {"return pcall(coroutine.wrap, 1)",
         "false,bad argument #1 to 'coroutine.wrap' (function expected, got number)"},
    };
    tell(*state, stories);
}

// Seen from another handler, a coroutine that waits belongs to its own.
static void a_waiting_coroutine_is_not_yours(void **state)
{
    struct fixture *f = *state;
    start(
        f,
        "rawset(_G, 'c', coroutine.create(function() wait() return 1 end)) rawset(_G, 'r', {coroutine.resume(c)}) return r[2]");
    assert_int_equal(f->ended, 0);
    struct fixture other = *f;
    expect(&other, "return coroutine.status(c), coroutine.resume(c)",
           "normal,false,cannot resume a waiting coroutine");
    assert_int_equal(f->ended, 0);
    start(
        f,
        "rawset(_G, 'c', coroutine.create(function() wait() return 1 end)) return select(2, coroutine.resume(c))");
    start(&other, "return pcall(coroutine.close, c)");
    assert_string_equal(other.result, "false,cannot close a waiting coroutine");
    assert_string_equal(finish(f), "1");
}

static void says_why_it_cannot_wait(void **state)
{
    static const struct story stories[] = {
        {"table.sort({1, 2}, function() wait() end)", "error: t:1: cannot wait inside table.sort"},
        {"return\ntable.sort({1, 2},\nwait)", "error: t:2: cannot wait inside table.sort"},
        {"return string.gsub('a', 'a', function() wait() end)",
         "error: t:1: cannot wait inside string.gsub"},
        {"return ('a'):gsub('a', wait)", "error: t:1: cannot wait inside string.gsub"},
        {"return tostring(setmetatable({}, {__tostring = function() wait() end}))",
         "error: t:1: cannot wait inside tostring"},
        {"print(setmetatable({}, {__tostring = function() wait() end}))",
         "error: t:1: cannot wait inside print"},
        {"return select(2, load(function() wait() end))", "t:1: cannot wait inside load"},
        {"return table.concat(setmetatable({}, {__len = function() return 1 end, __index = function() wait() end}))",
         "error: t:1: cannot wait inside table.concat"},
        {"for _ in ipairs(setmetatable({}, {__index = function() wait() end})) do end",
         "error: t:1: cannot wait inside a for iterator"},
        {"return xpcall(error, function(e) return select(2, pcall(wait)) end, 1)",
         "false,t:1: cannot wait inside an error handler"},
        {"return xpcall(function() return nil + 1 end, function(e) return select(2, pcall(wait)) end)",
         "false,t:1: cannot wait inside an error handler"},
        {"return xpcall(function() string.rep() end, function(e) return select(2, pcall(wait)) end)",
         "false,t:1: cannot wait inside an error handler"},
        {"return xpcall(function() wait() error(1) end, function(e) local ok, m = pcall(table.sort, {1, 2}, function() wait() end) return m end)",
         "false,t:1: cannot wait inside table.sort"},
        {"local m do local x = setmetatable({}, {__gc = function() m = select(2, pcall(wait)) end}) end collectgarbage() collectgarbage() return m",
         "t:1: cannot wait inside __gc"},
        {"local m debug.sethook(function() debug.sethook() m = select(2, pcall(wait)) end, 'l')\nlocal x = 1\nreturn m",
         "t:1: cannot wait inside a debug hook"},
        // through coroutines, the obstacle may be further out
        {"table.sort({1, 2}, coroutine.wrap(function() wait() end))",
         "error: t:1: cannot wait inside table.sort"},
        {"local r table.sort({1, 2}, function() r = {coroutine.resume(coroutine.create(function() wait() end))} end) return r[1], r[2]",
         "false,t:1: cannot wait inside table.sort"},
        {"local c = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() wait() end}) coroutine.yield() end) coroutine.resume(c) return coroutine.close(c)",
         "false,t:1: cannot wait inside coroutine.close"},
        {"package.searchers[5] = function() wait() end local ok, e = pcall(require, 'nosuch') package.searchers[5] = nil return e",
         "t:1: cannot wait inside require"},
        // and what it says is an error like others: the work goes on
        {"pcall(table.sort, {1, 2}, function() wait() end) return wait('on')", "on"},
    };
    tell(*state, stories);
}

static int main_waits(lua_State *L)
{
    lua_getglobal(L, "wait");
    lua_call(L, 0, 0);
    return 0;
}

static void the_main_thread_cannot_wait(void **state)
{
    struct fixture *f = *state;
    lua_State *L = vm_state(f->vm);
    assert_false(co_can_wait(L));
    lua_pushcfunction(L, main_waits);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    assert_string_equal(lua_tostring(L, -1), "cannot wait here");
    lua_pop(L, 1);
}

static void a_cancelled_wait_raises_its_reason(void **state)
{
    struct fixture *f = *state;
    co_cancel(start(f, "return pcall(wait)"), "gone");
    assert_string_equal(finish(f), "false,gone");
    co_cancel(start(f, "wait()"), "gone");
    assert_string_equal(finish(f), "error: gone");
    co_cancel(start(f, "return coroutine.resume(coroutine.create(wait))"), "gone");
    assert_string_equal(finish(f), "false,gone");
    // once: what closes may wait again
    struct co *co = start(
        f,
        "local log local ok, e = pcall(function() local x <close> = setmetatable({}, {__close = function() log = wait('rolled back') end}) wait() end) return ok, e, log");
    co_cancel(co, "gone");
    co_cancel(co, "again");
    assert_string_equal(finish(f), "false,gone,rolled back");
}

static void a_cancel_before_the_wait_raises_at_it(void **state)
{
    struct fixture *f = *state;
    struct co *co = co_new(f->vm);
    assert_int_equal(luaL_loadstring(co_state(co), "return pcall(wait)"), LUA_OK);
    co_cancel(co, "early");
    f->ended = 0;
    co_start(co, 0, work_ended, f);
    assert_string_equal(finish(f), "false,early");
}

static void traceback_ended(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct fixture *f = arg;
    (void)co;
    assert_int_equal(how, CO_RAISED);
    assert_int_equal(n, 1);
    lua_State *to = vm_state(f->vm);
    vm_push_traceback(to, L, lua_tostring(L, -1), 0);
    snprintf(f->result, sizeof f->result, "%s", lua_tostring(to, -1));
    lua_pop(to, 1);
    f->ended = 1;
}

static void an_error_leaves_its_stack_for_a_traceback(void **state)
{
    struct fixture *f = *state;
    char path[128];
    write_file(f, "scripts/bad.lua",
               "local function deep()\n  error('bad')\nend\nwait()\ndeep()\n");
    struct co *co = co_new(f->vm);
    assert_int_equal(vm_load_file(co_state(co), "scripts/bad.lua"), LUA_OK);
    f->ended = 0;
    co_start(co, 0, traceback_ended, f);
    finish(f);
    assert_non_null(strstr(f->result, "scripts/bad.lua:2: bad\nstack traceback:"));
    assert_non_null(strstr(f->result, "scripts/bad.lua:5: in main chunk"));
    snprintf(path, sizeof path, "%s", f->site);
    assert_null(strstr(f->result, path));
}

static void threads_are_used_again(void **state)
{
    struct fixture *f = *state;
    expect(f, "return wait(1)", "1");
    assert_int_equal(co_alive(f->vm), 0);
    assert_int_equal(co_pooled(f->vm), 1);
    // one that was kept by its author is dead to him
    expect(f, "rawset(_G, 'kept', coroutine.running()) return 1", "1");
    lua_State *L = vm_state(f->vm);
    assert_int_equal(
        luaL_dostring(
            L,
            "local ok, e = coroutine.resume(kept) assert(e == 'cannot resume dead coroutine', e) assert(coroutine.status(kept) == 'dead') assert(coroutine.close(kept))"),
        LUA_OK);
    expect(f, "return wait(coroutine.running() == kept)", "true");
    assert_int_equal(co_pooled(f->vm), 1);
    run(f, "error('x')"); // a thread that raised leaves the pool
    assert_int_equal(co_pooled(f->vm), 0);
    struct co *co = co_new(f->vm);
    lua_pushboolean(co_state(co), 1);
    co_drop(co);
    assert_int_equal(co_alive(f->vm), 0);
    assert_int_equal(co_pooled(f->vm), 1);
}

static void the_pool_is_bounded(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 300 };
    for (int i = 0; i < MANY; i++)
        start(f, "return wait()");
    assert_int_equal(co_alive(f->vm), MANY);
    for (int i = 0; i < 10; i++)
        loop_turn(f->loop, 0);
    assert_int_equal(f->ended, MANY);
    assert_int_equal(co_alive(f->vm), 0);
    assert_int_equal(co_pooled(f->vm), 256);
}

// vm_free in the middle of everything: sanitizers watch.
static void a_vm_ends_with_its_work(void **state)
{
    struct fixture *f = *state;
    start(f, "wait()");
    start(f, "local x <close> = setmetatable({}, {__close = function() wait() end}) wait()");
    start(
        f,
        "coroutine.wrap(function() local t = require 'lunette.task' t.all{function() wait() end, function() t.sleep(9) end} end)()");
    start(
        f,
        "local t = require 'lunette.task' local h = t.spawn(wait) local x <close> = setmetatable({}, {__close = function() h:cancel() t.spawn(print) end}) h:join()");
    assert_int_equal(co_alive(f->vm), 7);
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 64 << 20});
}

// id() → what co_running_id gives; "-" for none.
static int running_id(lua_State *L)
{
    const struct fixture *f = lua_touserdata(L, lua_upvalueindex(1));
    struct str id = co_running_id(f->vm);
    lua_pushlstring(L, id.n ? id.p : "-", id.n ? id.n : 1);
    return 1;
}

static void know_id(struct fixture *f)
{
    lua_State *L = vm_state(f->vm);
    lua_pushlightuserdata(L, f);
    lua_pushcclosure(L, running_id, 1);
    lua_setglobal(L, "id");
}

// One of several at a time: its result, when it has ended.
struct named {
    struct str id, id_at_end;
    int ended;
    enum co_end how;
    struct vm *vm;
    char result[256];
};

static void named_ended(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct named *who = arg;
    (void)co;
    who->how = how;
    who->ended++;
    who->id_at_end = co_running_id(who->vm);
    if (n > 0 && lua_type(L, -1) == LUA_TSTRING)
        snprintf(who->result, sizeof who->result, "%s", lua_tostring(L, -1));
}

static struct co *start_named(struct fixture *f, struct named *who, const char *chunk)
{
    struct co *co = co_new(f->vm);
    assert_non_null(co);
    assert_int_equal(luaL_loadbufferx(co_state(co), chunk, strlen(chunk), "=t", "t"), LUA_OK);
    who->vm = f->vm;
    if (who->id.n)
        co_set_id(co, who->id);
    co_start(co, 0, named_ended, who);
    return co;
}

static void finish_named(struct fixture *f, struct named *who)
{
    for (int turns = 0; !who->ended && turns < 2000; turns++)
        assert_int_equal(loop_turn(f->loop, 100), 0);
    assert_int_equal(who->ended, 1);
    assert_int_equal(who->id_at_end.n, 0); // nothing of it runs by then
}

static void a_co_without_an_id_has_none(void **state)
{
    struct fixture *f = *state;
    know_id(f);
    assert_int_equal(co_running_id(f->vm).n, 0); // nothing runs
    expect(f, "return id(), wait(1), id()", "-,1,-");
    lua_State *L = vm_state(f->vm); // nor has the main thread, in which Lua runs in no co
    assert_int_equal(luaL_dostring(L, "assert(id() == '-')"), LUA_OK);
}

// At its beginning, in its author's coroutines, behind waits there and here, and in what closes.
static void a_co_keeps_its_id(void **state)
{
    struct fixture *f = *state;
    know_id(f);
    struct named who = {.id = STR("request-1")};
    start_named(
        f, &who,
        "local t = {id()} wait() t[2] = id()"
        " coroutine.wrap(function() t[3] = id() wait() t[4] = id() end)()"
        " pcall(function() t[5] = id() wait() error(1) end)"
        " do local x <close> = setmetatable({}, {__close = function() wait() t[6] = id() end}) end"
        " return table.concat(t, ' ')");
    assert_int_equal(co_running_id(f->vm).n, 0); // it waits
    finish_named(f, &who);
    assert_string_equal(who.result, "request-1 request-1 request-1 request-1 request-1 request-1");
    assert_int_equal(co_running_id(f->vm).n, 0);
}

static void cos_that_take_turns_have_an_id_each(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 5 };
    struct named who[MANY] = {{.id = STR("a")},
                              {.id = STR("b")},
                              {.id = {NULL, 0}},
                              {.id = STR("a longer one")},
                              {.id = STR("e")}};
    know_id(f);
    for (int i = 0; i < MANY; i++)
        start_named(
            f, &who[i],
            "local first = id() for i = 1, 5 do wait() assert(id() == first) end return first");
    for (int i = 0; i < MANY; i++) {
        finish_named(f, &who[i]);
        assert_int_equal(who[i].how, CO_RETURNED);
        assert_string_equal(who[i].result, who[i].id.n ? who[i].id.p : "-");
    }
}

// What goes on with another's coroutine does so under its own id.
static void the_id_is_whose_turn_it_is(void **state)
{
    struct fixture *f = *state;
    struct named maker = {.id = STR("maker")}, other = {.id = STR("other")};
    know_id(f);
    start_named(
        f, &maker,
        "rawset(_G, 'gen', coroutine.wrap(function() while true do coroutine.yield(id()) end end))"
        " return gen()");
    finish_named(f, &maker);
    assert_string_equal(maker.result, "maker");
    start_named(f, &other, "local a = gen() wait() return a .. gen() .. id()");
    finish_named(f, &other);
    assert_string_equal(other.result, "otherotherother");
}

// Its thread comes from the pool, and goes back there, however it ends.
static void the_next_of_a_thread_has_not_its_id(void **state)
{
    struct fixture *f = *state;
    struct named returned = {.id = STR("gone")}, raised = {.id = STR("broken")},
                 killed = {.id = STR("killed")};
    know_id(f);
    start_named(f, &returned, "return wait(id())");
    finish_named(f, &returned);
    assert_int_equal(co_pooled(f->vm), 1);
    expect(f, "return id()", "-");
    struct co *co = co_new(f->vm); // one that never starts
    co_set_id(co, STR("dropped"));
    co_drop(co);
    expect(f, "return id()", "-");
    start_named(f, &raised, "wait() error(id(), 0)");
    finish_named(f, &raised);
    assert_int_equal(raised.how, CO_RAISED);
    assert_string_equal(raised.result, "broken");
    expect(f, "return id()", "-");
    co_kill(start_named(f, &killed, "wait() return 1"));
    assert_int_equal(killed.how, CO_KILLED);
    assert_int_equal(co_running_id(f->vm).n, 0);
    expect(f, "return id()", "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(waits_work),
        BOTH(waits_pass_through_coroutines),
        BOTH(a_waiting_coroutine_is_not_yours),
        BOTH(says_why_it_cannot_wait),
        BOTH(the_main_thread_cannot_wait),
        BOTH(a_cancelled_wait_raises_its_reason),
        BOTH(a_cancel_before_the_wait_raises_at_it),
        BOTH(an_error_leaves_its_stack_for_a_traceback),
        BOTH(threads_are_used_again),
        BOTH(the_pool_is_bounded),
        BOTH(a_vm_ends_with_its_work),
        BOTH(a_co_without_an_id_has_none),
        BOTH(a_co_keeps_its_id),
        BOTH(cos_that_take_turns_have_an_id_each),
        BOTH(the_id_is_whose_turn_it_is),
        BOTH(the_next_of_a_thread_has_not_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

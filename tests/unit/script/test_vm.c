// A generation: its memory, its files and modules, and what differs in Lua's library.
#include "script_test.h"

#include "base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>

// Every block of Lua comes from realloc: this one can be told to fail.
static long until_failure = -1; // calls that still succeed; negative: all
static long calls;
static bool fails_on; // all later calls fail too

void *realloc(void *p, size_t n)
{
    static void *(*next)(void *, size_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "realloc");
    calls++;
    if (until_failure > 0)
        until_failure--;
    else if (until_failure == 0) {
        if (!fails_on)
            until_failure = -1;
        return NULL;
    }
    return next(p, n);
}

// Memory

static void the_state_has_a_cap(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 2 << 20});
    expect(f, "return pcall(string.rep, 'x', 4 << 20)", "false,not enough memory");
    expect(f, "local t = {} for i = 1, 1e9 do t[i] = {} end", "error: not enough memory");
    assert_true(vm_memory(f->vm) <= (2 << 20) + (256 << 10));
    expect(f, "return #string.rep('x', 1 << 19)", "524288"); // the garbage is gone
    // outside of a coroutine there is a reserve
    lua_State *L = vm_state(f->vm);
    expect(f, "local t = {} rawset(_G, 't', t) while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
           "error: not enough memory");
    char kilobytes[100 * 1024] = {0};
    lua_pushlstring(L, kilobytes, sizeof kilobytes);
    lua_pop(L, 1);
}

// Lua's table of strings is full, and cannot grow: a collection for each new string would go on for
// hours.
static void a_state_that_stays_full_ends_the_run(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 16 << 20});
    char script[300];
    snprintf(script, sizeof script,
             "local t = {} for i = 1, 66000 do t[i] = 'k' .. i end collectgarbage() "
             "local ballast = ('x'):rep(%d - collectgarbage 'count' * 1024 // 1 | 0) "
             "for i = 1, 100000 do local s = 'g' .. i end return 'went on'",
             (16 << 20) - (400 << 10));
    expect(f, script, "error: not enough memory");
    expect(f, "local n = 0 for i = 1, 100000 do n = n + #('g' .. i) end return n", "588895");
}

static void a_run_has_a_meter(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 64 << 20, .request_memory = 1 << 20});
    size_t counter = 0, other = 0;
    vm_meter_start(f->vm, &counter);
    struct co *co = co_new(f->vm);
    assert_int_equal(
        luaL_loadstring(
            co_state(co),
            "local a = ('x'):rep(500000) wait() local ok, e = pcall(string.rep, 'y', 800000) wait() return ok, e, #a"),
        LUA_OK);
    f->ended = 0;
    co_start(co, 0, work_ended, f);
    vm_meter_stop(f->vm);
    assert_in_range(counter, 500000, 600000);
    // others are not counted, in between
    vm_meter_start(f->vm, &other);
    vm_meter_stop(f->vm);
    struct fixture beside = *f;
    assert_string_equal((start(&beside, "return #('z'):rep(3 << 20)"), finish(&beside)), "3145728");
    assert_int_equal(other, 0);
    assert_string_equal(finish(f), "false,not enough memory,500000");
    assert_true((ptrdiff_t)counter <= 1 << 20);
    expect(f, "return #('z'):rep(3 << 20)", "3145728"); // without a meter
}

// A co that a metered one spawns outlives it: the counter must not be touched then.
static void what_a_metered_run_spawns_is_not_metered(void **state)
{
    struct fixture *f = *state;
    size_t *counter = calloc(1, sizeof *counter);
    vm_meter_start(f->vm, counter);
    start(
        f,
        "require 'lunette.task'.spawn(function() wait() wait() rawset(_G, 'late', #('x'):rep(1e6)) end) return 1");
    vm_meter_stop(f->vm);
    assert_string_equal(finish(f), "1");
    assert_true(*counter > 0);
    free(counter); // sanitizers watch
    for (int i = 0; i < 5; i++)
        loop_turn(f->loop, 0);
    expect(f, "return late", "1000000");
}

static void rest_until_below(struct fixture *f, size_t memory)
{
    for (int i = 0; i < 2000 && vm_memory(f->vm) > memory; i++)
        loop_turn(f->loop, 50);
    assert_in_range(vm_memory(f->vm), 1, memory);
}

// What a large run left would stay until Lua allocates again.
static void garbage_is_collected_while_nobody_works(void **state)
{
    struct fixture *f = *state;
    lua_gc(vm_state(f->vm), LUA_GCSTOP);
    expect(f, "local t = {} for i = 1, 200000 do t[i] = {i} end return #t", "200000");
    lua_gc(vm_state(f->vm), LUA_GCRESTART);
    assert_true(vm_memory(f->vm) > 8 << 20);
    rest_until_below(f, 2 << 20);
}

// Requests that waited for a thread of the pool while nobody worked had their bodies kept for good.
static void what_waited_through_a_rest_is_collected_after_its_end(void **state)
{
    struct fixture *f = *state;
    start(f, "local s = ('x'):rep(8 << 20) require 'lunette.task'.sleep(3) return #s");
    loop_turn(f->loop, 0);
    assert_true(vm_memory(f->vm) > 8 << 20);
    for (int i = 0; i < 2000 && !f->ended; i++)
        loop_turn(f->loop, 50);
    assert_string_equal(f->result, "8388608");
    rest_until_below(f, 2 << 20);
}

// Steps until a cycle is over.
static int walk_cycle(struct fixture *f, int steps_max)
{
    int n = 0;
    while (n < steps_max && !lua_gc(vm_state(f->vm), LUA_GCSTEP, 1))
        n++;
    return n;
}

// Which has marked already what becomes garbage then.
static void a_cycle_that_was_under_way_hides_nothing_from_a_rest(void **state)
{
    struct fixture *f = *state;
    lua_gc(vm_state(f->vm), LUA_GCSTOP);
    expect(f, "rawset(_G, 'large', ('x'):rep(8 << 20)) return #large", "8388608");
    lua_gc(vm_state(f->vm), LUA_GCCOLLECT);
    lua_gc(vm_state(f->vm), LUA_GCINC, 0, 4, 1); // so slow that it takes many steps
    int steps = walk_cycle(f, INT_MAX);
    assert_true(steps > 4);
    assert_int_equal(walk_cycle(f, steps - 1), steps - 1);
    expect(f, "rawset(_G, 'large', nil) return 1", "1");
    lua_gc(vm_state(f->vm), LUA_GCINC, 0, 100, 13); // as it is by itself
    lua_gc(vm_state(f->vm), LUA_GCRESTART);
    rest_until_below(f, 2 << 20);
}

// Its steps never say that a cycle is over: a worker at rest woke a thousand times a second.
static void rest_ends_with_the_generational_collector(void **state)
{
    struct fixture *f = *state;
    expect(f, "return collectgarbage 'generational'", "incremental");
    expect(f, "local t = {} for i = 1, 200000 do t[i] = {i} end return #t", "200000");
    uint64_t before;
    int turns = 0;
    do { // until nothing is to be done for two seconds
        before = loop_now(f->loop);
        loop_turn(f->loop, 2000);
    } while (++turns < 3000 && loop_now(f->loop) - before < 1900);
    assert_in_range(turns, 2, 2999);
}

static void swallow_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    (void)co, (void)how, (void)L, (void)n;
    ++*(int *)arg;
}

// Makes a vm and runs a script that uses most of what is here, with allocation n failing.
static bool works_with_failure(struct fixture *f, long n)
{
    static const char script[] =
        "local t = require 'lunette.task' local m = require 'm'"
        " local c = coroutine.wrap(function() for i = 1, 3 do t.sleep(0) coroutine.yield(i) end end)"
        " assert(c() + c() == 3) local h = t.spawn(function() return m.f('x') end)"
        " assert(h:join() == 'xx') t.all{function() t.sleep(0) end, function() return {} end}"
        " t.timeout(5, function() t.sleep(0) end) pcall(table.sort, {1, 2}, t.sleep) pcall(require, 'none')";
    struct vm_options o = {.site = f->site, .loop = f->loop, .memory = 8 << 20};
    until_failure = n;
    struct vm *vm = vm_new(&o);
    struct co *co = vm ? co_new(vm) : NULL;
    int ended = 0;
    if (co && luaL_loadstring(co_state(co), script) == LUA_OK)
        co_start(co, 0, swallow_end, &ended);
    else if (co)
        co_drop(co);
    for (int i = 0; co && i < 40 && co_alive(vm); i++)
        loop_turn(f->loop, 0);
    bool worked = ended && until_failure != -1;
    if (vm && !fails_on)
        assert_int_equal(co_alive(vm), 0);
    until_failure = -1;
    vm_free(vm);
    return worked;
}

static void every_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    const char *failed;
    write_file(f, "scripts/m.lua", "wait = nil return {f = function(s) return s .. s end}");
    assert_int_equal(log_open(&(struct log_options){"off", "off", LOG_ERROR}, &failed), 0);
    for (int on = 0; on < 2; on++) {
        fails_on = on;
        calls = 0;
        assert_true(works_with_failure(f, 1 << 30));
        long all = calls;
        assert_true(all > 500);
        for (long n = 0; n < all; n++)
            works_with_failure(f, n);
    }
    log_close();
}

// Files and modules

static void files_are_loaded(void **state)
{
    struct fixture *f = *state;
    lua_State *L = vm_state(f->vm);
    write_file(f, "scripts/a.lua", "#!/usr/bin/lunette\nreturn 'a'");
    assert_int_equal(vm_load_file(L, "scripts/a.lua"), LUA_OK);
    lua_call(L, 0, 1);
    assert_string_equal(lua_tostring(L, -1), "a");
    write_file(f, "scripts/b.lua", "\xEF\xBB\xBFreturn debug.getinfo(1, 'S').source");
    assert_int_equal(vm_load_file(L, "scripts/b.lua"), LUA_OK);
    lua_call(L, 0, 1);
    assert_string_equal(lua_tostring(L, -1), "@scripts/b.lua");
    write_file(f, "scripts/c.lua", "return\n\n+");
    assert_int_equal(vm_load_file(L, "scripts/c.lua"), LUA_ERRSYNTAX);
    assert_string_equal(lua_tostring(L, -1), "scripts/c.lua:3: unexpected symbol near '+'");
    write_file(f, "scripts/d.lua", "\033Lua");
    assert_int_equal(vm_load_file(L, "scripts/d.lua"), LUA_ERRSYNTAX);
    assert_non_null(strstr(lua_tostring(L, -1), "attempt to load a binary chunk"));
    assert_int_equal(vm_load_file(L, "scripts/none.lua"), LUA_ERRFILE);
    assert_string_equal(lua_tostring(L, -1),
                        "cannot read scripts/none.lua: No such file or directory");
    assert_int_equal(vm_load_file(L, "scripts"), LUA_ERRFILE);
    assert_string_equal(lua_tostring(L, -1), "cannot read scripts: Is a directory");
    write_file(f, "scripts/e.lua", "");
    char path[128];
    snprintf(path, sizeof path, "%s/scripts/e.lua", f->site);
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    assert_int_equal(vm_load_file(L, "scripts/e.lua"), LUA_ERRFILE);
    assert_string_equal(lua_tostring(L, -1), "cannot read scripts/e.lua: File too large");
    lua_settop(L, 0);
}

static void texts_are_read(void **state)
{
    struct fixture *f = *state;
    lua_State *L = vm_state(f->vm);
    write_file(f, "scripts/a.html", "#<p>\n");
    assert_int_equal(vm_push_text(L, "scripts/a.html"), 0);
    assert_string_equal(lua_tostring(L, -1), "#<p>\n");
    lua_settop(L, 0);
    assert_int_equal(vm_push_text(L, "scripts/none.html"), -ENOENT);
    assert_int_equal(vm_push_text(L, "scripts"), -EISDIR);
    char path[PATH_MAX + 1];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(vm_push_text(L, path), -ENAMETOOLONG);
    assert_int_equal(lua_gettop(L), 0);
}

static void modules_are_required(void **state)
{
    struct fixture *f = *state;
    char folder[128];
    snprintf(folder, sizeof folder, "%s/scripts/pack", f->site);
    mkdir(folder, 0700);
    write_file(f, "scripts/one.lua", "return {n = (n or 0) + 1, args = {...}}");
    write_file(f, "scripts/waits.lua", "local v = wait('waited') wait() return v");
    write_file(f, "scripts/nothing.lua", "wait()");
    write_file(f, "scripts/sets.lua", "package.loaded[...] = 'set'");
    write_file(f, "scripts/falsy.lua", "return false");
    write_file(f, "scripts/pack/init.lua", "return require 'pack.inner' .. '!'");
    write_file(f, "scripts/pack/inner.lua", "return wait('inner')");
    write_file(f, "scripts/fails.lua", "wait()\nerror('broken')");
    write_file(f, "scripts/syntax.lua", "return +");
    write_file(f, "scripts/a.lua", "wait() require 'b'");
    write_file(f, "scripts/b.lua", "wait() require 'c'");
    write_file(f, "scripts/c.lua", "wait()\nrequire 'a'");
    write_file(f, "scripts/self.lua", "require 'self'");
    static const struct story stories[] = {
        {"return require 'one' == require 'one', #require 'one'.args, require 'one'.args[1]",
         "true,2,one"},
        {"return (select(2, require 'waits')):match('/scripts/waits.lua$')", "/scripts/waits.lua"},
        {"return require 'waits'", "waited"},
        {"return (require 'nothing'), (require 'sets'), (require 'falsy'), package.loaded.falsy",
         "true,set,false,false"},
        {"return (require 'pack')", "inner!"},
        {"return pcall(require, 'fails')", "false,scripts/fails.lua:2: broken"},
        {"return pcall(require, 'fails')", "false,scripts/fails.lua:2: broken"},
        {"return pcall(require, 'syntax')",
         "false,error loading module 'syntax' from file 'scripts/syntax.lua':\n\tscripts/syntax.lua:1: unexpected symbol near '+'"},
        {"return pcall(require, 'a')",
         "false,scripts/c.lua:2: scripts/a.lua requires itself: a -> b -> c -> a"},
        {"return pcall(require, 'self')",
         "false,scripts/self.lua:1: scripts/self.lua requires itself: self -> self"},
        {"local ok, e = pcall(require, 'no.such') return ok, e:match(\"^module 'no.such' not found:\\n\\tno field package.preload%['no.such'%]\\n\\tno file 'scripts/no/such.lua'\\n\") ~= nil, e:match \"no file 'lua_modules/lib/lua/5.4/no/such.so'\" ~= nil",
         "false,true,true"},
        {"local ok, e = pcall(function()\nrequire 'no.such' end) return e:match '^[^\\n]*'",
         "t:2: module 'no.such' not found:"},
        {"package.preload.pre = function(...) return wait(select('#', ...)) end return require 'pre'",
         "2,:preload:"},
        {"table.insert(package.searchers, 1, function(n) if n == 'mine' then return function(...) return ... end, 'data' end return 'not mine' end) return require 'mine'",
         "mine,data"},
        {"local ok, e = pcall(require, 'no') table.remove(package.searchers, 1) return e:match '\\n\\tnot mine\\n' ~= nil",
         "true"},
        {"package.searchers = 1 return pcall(require, 'x')",
         "false,'package.searchers' must be a table"},
        {"return pcall(require)",
         "false,bad argument #1 to 'require' (string expected, got no value)"},
        {"return coroutine.wrap(function() return (require 'one') == package.loaded.one end)()",
         "true"},
    };
    tell(f, stories);
}

// Two handlers require what is being loaded: it is loaded once, and both get it, or its error.
static void a_module_is_loaded_once(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    write_file(f, "scripts/once.lua",
               "rawset(_G, 'times', (times or 0) + 1) wait() wait() return 'm' .. times");
    start(f, "return (require 'once')");
    start(&other, "return (require 'once'), select(2, require 'once') ~= nil");
    assert_string_equal(finish(f), "m1");
    assert_string_equal(finish(&other), "m1,false");
    write_file(f, "scripts/fails.lua", "wait() error('broken')");
    start(f, "return pcall(require, 'fails')");
    start(&other, "return pcall(require, 'fails')");
    assert_string_equal(finish(f), "false,scripts/fails.lua:1: broken");
    assert_string_equal(finish(&other), "false,scripts/fails.lua:1: broken");
    // the one who loads is cancelled; the one who waits is
    write_file(f, "scripts/slow.lua", "wait() wait() wait() wait() return 1");
    struct co *first = start(f, "return pcall(require, 'slow')");
    start(&other, "return pcall(require, 'slow')");
    co_cancel(first, "gone");
    assert_string_equal(finish(f), "false,gone");
    assert_string_equal(finish(&other), "false,gone");
    start(f, "return pcall(require, 'slow')");
    struct co *second = start(&other, "return pcall(require, 'slow')");
    co_cancel(second, "left");
    assert_string_equal(finish(&other), "false,left");
    assert_memory_equal(finish(f), "true,1", 6);
    start(f, "return (require 'slow')");
    assert_string_equal(finish(f), "1");
}

// Two handlers that each hold what the other needs would wait for ever.
static void a_circle_through_two_handlers_is_found(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    write_file(f, "scripts/x.lua", "wait() require 'y' return 'x'");
    write_file(f, "scripts/y.lua", "wait() require 'x' return 'y'");
    start(f, "return pcall(require, 'x')");
    start(&other, "return pcall(require, 'y')");
    const char *a = finish(f), *b = finish(&other);
    assert_true(strstr(a, "requires itself: ") || strstr(b, "requires itself: "));
    assert_true(strstr(a, "y -> x -> y") || strstr(b, "x -> y -> x"));
    write_file(f, "scripts/x.lua", "return 'x'"); // and nothing is left of it
    expect(f, "return (require 'y')", "y");
}

static void the_coroutine_that_loads_may_be_closed(void **state)
{
    struct fixture *f = *state;
    write_file(f, "scripts/stops.lua", "coroutine.yield() return 1");
    static const struct story stories[] = {
        {"local c = coroutine.create(function() require 'stops' end) coroutine.resume(c) rawset(_G, 'c', c)"
         " return pcall(require, 'stops')",
         "false,scripts/stops.lua requires itself: stops -> stops"},
    };
    tell(f, stories);
    struct fixture other = *f;
    start(f, "return pcall(require, 'stops')");
    start(&other, "return coroutine.close(c)");
    assert_string_equal(other.result, "true");
    assert_string_equal(finish(f), "false,module 'stops' was not loaded: its coroutine was closed");
    expect(f, "return select('#', coroutine.resume(coroutine.create(require), 'stops'))", "1");
}

// Lua's library

static void print_goes_to_the_log(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    write_file(f, "scripts/p.lua",
               "\nprint('a', 1, nil, setmetatable({}, {__tostring = function() return 'T' end}))");
    logged(f, "require 'p'", text, sizeof text);
    assert_non_null(strstr(text, " info ["));
    assert_non_null(strstr(text, "] scripts/p.lua:2: a\t1\tnil\tT\n"));
    logged(
        f,
        "warn('@on') warn('one ', 'two') setmetatable({}, {__gc = function() error('fin') end}) collectgarbage() collectgarbage()",
        text, sizeof text);
    assert_non_null(strstr(text, "one two\n"));
    assert_non_null(strstr(text, "error in __gc"));
    assert_null(strstr(text, "@on"));
}

static void globals_are_watched(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    static const struct story dev[] = {
        {"return pcall(require, 'g')",
         "false,scripts/g.lua:2: undeclared global 'counter' (say local counter, or declare it with rawset(_G, 'counter', ...))"},
        {"rawset(_G, 'counter', 0) require 'g' return counter", "1"},
        {"return undefined", "nil"},
        {"from_elsewhere = 1 return from_elsewhere", "1"}, // the chunk t is not of the site
        {"return pcall(require, 'h')",
         "false,scripts/h.lua:1: undeclared global 'helper' (say local helper, or declare it with rawset(_G, 'helper', ...))"},
    };
    write_file(f, "scripts/g.lua", "\ncounter = 1");
    write_file(f, "scripts/h.lua", "function helper() end");
    tell(f, dev);
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 8 << 20});
    write_file(f, "scripts/g.lua",
               "for i = 1, 3 do\ncounter = i\nrawset(_G, 'counter', i < 3 and nil or i) end");
    logged(f, "require 'g' return counter", text, sizeof text);
    assert_string_equal(f->result, "3");
    char *first = strstr(text, "warn [");
    assert_non_null(first);
    assert_non_null(
        strstr(first, "scripts/g.lua:2: undeclared global 'counter' (say local counter)\n"));
    assert_null(strstr(first + 1, "warn ["));
}

static void os_exit_raises(void **state)
{
    expect(
        *state, "os.exit(0)",
        "error: t:1: os.exit would stop the worker: return from the function, or raise an error");
}

static void tracebacks_are_short(void **state)
{
    struct fixture *f = *state;
    char message[256];
    lua_State *L = vm_state(f->vm);
    snprintf(message, sizeof message, "%s/scripts/x.lua:1: oh", f->site);
    vm_push_traceback(L, L, message, 0);
    assert_string_equal(lua_tostring(L, -1), "scripts/x.lua:1: oh\nstack traceback:");
    lua_pop(L, 1);
    assert_ptr_equal(vm_of(L), f->vm);
    assert_string_equal(vm_options(f->vm)->site, f->site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(the_state_has_a_cap),
        cmocka_unit_test_setup_teardown(a_state_that_stays_full_ends_the_run, setup, teardown),
        BOTH(a_run_has_a_meter),
        cmocka_unit_test_setup_teardown(garbage_is_collected_while_nobody_works, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waited_through_a_rest_is_collected_after_its_end,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_cycle_that_was_under_way_hides_nothing_from_a_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rest_ends_with_the_generational_collector, setup, teardown),
        BOTH(what_a_metered_run_spawns_is_not_metered),
        BOTH(files_are_loaded),
        BOTH(texts_are_read),
        BOTH(modules_are_required),
        BOTH(a_module_is_loaded_once),
        BOTH(a_circle_through_two_handlers_is_found),
        BOTH(the_coroutine_that_loads_may_be_closed),
        BOTH(print_goes_to_the_log),
        BOTH(globals_are_watched),
        BOTH(os_exit_raises),
        BOTH(tracebacks_are_short),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Lua that runs for too long: how it is ended, what it may do before, and that nobody else is hit.
#include "script_test.h"

#include "net/watchdog.h"
#include "script/cut.h"
#include "script/vm_inside.h"

#include <signal.h>
#include <time.h>

#define SENTENCE "Lua ran for longer than timeouts.cpu (0.05 s) without waiting"

static struct watchdog *dog;

static bool on_lost(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "lost: %s\n", text);
    abort();
}

// late() → once the signal of this run has come.
static int late(lua_State *L)
{
    time_t end = time(NULL) + 20;
    while (!vm_of(L)->cut.step && time(NULL) <= end)
        ;
    lua_pushboolean(L, vm_of(L)->cut.step);
    return 1;
}

// late_wait(): the same, and then waits before Lua runs on.
static int waited(lua_State *L, int status, lua_KContext ctx)
{
    (void)L, (void)status, (void)ctx;
    return 0;
}

static int late_wait(lua_State *L)
{
    late(L);
    lua_settop(L, 0);
    lua_getglobal(L, "wait");
    lua_callk(L, 0, 0, 0, waited);
    return 0;
}

// poke(): the signal of a run that is over.
static int poke(lua_State *L)
{
    (void)L;
    raise(watchdog_signal());
    return 0;
}

static int hooked(lua_State *L)
{
    lua_pushboolean(L, lua_gethook(L) != NULL || lua_gethook(vm_of(L)->L) != NULL);
    return 1;
}

static int setup_watched(void **state)
{
    struct watchdog_options o = {.limit_ms = 50, .interrupt = cut_interrupt, .lost = on_lost};
    setup(state);
    struct fixture *f = *state;
    vm_free(f->vm);
    dog = watchdog_start(&o);
    assert_non_null(dog);
    open_vm(f, (struct vm_options){
                   .memory = 64 << 20, .request_memory = 16 << 20, .watchdog = dog, .cpu_ms = 50});
    lua_State *L = vm_state(f->vm);
    co_passes(f->vm, late_wait);
    lua_register(L, "late", late);
    lua_register(L, "late_wait", late_wait);
    lua_register(L, "poke", poke);
    lua_register(L, "hooked", hooked);
    return 0;
}

static int teardown_watched(void **state)
{
    teardown(state);
    watchdog_stop(dog);
    return 0;
}

// Each takes the limit, and no more: the first error ends it.
static void endless_lua_gets_an_error(void **state)
{
    static const struct story stories[] = {
        {"while true do end", "error: t:1: " SENTENCE},
        {"repeat until false", "error: t:1: " SENTENCE},
        {"::a:: goto a", "error: t:1: " SENTENCE},
        {"\n\nfor i = 1, math.huge do end", "error: t:3: " SENTENCE},
        {"local function f() return f() end f()", "error: t:1: " SENTENCE},
        {"return pcall(function() while true do end end)", "false,t:1: " SENTENCE},
        {"return xpcall(function() while true do end end, function() while true do end end)",
         "false,t:1: " SENTENCE},
        {"return xpcall(function() while true do end end, debug.traceback) == false", "true"},
        {"return xpcall(error, function() while true do end end)", "false,t:1: " SENTENCE},
        {"return coroutine.resume(coroutine.create(function() while true do end end))",
         "false,t:1: " SENTENCE},
        {"local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
         "error: t:1: " SENTENCE},
        {"local x <close> = setmetatable({}, {__close = function() while true do end end})",
         "error: t:1: " SENTENCE},
        {"table.sort({1, 2, 3}, function() while true do end end)", "error: t:1: " SENTENCE},
        {"string.gsub('a', 'a', function() while true do end end)", "error: t:1: " SENTENCE},
        {"for _ in function() return 1 end do end", "error: t:1: " SENTENCE},
        {"load('while true do end', '=u')()", "error: u:1: " SENTENCE},
    };
    tell(*state, stories);
}

static void what_runs_on_is_raised_at_every_instruction(void **state)
{
    static const struct story stories[] = {
        {"while true do pcall(function() while true do end end) end", "error: t:1: " SENTENCE},
        {"while true do pcall(pcall, function() while true do end end) end",
         "error: t:1: " SENTENCE},
        {"local function on() while true do end end while true do xpcall(on, on) end",
         "error: t:1: " SENTENCE},
        {"while true do coroutine.resume(coroutine.create(function() while true do pcall(function()"
         " coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()"
         " end) end end)) end",
         "error: t:1: " SENTENCE},
        {"local t = setmetatable({}, {__lt = function() while true do pcall(function() while true do end end) end end})"
         " while true do pcall(table.sort, {t, t, t}) end",
         "error: t:1: " SENTENCE},
        {"while true do local ok = pcall(function() local x <close> = setmetatable({}, {__close ="
         " function() while true do end end}) while true do end end) end",
         "error: t:1: " SENTENCE},
    };
    tell(*state, stories);
}

// What takes part between the first error and the end has a moment for it.
static void close_variables_run(void **state)
{
    expect((struct fixture *)*state,
           "local log = {} pcall(function() local x <close> = setmetatable({}, {__close ="
           " function(_, e) for i = 1, 100 do log[i] = e end end}) while true do end end)"
           " return #log, log[100]",
           "100,t:1: " SENTENCE);
    expect((struct fixture *)*state, "return hooked()", "false");
}

static void a_wait_begins_a_new_run(void **state)
{
    expect((struct fixture *)*state,
           "local n = 0 for i = 1, 300 do wait() for j = 1, 20000 do n = n + 1 end end return n",
           "6000000");
}

static int cuts(struct fixture *f, const char *chunk)
{
    struct co *co = start(f, chunk);
    while (!f->ended && !co_was_cut(co)) // it waits in between
        assert_int_equal(loop_turn(f->loop, 100), 0);
    bool cut = !f->ended;
    finish(f);
    return cut;
}

static void who_was_cut_is_known_and_has_no_second_moment(void **state)
{
    struct fixture *f = *state;
    assert_true(cuts(f, "pcall(function() while true do end end) wait()"));
    assert_false(cuts(f, "pcall(function() end) wait()"));
    expect(f,
           "local log <const> = {} pcall(function() while true do end end) wait()"
           " local ok, e = pcall(function() pcall(function() while true do end end) log[1] = 1 end)"
           " return log[1]",
           "error: t:1: " SENTENCE);
}

// The signal came, and then the run ended before an instruction: it did wait in time.
static void a_hook_that_is_left_over_hits_nobody(void **state)
{
    struct fixture *f = *state;
    expect(f, "late_wait() local n = 0 for i = 1, 1000 do n = n + i end return n, hooked()",
           "500500,false");
    expect(f, "return late()", "true"); // no instruction follows
    expect(f, "return hooked()", "false");
    expect(f,
           "rawset(_G, 'c', coroutine.wrap(function() late_wait() coroutine.yield(1)"
           " local n = 0 for i = 1, 1000 do n = n + i end return n end)) return c()",
           "1");
    expect(f, "return c(), hooked()", "500500,false");
}

static void a_signal_of_a_run_that_is_over_hits_nobody(void **state)
{
    struct fixture *f = *state;
    expect(f, "while true do end", "error: t:1: " SENTENCE);
    raise(watchdog_signal()); // between runs
    expect(f, "poke() local n = 0 for i = 1, 1000 do n = n + i end return n, hooked()",
           "500500,false");
    expect(f, "while true do end", "error: t:1: " SENTENCE); // it still does what it should
}

static void the_record_says_where_it_was(void **state)
{
    struct fixture *f = *state;
    int end_of_log = 0;
    char text[4096];
    FILE *log = tmpfile();
    int err = dup(STDERR_FILENO);
    dup2(fileno(log), STDERR_FILENO);
    run(f, "local function inner()\n while true do end\nend\nlocal function outer()\n"
           " coroutine.wrap(function() inner() end)()\nend\npcall(outer)");
    dup2(err, STDERR_FILENO);
    close(err);
    rewind(log);
    end_of_log = (int)fread(text, 1, sizeof text - 1, log);
    text[end_of_log] = '\0';
    fclose(log);
    assert_non_null(strstr(text, "t:2: " SENTENCE));
    assert_non_null(strstr(text, "t:2: in function 'inner'"));
    assert_non_null(strstr(text, "t:5: in function <t:5>"));
    assert_non_null(strstr(text, "t:5: in function <t:4>"));
    assert_non_null(strstr(text, "t:7: in main chunk"));
    assert_null(cut_take(f->vm)); // told
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_watched, teardown_watched)
        TEST(endless_lua_gets_an_error),
        TEST(what_runs_on_is_raised_at_every_instruction),
        TEST(close_variables_run),
        TEST(a_wait_begins_a_new_run),
        TEST(who_was_cut_is_known_and_has_no_second_moment),
        TEST(a_hook_that_is_left_over_hits_nobody),
        TEST(a_signal_of_a_run_that_is_over_hits_nobody),
        TEST(the_record_says_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Background work of one vm: what begins with which share, what marks say of others, and the end.
#include "script/lua_timer.h"
#include "script_test.h"

#include <time.h>

static struct timers_marks marks;

#define T \
    "local timer, task = require 'lunette.timer', require 'lunette.task' ran = rawget(_G, 'ran') or {} "
#define WORK "local function work(name) return function() ran[#ran + 1] = name end end "

static int setup_timers(void **state)
{
    marks = (struct timers_marks){0};
    setenv("TZ", "UTC0", 1);
    tzset();
    setup(state);
    struct fixture *f = *state;
    expect(f, "rawset(_G, 'ran', {})", "");
    return 0;
}

static void turns(const struct fixture *f, int ms)
{
    uint64_t end;
    loop_update_time(f->loop);
    for (end = loop_now(f->loop) + (uint64_t)ms; loop_now(f->loop) < end;)
        assert_int_equal(loop_turn(f->loop, 5), 0);
}

// Until the work has run so often, or for ten seconds.
static void await(struct fixture *f, int n)
{
    for (int i = 0; i < 2000; i++) {
        if (atoi(run(f, "return #ran")) >= n)
            return;
        turns(f, 5);
    }
    fail_msg("it ran %s times, not %d", run(f, "return #ran"), n);
}

static void share_by_share(void **state)
{
    struct fixture *f = *state;
    expect(f,
           T WORK "timer.start('a', work 'own', true) timer.start('b', work 'all') "
                  "return timer.every('c', work 'once', 3600, false, true)",
           "true");
    turns(f, 10);
    expect(f, "return #ran", "0"); // declared is not begun
    timers_begin(f->vm, TIMERS_NONE, &marks, 7);
    turns(f, 10);
    expect(f, "return #ran", "0");
    timers_begin(f->vm, TIMERS_OWN, &marks, 7);
    await(f, 1);
    expect(f, "return table.concat(ran, ' ')", "own");
    assert_int_equal(marks.number, 0); // the server's work is another's
    timers_begin(f->vm, TIMERS_ALL, &marks, 7);
    timers_begin(f->vm, TIMERS_ALL, &marks, 7);
    timers_begin(f->vm, TIMERS_OWN, &marks, 7);
    await(f, 3);
    turns(f, 10);
    expect(f, "return table.concat(ran, ' ')", "own all once");
    assert_int_equal(marks.number, 7);
    assert_int_equal(marks.started, 1);
}

// Another worker has done some of it before it died.
static void taken_over(void **state)
{
    struct fixture *f = *state;
    marks.number = 7;
    marks.started = 1 << 0 | 1 << 2;
    expect(f,
           T WORK "timer.start('a', work 'a') timer.start('own', work 'own', true) "
                  "timer.start('b', work 'b') timer.start('c', work 'c')",
           "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 7);
    await(f, 2);
    turns(f, 10);
    expect(f, "return table.concat(ran, ' ')", "own b");
    assert_int_equal(marks.started, 7);
}

static void other_scripts_begin_anew(void **state)
{
    struct fixture *f = *state;
    marks.number = 6;
    marks.started = ~UINT64_C(0);
    expect(f, T WORK "timer.start('a', work 'a')", "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 7);
    await(f, 1);
    assert_int_equal(marks.number, 7);
    assert_int_equal(marks.started, 1);
}

static void daily_at(struct fixture *f, int64_t at)
{
    char chunk[256];
    int minute = (int)(at / 60 % (24 * 60));
    snprintf(chunk, sizeof chunk, T WORK "return timer.daily('at', work 'at', '%02d:%02d')",
             minute / 60, minute % 60);
    expect(f, chunk, "true");
}

static void times_of_day(void **state)
{
    static const struct {
        int64_t looked, at; // seconds before now; looked 0: nobody has
        bool runs;
    } cases[] = {
        {0, 300, false},      // it was over before the server started
        {600, 300, true},     // missed while nobody looked
        {600, 900, false},    // done before
        {7200, 1800, true},   // an hour at most is made up for
        {7200, 5400, false},  // this one is older
        {400000, 1800, true}, //
        {-3600, 300, false},  // the clock went back after it
        {-90000, 300, false}, // or was far ahead, and days are not done
        {86400 * 40, 3 * 3600, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;
        setup_timers((void **)&f);
        int64_t now = time(NULL);
        marks.looked = cases[i].looked ? now - cases[i].looked : 0;
        daily_at(f, now - cases[i].at);
        timers_begin(f->vm, TIMERS_ALL, &marks, 1);
        turns(f, 20);
        if (strcmp(run(f, "return #ran"), cases[i].runs ? "1" : "0") != 0)
            fail_msg("case %zu: it ran %s times", i, run(f, "return #ran"));
        bool ahead = cases[i].looked < 0 && cases[i].looked > -86400;
        assert_in_range(marks.looked - (ahead ? 3600 : 0), now, now + 5);
        teardown((void **)&f);
    }
}

static void no_time_of_day(void **state)
{
    struct fixture *f = *state;
    marks.looked = time(NULL) - 600;
    expect(f, T WORK "timer.start('a', work 'a')", "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 1);
    assert_int_equal(marks.looked, 0); // who declares one later does not make up for this time
}

static void ending(void **state)
{
    struct fixture *f = *state;
    expect(
        f,
        T
        "local function stays(name) return function() "
        "  local over <close> = setmetatable({}, { __close = function() ran[#ran + 1] = name end }) "
        "  ran[#ran + 1] = 'began' "
        "  while true do local ok, e = pcall(task.sleep, 0.001) "
        "    if not ok and name == 'polite' then error(e, 0) end end end end "
        "timer.start('a', stays 'polite') timer.start('b', stays 'killed', true) "
        "timer.every('c', function() ran[#ran + 1] = 'tick' end, 3600)",
        "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 1);
    await(f, 2);
    assert_int_equal(timers_running(f->vm), 2);
    timers_end(f->vm, 20);
    timers_end(f->vm, 1000000);
    assert_int_equal(timers_running(f->vm), 2);
    await(f, 3);
    assert_int_equal(timers_running(f->vm), 1);
    await(f, 4);
    assert_int_equal(timers_running(f->vm), 0);
    expect(f, "return table.concat(ran, ' ')", "began began polite killed");
    timers_begin(f->vm, TIMERS_ALL, &marks, 1); // too late
    turns(f, 10);
    assert_int_equal(timers_running(f->vm), 0);
}

static void what_has_not_begun_does_not_begin(void **state)
{
    struct fixture *f = *state;
    expect(f, T WORK "timer.start('a', work 'a')", "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 1);
    assert_int_equal(timers_running(f->vm), 1);
    timers_end(f->vm, 1000);
    turns(f, 10);
    expect(f, "return #ran", "0");
    assert_int_equal(timers_running(f->vm), 0);
    assert_int_equal(marks.started, 0);
}

static void gone_with_its_vm(void **state)
{
    struct fixture *f = *state; // the teardown does it
    expect(f,
           T "timer.start('a', function() task.sleep(3600) end) timer.every('b', print, 0.001) "
             "timer.daily('c', print, '03:30')",
           "");
    timers_begin(f->vm, TIMERS_ALL, &marks, 1);
    turns(f, 5);
    timers_end(f->vm, 100000);
}

static void bounds(void **state)
{
    struct fixture *f = *state;
    expect(f,
           T WORK "for i = 1, 64 do assert(timer.start('a', print)) end "
                  "assert(timer.start('own', print, true)) return timer.start('a', print)",
           "nil,there are 64 of them already");
    expect(
        f,
        T
        "for i = 66, 1000 do assert(timer.every('a', print, 1)) end return timer.every('a', print, 1)",
        "nil,there are 1000 pieces of background work already");
    expect(f, T "return timer.daily('a', print, '24:00')", "nil,no time of day");
    expect(f, T "return pcall(timer.every, 'a', print, 0)",
           "false,bad argument #3 to 'lunette.timer.every' (a millisecond at least)");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup_timers, teardown)
    const struct CMUnitTest tests[] = {
        WITH(share_by_share),
        WITH(taken_over),
        WITH(other_scripts_begin_anew),
        cmocka_unit_test(times_of_day),
        WITH(no_time_of_day),
        WITH(ending),
        WITH(what_has_not_begun_does_not_begin),
        WITH(gone_with_its_vm),
        WITH(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

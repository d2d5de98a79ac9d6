// lunette.task: sleep, spawn, all, timeout.
#include "script_test.h"

// What must have begun, or must be over, is waited for by turns of the loop, never by a short sleep:
// on a busy machine a millisecond is over before a spawned function has its first turn.
#define T "local t = require 'lunette.task' "
#define TURNS "local function turns(n) for _ = 1, n do t.sleep(0) end end "
#define SLOW \
    "local log = {} local function slow(s, v) return function() t.sleep(s) log[#log + 1] = v return v end end "

static void sleeping(void **state)
{
    static const struct story stories[] = {
        {T "return t.sleep(0), t.sleep(0.01), t.sleep '5ms'", "nil,nil"},
        {T "return select('#', t.sleep(0))", "0"},
        {T "return pcall(t.sleep, 0.001)", "true"},
        {T "return coroutine.wrap(function() t.sleep(0.001) return 'in' end)()", "in"},
        {T
         "local x = setmetatable({}, {__index = function() t.sleep(0.001) return 'meta' end}) return x.y",
         "meta"},
        {T
         "local s do local x <close> = setmetatable({}, {__close = function() t.sleep(0.001) s = 'closed' end}) end return s",
         "closed"},
        {T "t.sleep(-1)",
         "error: t:1: bad argument #1 to 'sleep' (a duration expected: seconds, or \"250ms\", \"30s\", \"5m\", \"2h\")"},
        {T "table.sort({1, 2}, function() t.sleep(0) end)",
         "error: t:1: cannot wait inside table.sort"},
        {T "table.sort({1, 2}, function() t.sleep(1) end)",
         "error: t:1: cannot wait inside table.sort"},
    };
    tell(*state, stories);
}

static void sleeping_takes_its_time(void **state)
{
    struct fixture *f = *state;
    loop_update_time(f->loop);
    uint64_t begin = loop_now(f->loop);
    expect(f, T "t.sleep(0.03) return 1", "1");
    loop_update_time(f->loop);
    assert_in_range(loop_now(f->loop) - begin, 29, 2000);
}

static void spawning(void **state)
{
    static const struct story stories[] = {
        {T "return t.spawn(function(...) return ... end, 1, nil, 3):join()", "1,nil,3"},
        {T
         "local h = t.spawn(function() t.sleep(0.005) return 'late' end) return h:join(), h:join()",
         "late,late"},
        {T "return t.spawn(function() return coroutine.wrap(wait)(7) end):join()", "7"},
        {T
         "local began local h = t.spawn(function() began = true end) local before = began h:join() return before, began",
         "nil,true"},
        {T "return pcall(function() t.spawn(function() error('e') end):join() end)",
         "false,t:1: e"},
        {T "return pcall(function() t.spawn(function() wait() error({}) end):join() end) == false",
         "true"},
        {T "local h = t.spawn(error, 'x') return pcall(h.join, h), pcall(h.join, h)",
         "false,false,x"},
        {T
         "local a = t.spawn(t.sleep, 0.002) local b = t.spawn(function() return a:join(), 'b' end) local c = t.spawn(function() return a:join(), 'c' end) return b:join(), c:join()",
         "nil,nil,c"},
        {T "local h h = t.spawn(function() return pcall(h.join, h) end) return h:join()",
         "false,a task cannot join itself"},
        {T "local h = t.spawn(wait) return h.join()",
         "error: t:1: call with a colon: handle:join()"},
        {T "local h = t.spawn(wait) h.cancel({})",
         "error: t:1: call with a colon: handle:cancel()"},
        {T "t.spawn(1)", "error: t:1: bad argument #1 to 'spawn' (function expected, got number)"},
        {T "local h = t.spawn(wait) return pcall(table.sort, {1, 2}, function() h:join() end)",
         "false,t:1: cannot wait inside table.sort"},
        // a long chain of joins unwinds turn by turn, not on the C stack
        {T
         "local h = t.spawn(t.sleep, 0.001) for i = 1, 1500 do local g = h h = t.spawn(function() g:join() return i end) end return h:join()",
         "1500"},
        {T
         "local function tree(n) if n == 0 then return 1 end local a, b = t.spawn(tree, n - 1), t.spawn(tree, n - 1) return a:join() + b:join() end return tree(8)",
         "256"},
        {T
         "local hs, s = {}, 0 for i = 1, 200 do hs[i] = t.spawn(function() t.sleep(0) return i end) end for i, h in ipairs(hs) do s = s + h:join() end return s",
         "20100"},
        {T
         "local h = t.spawn(function() return table.unpack({}, 1, 5000) end) return select('#', h:join())",
         "5000"},
    };
    tell(*state, stories);
}

static void cancelling(void **state)
{
    static const struct story stories[] = {
        {T "local h = t.spawn(t.sleep, 60) t.sleep(0) h:cancel() return pcall(h.join, h)",
         "false,cancelled"},
        {T
         "local ran local h = t.spawn(function() ran = true end) h:cancel() return pcall(h.join, h), ran",
         "false,nil"},
        {T
         "local h = t.spawn(function() return pcall(t.sleep, 60) end) t.sleep(0) h:cancel() h:cancel() return h:join()",
         "false,cancelled"},
        {T
         "local s local h = t.spawn(function() local x <close> = setmetatable({}, {__close = function() t.sleep(0.001) s = 'closed' end}) t.sleep(60) end) t.sleep(0) h:cancel() pcall(h.join, h) return s",
         "closed"},
        {T "local h = t.spawn(function() return 1 end) t.sleep(0) h:cancel() return h:join()", "1"},
        // the join itself is cancelled, what it waits for is not
        {T
         "local a = t.spawn(function() t.sleep(0.01) return 'a' end) local b = t.spawn(function() return a:join() end) t.sleep(0) b:cancel() return pcall(b.join, b), a:join()",
         "false,a"},
        {T
         "local h h = t.spawn(function() h:cancel() return pcall(t.sleep, 60) end) return h:join()",
         "false,cancelled"},
    };
    tell(*state, stories);
}

static void all_of_them(void **state)
{
    static const struct story stories[] = {
        {T SLOW TURNS
         "local r = t.all{function() turns(5) log[#log + 1] = 'a' return 'a' end, slow(0, 'b'), function() return 'c', 'd' end} return #r, r[1], r[2], r[3], log[1]",
         "3,a,b,c,b"},
        {T "return #t.all{}", "0"},
        {T "local r = t.all{function() end, function() return 2 end} return r[1], r[2]", "nil,2"},
        {T SLOW TURNS
         "local ok, e = pcall(t.all, {slow(60, 1), function() t.sleep(0) error('e', 0) end, function() turns(5) log[1] = 2 end}) turns(10) return ok, e, #log",
         "false,e,0"},
        {T SLOW
         "local ok, e = pcall(t.all, {function() error('first', 0) end, function() error('second', 0) end}) return e",
         "first"},
        {T
         "local r local h = t.spawn(t.all, {function() r = {} r = {pcall(t.sleep, 60)} end}) while not r do t.sleep(0) end h:cancel() pcall(h.join, h) t.sleep(0) return r[1], r[2]",
         "false,cancelled"},
        {T "t.all{wait, 1}", "error: t:1: task.all: item 2 is a number, not a function"},
        {T "t.all()", "error: t:1: bad argument #1 to 'all' (table expected, got no value)"},
        {T "return coroutine.wrap(function() return t.all{function() return wait(3) end}[1] end)()",
         "3"},
        {T "return pcall(table.sort, {1, 2}, function() t.all{wait} end)",
         "false,t:1: cannot wait inside table.sort"},
    };
    tell(*state, stories);
}

static void timeouts(void **state)
{
    static const struct story stories[] = {
        {T "return t.timeout(5, function() return 1, 2 end)", "1,2"},
        {T "return t.timeout(5, wait, 3, 4)", "3,4"},
        {T "return t.timeout(0.005, function() t.sleep(60) end)", "nil,timeout"},
        {T
         "local why repeat t.timeout('5ms', function() why = select(2, pcall(t.sleep, 60)) end) t.sleep(0) until why return why",
         "timeout"},
        {T "return pcall(t.timeout, 5, error, 'e')", "false,e"},
        {T "return t.timeout(5, t.timeout, 0.002, t.sleep, 60)", "nil,timeout"},
        {T
         "local r local h = t.spawn(t.timeout, 60, function() r = {} r = {pcall(t.sleep, 60)} end) while not r do t.sleep(0) end h:cancel() pcall(h.join, h) t.sleep(0) return r[1], r[2]",
         "false,cancelled"},
        {T "t.timeout(1)",
         "error: t:1: bad argument #2 to 'timeout' (function expected, got no value)"},
        {T "return pcall(table.sort, {1, 2}, function() t.timeout(1, wait) end)",
         "false,t:1: cannot wait inside table.sort"},
    };
    tell(*state, stories);
}

static void what_nobody_joins_is_logged(void **state)
{
    struct fixture *f = *state;
    char text[4096];
    logged(f, T "t.spawn(function() error('unheard') end) t.sleep(0)", text, sizeof text);
    assert_non_null(strstr(text, "error "));
    assert_non_null(strstr(text, "a spawned function failed: t:1: unheard\n\tstack traceback:"));
    assert_non_null(strstr(text, "t:1: in function <t:1>"));
    assert_non_null(strstr(text, "\n\tspawned: function <t:1>\n"));
    logged(f, T "t.spawn(function() return error('in a tail call', 0) end) t.sleep(0)", text,
           sizeof text);
    assert_non_null(strstr(text, "in a tail call\n"));
    assert_non_null(strstr(text, "\n\tspawned: function <t:1>\n"));
    logged(f, T "local h = t.spawn(function() error('heard') end) pcall(h.join, h)", text,
           sizeof text);
    assert_string_equal(text, "");
    logged(f, T "local h = t.spawn(t.sleep, 60) t.sleep(0) h:cancel() t.sleep(0)", text,
           sizeof text);
    assert_string_equal(text, "");
    logged(
        f,
        T
        "local h = t.spawn(function() pcall(t.sleep, 60) error('in closing') end) t.sleep(0) h:cancel() t.sleep(0)",
        text, sizeof text);
    assert_non_null(strstr(text, "in closing"));
    logged(
        f,
        T
        "t.spawn(error, setmetatable({}, {__tostring = function() error('twice') end})) t.sleep(0)",
        text, sizeof text);
    assert_non_null(strstr(text, "a spawned function failed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(sleeping),
        BOTH(sleeping_takes_its_time),
        BOTH(spawning),
        BOTH(cancelling),
        BOTH(all_of_them),
        BOTH(timeouts),
        BOTH(what_nobody_joins_is_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

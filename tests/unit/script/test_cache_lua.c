// lunette.cache in Lua: values and what they come back as, misuse, and fetch over the coroutines of
// one worker.
#include "script_test.h"

#include "../content/tended.h"

#include "base/log.h"
#include "content/cache_client.h"

#define C "local c, t = require 'lunette.cache', require 'lunette.task' "

// The fixture's vm with a cache, of which its worker is the number 0 of 2.
static struct cache *cache;
static struct cache_client *client;

static int setup_cache(void **state)
{
    setup(state);
    struct fixture *f = *state;
    vm_free(f->vm);
    cache = cache_new(8 << 20, 2);
    assert_non_null(cache);
    client = cache_client_new(cache, 0, f->loop);
    assert_non_null(client);
    open_vm(f, (struct vm_options){
                   .memory = 64 << 20, .request_memory = 16 << 20, .dev = true, .cache = client});
    return 0;
}

static int setup_collecting_cache(void **state)
{
    setup_cache(state);
    ((struct fixture *)*state)->collect = true;
    return 0;
}

static int teardown_cache(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    assert_null(cache_check(cache));
    struct cache_stats s;
    cache_stats(cache, &s);
    assert_int_equal(s.filling, 0); // whatever became of the callers
    cache_client_free(client);
    cache_free(cache);
    open_vm(f, (struct vm_options){.dev = true}); // teardown's to free
    return teardown(state);
}

static void values_come_back_as_they_were(void **state)
{
    static const struct story stories[] = {
        {C "return c.get 'k'", "nil"},
        {C "return c.set('k', 'text'), c.get 'k'", "true,text"},
        {C "c.set('k', '') return #c.get 'k'", "0"},
        {C "c.set('k', 'a\\0b') return #c.get 'k'", "3"},
        {C "c.set('k', 5) return c.get 'k', math.type(c.get 'k')", "5,integer"},
        {C "c.set('k', 5.0) return c.get 'k', math.type(c.get 'k')", "5.0,float"},
        {C "c.set('k', math.mininteger) return c.get 'k' == math.mininteger", "true"},
        {C "c.set('k', 0/0) local v = c.get 'k' return v ~= v", "true"},
        {C "c.set('k', math.huge) return c.get 'k'", "inf"},
        {C "c.set('k', true) c.set('l', false) return c.get 'k', c.get 'l'", "true,false"},
        {C "c.set('k', {1, 2.5, {x = 'y'}}) local v = c.get 'k' return v[1], v[2], v[3].x",
         "1,2.5,y"},
        {C "c.set('k', {}) local a, b = c.get 'k', c.get 'k' return type(a), a ~= b", "table,true"},
        {C
         "local j = require 'lunette.json' c.set('k', {a = j.null, b = j.array{}}) local v = c.get 'k' return v.a == j.null, j.encode(v.b)",
         "true,[]"},
        {C "c.set('k', ('x'):rep(2^20)) return #c.get 'k'", "1048576"},
        {C "c.set('a', 1) c.set('b', 2) c.clear() return c.get 'a', c.get 'b', c.stats().entries",
         "nil,nil,0"},
        {C "c.clear() return c.add('k', 1), c.add('k', 2), c.get 'k'", "true,false,1"},
        {C "c.set('k', 1) return c.delete 'k', c.delete 'k'", "true,false"},
    };
    tell(*state, stories);
}

static void values_have_their_time(void **state)
{
    static const struct story stories[] = {
        {C "c.set('k', 1) return c.ttl 'k', c.ttl 'none'", "inf,nil"},
        {C "c.set('k', 1, 0) return c.ttl 'k'", "inf"},
        {C "c.set('k', 1, 60) local l = c.ttl 'k' return l > 59 and l <= 60", "true"},
        {C "c.set('k', 1, '1h') return math.ceil(c.ttl 'k')", "3600"},
        {C "c.set('k', 1, '20ms') t.sleep '30ms' return c.get 'k', c.ttl 'k'", "nil,nil"},
        {C "c.add('a', 1, 60) return math.ceil(c.ttl 'a')", "60"},
    };
    tell(*state, stories);
}

static void counters(void **state)
{
    static const struct story stories[] = {
        {C "return c.incr 'n', c.incr 'n', c.incr('n', 5), c.incr('n', -10), c.get 'n'",
         "1,2,7,-3,-3"},
        {C "return c.incr('f', 0.5), c.incr 'f'", "0.5,1.5"},
        {C "c.set('m', math.maxinteger) return c.incr 'm'",
         "nil,the sum is too large for an integer,ERANGE"},
        {C "c.incr('t', 1, 60) c.incr('t', 1, 9000) return math.ceil(c.ttl 't')", "60"},
        {C "c.set('s', '5') c.incr 's'",
         "error: t:1: cache.incr: what is kept under this key is not a number"},
        {C "c.incr('x', '5')",
         "error: t:1: bad argument #2 to 'incr' (number expected, got string)"},
    };
    tell(*state, stories);
}

static void misuse_raises(void **state)
{
    static const struct story stories[] = {
        {C "c.get(5)", "error: t:1: bad argument #1 to 'get' (a key is a string, not a number)"},
        {C "c.get()", "error: t:1: bad argument #1 to 'get' (a key is a string, not a no value)"},
        {C "c:get 'k'",
         "error: t:1: calling 'get' on bad self (a key expected: call with a dot, cache.get(key))"},
        {C "c.get(('k'):rep(5000))",
         "error: t:1: bad argument #1 to 'get' (a key may have 4096 bytes, not 5000)"},
        {C "c.get('\\0lunette:x')", "error: t:1: bad argument #1 to 'get' (keys that begin with "
                                    "\\0lunette: are lunette's own)"},
        {C "c.set('k')", "error: t:1: cache.set: no value: cache.delete(key) takes one away"},
        {C "c.set('k', nil)", "error: t:1: cache.set: no value: cache.delete(key) takes one away"},
        {C "c.add('k', print)",
         "error: t:1: cache.add: cannot keep a function: a string, a number, a boolean or a table"},
        {C "c.set('k', {a = {1, print}})",
         "error: t:1: cache.set: cannot keep a[2]: a function has no JSON form"},
        {C "c.set('k', 1, 'soon')",
         "error: t:1: bad argument #3 to 'set' (a duration expected: seconds, or \"250ms\", \"30s\", \"5m\", \"2h\")"},
        {C "c.fetch('k', 1)",
         "error: t:1: bad argument #3 to 'fetch' (function expected, got no value)"},
        {C "c.fetch('k', 1, wait, {stael = 1})",
         "error: t:1: bad argument #4 to 'fetch' (unknown option 'stael', did you mean 'stale'?)"},
        {C "c.fetch('k', 1, wait, {stale = -1})",
         "error: t:1: bad argument #4 to 'fetch' (a duration expected: seconds, or \"250ms\", \"30s\", \"5m\", \"2h\")"},
        {C "c.fetch('k', 1, function() return print end)",
         "error: t:1: cache.fetch: cannot keep a function: a string, a number, a boolean or a table"},
        {C "c.set('k', 'old') return c.set('k', ('x'):rep(2^20 + 1))",
         "nil,the value has 1048577 bytes, and the cache takes 1048576,E2BIG"},
        {C "return c.get 'k'", "nil"},
    };
    tell(*state, stories);
}

#define MANY(n, body)                                                                         \
    C "local runs, hs, got = 0, {}, {} for i = 1, " #n " do hs[i] = t.spawn(function() " body \
      " end) end for i, h in ipairs(hs) do local ok, v = pcall(h.join, h) got[#got + 1] = tostring(v) end "

static void fetching(void **state)
{
    static const struct story stories[] = {
        {C "return c.fetch('a', 60, function() return 'made' end), c.get 'a', math.ceil(c.ttl 'a')",
         "made,made,60"},
        {C "return c.fetch('a', 60, error)", "made"},
        {C
         "return c.fetch('b', nil, function() return {x = wait(1)} end).x, c.get 'b'.x, c.ttl 'b'",
         "1,1,inf"},
        {C "return c.fetch('f', 60, function() return false end), c.fetch('f', 60, error)",
         "false,false"},
        {C "return c.fetch('n', 60, function() return nil, 'why', 3 end)", "nil,why,3"},
        {C "return c.fetch('n', 60, function() end)", ""},
        {C "return pcall(c.fetch, 'e', 60, function() error('no', 0) end)", "false,no"},
        {C "return c.fetch('e', 60, function() return 'then' end)", "then"},
        {MANY(
             64,
             "return c.fetch('m', 60, function() runs = runs + 1 t.sleep '20ms' return 'v' .. i end)") "return runs, got[1], got[2], got[64]",
         "1,v1,v1,v1"},
        // each failure passes to one of those who wait
        {MANY(
             5,
             "return c.fetch('p', 60, function() runs = runs + 1 t.sleep '1ms' if i < 3 then error('e' .. i, 0) end return 'v' .. i end)") "return runs, table.concat(got, ' ')",
         "3,e1 e2 v3 v3 v3"},
        {MANY(
             3,
             "return c.fetch('nil', 60, function() runs = runs + 1 t.sleep '1ms' if i < 3 then return nil end return i end)") "return runs, table.concat(got, ' ')",
         "3,nil nil 3"},
        // a value that cannot be kept is everybody's own
        {MANY(
             8,
             "return #c.fetch('large', 60, function() runs = runs + 1 t.sleep '5ms' return ('x'):rep(2^20 + i) end)") "return runs, got[1], got[8]",
         "8,1048577,1048584"},
        {C
         "return coroutine.wrap(function() return c.fetch('w', 60, function() t.sleep '1ms' return 'in' end) end)()",
         "in"},
        {C
         "local co = coroutine.wrap(function() return c.fetch('y', 60, function() return coroutine.yield('out') end) end) return co(), co('back'), c.get 'y'",
         "out,back,back"},
        {C
         "local v table.sort({1, 2}, function(a, b) v = c.fetch('s', 60, function() return 'sorted' end) return a < b end) return v",
         "sorted"},
    };
    tell(*state, stories);
}

#define O C "local o = require 'lunette.cache_own' local k = '\\0lunette:k' o.drop(k) "

static void the_librarys_own_form(void **state)
{
    static const struct story stories[] = {
        {O "o.put(k, 'text', 60, 0) return o.look(k)", "text"},
        {O "o.put(k, 'text', 60, 0) o.drop(k) return o.look(k)", "nil"},
        {O "return o.once(k), o.once(k), o.largest()", "true,false,1048576"},
        {O "o.put('k', 'text', 60, 0)",
         "error: t:1: bad argument #1 to 'put' (a key of the library's expected)"},
        {O "local a = o.stamp(k) o.renew(k) return a == o.stamp(k), o.stamp(k) == o.stamp(k)",
         "false,true"},
        {O "local s, p = o.moment() o.renew(k) return o.since(o.stamp(k), s, p), "
           "o.since(o.stamp(k), o.moment())",
         "false,true"},
        {O "return o.fetch(k, 60, function(passed) return tostring(passed) end), o.look(k)",
         "false,false"},
        // nil: the next fills, and is told; false: nobody waits for the next
        {O
         "local runs = {} "
         "local function fill(n) return o.fetch(k, 60, function(passed) "
         "runs[#runs + 1] = tostring(passed) t.sleep '20ms' if n > 1 then return 'x' end end) end "
         "t.all{ function() fill(1) end, function() fill(2) end, function() fill(3) end } "
         "return table.concat(runs, ' ')",
         "false true"},
        {O "local most, now = 0, 0 "
           "local function fill() return o.fetch(k, 60, function(passed) "
           "now = now + 1 most = math.max(most, now) t.sleep '20ms' now = now - 1 "
           "return false, 10 end) end "
           "t.all{ fill, fill, fill, fill } return most, o.look(k)",
         "3,nil"},
    };
    tell(*state, stories);
}

static void stale_values(void **state)
{
    static const struct story stories[] = {
        {C
         "local function old() return 'old' end "
         "c.fetch('k', '10ms', old, {stale = 60}) t.sleep '15ms' "
         "local h = t.spawn(c.fetch, 'k', 60, function() t.sleep '10ms' return 'new' end) t.sleep(0) "
         "return c.get 'k', c.fetch('k', 60, error), h:join(), c.get 'k', c.stats().stale",
         "nil,old,new,new,1"},
        {C
         "c.fetch('s', '10ms', function() return 'old' end, {stale = '10ms'}) t.sleep '25ms' "
         "local h = t.spawn(c.fetch, 's', 60, function() t.sleep '10ms' return 'new' end) t.sleep(0) "
         "return c.fetch('s', 60, error)",
         "new"},
        // who fills and fails is told; the others have the stale value, and the next one tries
        {C
         "c.fetch('f', '10ms', function() return 'old' end, {stale = 60}) t.sleep '15ms' "
         "return pcall(c.fetch, 'f', 60, function() error('e', 0) end), c.fetch('f', 60, function() return 'new' end)",
         "false,new"},
    };
    tell(*state, stories);
}

static void what_would_wait_for_itself_is_told(void **state)
{
    static const struct story stories[] = {
        {C "return pcall(c.fetch, 'a', 60, function() return c.fetch('a', 60, error) end)",
         "false,t:1: cache.fetch: the fill of 'a' needs its own value"},
        {C
         "return pcall(c.fetch, 'a', 60, function() return c.fetch('b', 60, function() return c.fetch('a', 60, error) end) end)",
         "false,t:1: cache.fetch: the fill of 'a' needs its own value"},
        {C
         "return c.fetch('a', 60, function() return c.fetch('b', 60, function() return 1 end) + 1 end), c.get 'b'",
         "2,1"},
        // two that need each other's: one is told, and the other goes on with its own fn
        {C
         "c.clear() local function f(k, other) return function() t.sleep '5ms' return k .. c.fetch(other, 60, function() t.sleep '1ms' return other .. '!' end) end end "
         "local a, b = t.spawn(c.fetch, 'a', 60, f('a', 'b')), t.spawn(c.fetch, 'b', 60, f('b', 'a')) "
         "local ok, v = pcall(a.join, a) local ok2, v2 = pcall(b.join, b) return ok, v, ok2, v2",
         "true,ab!,false,t:1: cache.fetch: the fill of 'a' needs its own value"},
    };
    tell(*state, stories);
}

static void callers_that_go_end_their_fills(void **state)
{
    static const struct story stories[] = {
        {C "local h = t.spawn(c.fetch, 'k', 60, function() t.sleep(60) end) t.sleep(0) "
           "local w = t.spawn(c.fetch, 'k', 60, function() return 'mine' end) t.sleep '5ms' "
           "local before = c.stats().filling h:cancel() return before, w:join(), c.stats().filling",
         "1,mine,0"},
        {C
         "local h = t.spawn(c.fetch, 'l', 60, function() t.sleep '10ms' return 'made' end) t.sleep(0) "
         "local w = t.spawn(c.fetch, 'l', 60, error) t.sleep(0) w:cancel() "
         "return pcall(w.join, w), h:join()",
         "false,made"},
        {C
         "local co = coroutine.wrap(function() c.fetch('m', 60, coroutine.yield) end) co() co = nil "
         "local before = c.stats().filling collectgarbage() collectgarbage() return before, c.stats().filling",
         "1,0"},
        {C "return t.timeout('5ms', function() c.fetch('o', 60, function() t.sleep(60) end) end)",
         "nil,timeout"},
        {C
         "local h = t.spawn(c.fetch, 'q', 60, function() t.sleep '5ms' return 1 end) t.sleep(0) "
         "return pcall(table.sort, {1, 2}, function() return c.fetch('q', 60, error) end), h:join()",
         "false,1"},
        {C "t.spawn(c.fetch, 'r', 60, function() t.sleep '5ms' return 1 end) t.sleep(0) "
           "table.sort({1, 2}, function() return c.fetch('r', 60, error) end)",
         "error: t:1: cannot wait inside table.sort"},
        {C
         "t.sleep '10ms' local ok, e = pcall(function() table.sort({1, 2}, function() return c.fetch('u', 60, function() t.sleep '1ms' end) end) end) return e, c.stats().filling",
         "t:1: cannot wait inside table.sort,0"},
        // left under way: vm_free ends them
        {C
         "t.spawn(c.fetch, 'z', 60, function() t.sleep(60) end) t.spawn(c.fetch, 'z', 60, error) t.sleep(0) return c.stats().filling",
         "1"},
    };
    tell(*state, stories);
}

static void waiters_hear_of_fills_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct cache_fill fill;
    struct cache_value v = {CACHE_STRING, STR("theirs"), 0, 0};
    assert_int_equal(cache_look(cache, STR("k"), 1, NULL, NULL, &fill), CACHE_FILL);
    start(f, C "return c.fetch('k', 60, error)");
    assert_int_equal(loop_turn(f->loop, 10), 0);
    assert_int_equal(f->ended, 0);
    cache_set(cache, STR("k"), &v);
    cache_fill_end(cache, &fill, true);
    assert_string_equal(finish(f), "theirs");
    assert_int_equal(cache_look(cache, STR("dead"), 1, NULL, NULL, &fill), CACHE_FILL);
    start(f, C "return c.fetch('dead', 60, function() return 'mine' end)");
    cache_worker_died(cache, 1);
    assert_string_equal(finish(f), "mine");
}

static void a_cancel_between_the_waking_and_the_running(void **state)
{
    struct fixture *f = *state;
    struct cache_fill fill;
    assert_int_equal(cache_look(cache, STR("k"), 1, NULL, NULL, &fill), CACHE_FILL);
    struct co *co = start(f, C "return c.fetch('k', 60, function() t.sleep(60) end)");
    co_cancel(co, "gone"); // the wait is over, though it does not run yet
    cache_fill_end(cache, &fill, false);
    assert_string_equal(finish(f), "error: gone");
}

static void without_a_cache_require_says_so(void **state)
{
    expect(*state, "return select(2, pcall(require, 'lunette.cache'))",
           "lunette.cache: there is no cache here");
}

int main(void)
{
    const char *failed;
    struct log_options quiet = {.error = "off", .access = "off"}; // warnings of large values
    if (log_open(&quiet, &failed) != 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_cache, teardown_cache)
#define COLLECTING(name) \
    cmocka_unit_test_setup_teardown(name, setup_collecting_cache, teardown_cache)
    const struct CMUnitTest tests[] = {
        TEST(values_come_back_as_they_were),
        TEST(values_have_their_time),
        TEST(counters),
        TEST(misuse_raises),
        TEST(fetching),
        COLLECTING(fetching),
        TEST(the_librarys_own_form),
        TEST(stale_values),
        TEST(what_would_wait_for_itself_is_told),
        TEST(callers_that_go_end_their_fills),
        TEST(waiters_hear_of_fills_elsewhere),
        TEST(a_cancel_between_the_waking_and_the_running),
        cmocka_unit_test_setup_teardown(without_a_cache_require_says_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Jobs: results, and that each is released exactly once, whatever becomes of who waits for it.
#include "script_test.h"

#include "script/job.h"

#include <semaphore.h>

struct double_job {
    struct job job;
    lua_Integer value;
    bool held, fails;
};

static sem_t begun, gate; // of jobs that are held
static int made, released, stopped;
static int ran; // by threads

static void double_it(struct job *j)
{
    struct double_job *d = (struct double_job *)j;
    if (d->held) {
        sem_post(&begun);
        sem_wait(&gate);
    }
    d->value *= 2;
    __atomic_add_fetch(&ran, 1, __ATOMIC_RELAXED);
}

static int push_double(lua_State *L, struct job *j)
{
    const struct double_job *d = (const struct double_job *)j;
    if (d->fails)
        return luaL_error(L, "it failed");
    lua_pushinteger(L, d->value);
    return 1;
}

static void count_release(struct job *j)
{
    (void)j;
    released++;
}

static void count_stop(struct job *j)
{
    (void)j;
    stopped++;
}

// double(n[, how]) → 2n; how: "held" until the gate opens, "fails" in finish, "here" in no thread.
static int lua_double(lua_State *L)
{
    static const struct job_ops ops = {
        .run = double_it, .finish = push_double, .release = count_release, .stop = count_stop};
    const struct fixture *f = lua_touserdata(L, lua_upvalueindex(1));
    const char *how = luaL_optstring(L, 2, "");
    lua_Integer value = luaL_checkinteger(L, 1);
    struct double_job *d = (struct double_job *)job_push(L, sizeof *d, &ops);
    made++;
    d->value = value;
    d->held = strcmp(how, "held") == 0;
    d->fails = strcmp(how, "fails") == 0;
    if (f->collect)
        lua_gc(L, LUA_GCCOLLECT);
    return strcmp(how, "here") == 0 ? job_run_here(L, &d->job) : job_wait(L, &d->job);
}

static void open_job_vm(struct fixture *f)
{
    open_vm(f, (struct vm_options){.memory = 64 << 20});
    lua_State *L = vm_state(f->vm);
    lua_pushlightuserdata(L, f);
    lua_pushcclosure(L, lua_double, 1);
    lua_setglobal(L, "double");
}

// One thread, so that a held job keeps all others waiting; none: no pool.
static void reopen(struct fixture *f, unsigned threads, unsigned waiting)
{
    vm_free(f->vm);
    pool_free(f->pool);
    f->pool = threads ? pool_new(f->loop, threads, waiting) : NULL;
    open_job_vm(f);
}

static int setup_jobs(void **state)
{
    setup(state);
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    made = released = stopped = ran = 0;
    reopen(*state, 1, 16);
    return 0;
}

static int setup_jobs_collecting(void **state)
{
    setup_jobs(state);
    ((struct fixture *)*state)->collect = true;
    return 0;
}

static int teardown_jobs(void **state)
{
    for (int i = 0; i < 10; i++) // a test that failed may have left threads behind it
        sem_post(&gate);
    teardown(state);
    assert_int_equal(released, made);
    return 0;
}

static void collect(struct fixture *f)
{
    lua_gc(vm_state(f->vm), LUA_GCCOLLECT);
    lua_gc(vm_state(f->vm), LUA_GCCOLLECT);
}

static void jobs_give_their_results(void **state)
{
    static const struct story stories[] = {
        {"return double(4)", "8"},
        {"return pcall(double, 4)", "true,8"},
        {"return double(double(double(1)))", "8"},
        {"return coroutine.wrap(function() coroutine.yield(double(1)) end)()", "2"},
        {"return setmetatable({}, {__index = function(_, n) return double(n) end})[5]", "10"},
        {"return double(1, 'fails')", "error: t:1: it failed"},
        {"return pcall(double, 1, 'fails')", "false,it failed"},
        {"return double(6, 'here')", "12"},
        {"local s = 0 for i = 1, 100 do s = s + double(i) end return s", "10100"},
        {"local t, hs, n = require 'lunette.task', {}, 0"
         " for i = 1, 15 do hs[i] = t.spawn(double, i) end"
         " for _, h in ipairs(hs) do local d = h:join() n = n + d end return n",
         "240"},
    };
    tell(*state, stories);
    assert_int_equal(ran, made);
}

static void a_job_is_released_with_its_results(void **state)
{
    struct fixture *f = *state;
    lua_gc(vm_state(f->vm), LUA_GCSTOP);
    expect(f, "return double(1)", "2");
    assert_int_equal(released, 1); // no collection was needed
}

static void no_thread_begins_where_no_wait_is_possible(void **state)
{
    static const struct story stories[] = {
        {"table.sort({1, 2}, function() return double(1) end)",
         "error: t:1: cannot wait inside table.sort"},
        {"return pcall(string.gsub, 'a', 'a', function() double(1) end)",
         "false,t:1: cannot wait inside string.gsub"},
        {"return double(2)", "4"},
    };
    struct fixture *f = *state;
    tell(f, stories);
    assert_int_equal(ran, 1);
    assert_true(luaL_dostring(vm_state(f->vm), "double(1)"));
    assert_int_equal(ran, 1);
    assert_int_equal(released, made);
}

static void a_job_needs_no_wait_when_it_runs_here(void **state)
{
    struct fixture *f = *state;
    expect(f, "return string.gsub('a', 'a', function() return double(4, 'here') end)", "8,1");
    reopen(f, 0, 0);
    expect(f, "return double(5, 'here')", "10");
    assert_int_equal(released, 2);
}

static void without_a_pool_it_says_so(void **state)
{
    struct fixture *f = *state;
    reopen(f, 0, 0);
    expect(f, "double(1)", "error: t:1: this call needs the server's threads, which are not there");
    assert_int_equal(released, 1);
}

static void a_full_pool_says_so(void **state)
{
    struct fixture *f = *state;
    reopen(f, 1, 1);
    start(f, "double(1, 'held')");
    start(f, "double(2)");
    start(f, "double(3)");
    assert_int_equal(f->ended, 1);
    assert_string_equal(f->result, "error: t:1: too many calls wait for the server's threads");
    assert_int_equal(released, 1); // before it is collected
    collect(f);
    assert_int_equal(released, 1);
    sem_post(&gate);
    for (int turns = 0; f->ended < 3 && turns < 100; turns++)
        loop_turn(f->loop, 20);
    expect(f, "return double(5)", "10");
}

// The phases of a job: waiting for a thread, running, and over before the loop has heard of it.
enum phase { WAITS, RUNS, IS_OVER };

static struct co *reach(struct fixture *f, enum phase phase)
{
    if (phase == WAITS) {
        start(f, "double(0, 'held')");
        sem_wait(&begun);
    }
    struct co *co = start(f, "return pcall(double, 1, 'held')");
    if (phase == WAITS)
        return co;
    sem_wait(&begun);
    if (phase == IS_OVER) {
        sem_post(&gate);
        while (!__atomic_load_n(&ran, __ATOMIC_RELAXED))
            usleep(100);
        usleep(1000); // to the end of its thread's turn
    }
    return co;
}

static void leave(enum phase phase)
{
    if (phase != IS_OVER)
        sem_post(&gate);
}

static void settle(struct fixture *f)
{
    for (int turns = 0; released < made && turns < 100; turns++)
        loop_turn(f->loop, 20);
    collect(f);
    assert_int_equal(released, made);
}

static void a_cancelled_call_raises(void **state)
{
    struct fixture *f = *state;
    for (enum phase phase = WAITS; phase <= IS_OVER; phase++) {
        ran = stopped = 0;
        struct co *co = reach(f, phase);
        co_cancel(co, "gone");
        assert_int_equal(stopped, phase != WAITS); // what no thread has begun is withdrawn
        loop_turn(f->loop, 0); // the coroutine goes on before the thread is done
        assert_string_equal(f->result, "false,gone");
        collect(f);
        leave(phase);
        settle(f);
    }
    expect(f, "return double(21)", "42");
}

static void a_call_cancelled_before_it_waits_begins_nothing(void **state)
{
    struct fixture *f = *state;
    struct co *co = start(f, "pcall(wait) return pcall(double, 1)");
    co_cancel(co, "gone");
    assert_string_equal(finish(f), "true,2"); // the wait has had it
    co = start(f, "wait() local ok, e = pcall(double, 1) return ok, e");
    loop_turn(f->loop, 0);
    settle(f);
}

static void a_killed_call_is_forgotten(void **state)
{
    struct fixture *f = *state;
    for (enum phase phase = WAITS; phase <= IS_OVER; phase++) {
        ran = 0;
        struct co *co = reach(f, phase);
        co_kill(co);
        collect(f);
        leave(phase);
        settle(f);
    }
    expect(f, "return double(21)", "42");
}

static void a_vm_ends_before_its_jobs(void **state)
{
    struct fixture *f = *state;
    for (enum phase phase = WAITS; phase <= IS_OVER; phase++) {
        ran = 0;
        reach(f, phase);
        vm_free(f->vm);
        leave(phase);
        for (int turns = 0; released < made && turns < 100; turns++)
            loop_turn(f->loop, 20);
        assert_int_equal(released, made);
        open_job_vm(f);
    }
    expect(f, "return double(21)", "42");
}

static void vm_and_pool_end_while_a_job_runs(void **state)
{
    struct fixture *f = *state;
    reach(f, WAITS);
    start(f, "double(2)");
    vm_free(f->vm);
    assert_int_equal(released, 2); // those that no thread had begun
    sem_post(&gate);
    pool_free(f->pool);
    assert_int_equal(released, 3);
    assert_int_equal(ran, 1);
    f->pool = NULL;
    open_job_vm(f);
}

// Not the order to take things down in, but one that must not leak either.
static void a_pool_that_goes_first_wakes_nobody_whose_turn_did_not_come(void **state)
{
    struct fixture *f = *state;
    start(f, "double(0, 'held')");
    sem_wait(&begun);
    struct co *co = start(f, "double(2)");
    co_kill(co);
    start(f, "double(3)");
    f->ended = 0;
    sem_post(&gate);
    pool_free(f->pool);
    f->pool = NULL;
    vm_free(f->vm);
    assert_int_equal(released, made);
    open_job_vm(f);
}

int main(void)
{
#define JOBS(test) BOTH_WITH(test, setup_jobs, setup_jobs_collecting, teardown_jobs)
    const struct CMUnitTest tests[] = {
        JOBS(jobs_give_their_results),
        JOBS(a_job_is_released_with_its_results),
        JOBS(no_thread_begins_where_no_wait_is_possible),
        JOBS(a_job_needs_no_wait_when_it_runs_here),
        JOBS(without_a_pool_it_says_so),
        JOBS(a_full_pool_says_so),
        JOBS(a_cancelled_call_raises),
        JOBS(a_call_cancelled_before_it_waits_begins_nothing),
        JOBS(a_killed_call_is_forgotten),
        JOBS(a_vm_ends_before_its_jobs),
        JOBS(vm_and_pool_end_while_a_job_runs),
        JOBS(a_pool_that_goes_first_wakes_nobody_whose_turn_did_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

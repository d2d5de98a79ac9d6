// Token buckets of the cache, with its clock moved by hand, and taken from by several processes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "content/cache.h"

#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    *state = cache_new(CACHE_BYTES_MIN, 4);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    assert_null(cache_check(*state));
    cache_free(*state);
    return 0;
}

// One token in a minute, so that the time a test takes is none.
static const struct cache_rate slow = {.token_ms = 60000, .burst = 3};

static void a_bucket_empties_and_fills(void **state)
{
    struct cache *c = *state;
    struct cache_taken t;
    for (int i = 0; i < 3; i++) {
        t = cache_take(c, STR("a"), &slow, 1);
        assert_true(t.allowed);
        assert_true(t.left > 1.9 - i && t.left < 2.1 - i);
        assert_true(t.wait_ms == 0);
    }
    t = cache_take(c, STR("a"), &slow, 1);
    assert_false(t.allowed);
    assert_true(t.wait_ms > 50000 && t.wait_ms <= 60000);
    assert_true(t.full_ms > 170000 && t.full_ms <= 180000);
    assert_true(cache_take(c, STR("b"), &slow, 1).allowed);
    cache_advance(c, 60000);
    assert_true(cache_take(c, STR("a"), &slow, 1).allowed);
    assert_false(cache_take(c, STR("a"), &slow, 1).allowed);
    cache_advance(c, 1000000); // no more than the burst
    assert_true(cache_take(c, STR("a"), &slow, 3).allowed);
    assert_false(cache_take(c, STR("a"), &slow, 0.5).allowed);
}

static void costs(void **state)
{
    struct cache *c = *state;
    assert_true(cache_take(c, STR("a"), &slow, 0).left == 3); // only looks
    struct cache_stats s;
    cache_stats(c, &s);
    assert_int_equal(s.entries, 0);
    assert_false(cache_take(c, STR("a"), &slow, 4).allowed);
    assert_true(cache_take(c, STR("a"), &slow, 2.5).allowed);
    assert_false(cache_take(c, STR("a"), &slow, 1).allowed);
    assert_true(cache_take(c, STR("a"), &slow, 0.5).allowed);
}

static void what_is_forgotten_is_full(void **state)
{
    struct cache *c = *state;
    assert_true(cache_take(c, STR("a"), &slow, 3).allowed);
    cache_clear(c);
    assert_true(cache_take(c, STR("a"), &slow, 3).allowed);
    struct cache_value other = {CACHE_STRING, STR("no number"), 0, 0};
    assert_int_equal(cache_set(c, STR("a"), &other), CACHE_OK);
    assert_true(cache_take(c, STR("a"), &slow, 3).allowed);
    assert_false(cache_take(c, STR("a"), &slow, 1).allowed);
}

// Fractions of a millisecond add up to what they should.
static void fast_rates(void **state)
{
    static const struct cache_rate fast = {.token_ms = 0.001, .burst = 1e6};
    int got = 0;
    struct cache *c = *state;
    for (int i = 0; i < 1000; i++)
        got += cache_take(c, STR("a"), &fast, 1000).allowed;
    assert_int_equal(got, 1000);
}

static void processes_share_one_bucket(void **state)
{
    enum { PROCESSES = 4, EACH = 200, BURST = 100 };
    static const struct cache_rate rate = {.token_ms = 3600000, .burst = BURST};
    struct cache *c = *state;
    int sum = 0;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            int got = 0;
            for (int n = 0; n < EACH; n++)
                got += cache_take(c, STR("shared"), &rate, 1).allowed;
            _exit(got);
        }
    }
    for (int i = 0, status; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        sum += WEXITSTATUS(status);
    }
    assert_int_equal(sum, BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bucket_empties_and_fills, setup, teardown),
        cmocka_unit_test_setup_teardown(costs, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(fast_rates, setup, teardown),
        cmocka_unit_test_setup_teardown(processes_share_one_bucket, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

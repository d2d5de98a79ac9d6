// Stamps: what they say of values that were made before and after a renewal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "content/cache.h"

#include <stdio.h>

static int setup(void **state)
{
    *state = cache_new(CACHE_BYTES_MIN, 2);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    assert_null(cache_check(*state));
    cache_free(*state);
    return 0;
}

static void a_stamp_stays_until_it_is_renewed(void **state)
{
    struct cache *c = *state;
    uint64_t a = cache_stamp(c, STR("a")), b = cache_stamp(c, STR("b"));
    assert_true(a != b);
    assert_true(cache_stamp(c, STR("a")) == a);
    cache_stamp_renew(c, STR("a"));
    assert_true(cache_stamp(c, STR("a")) != a);
    assert_true(cache_stamp(c, STR("b")) == b);
}

static void renewing_what_has_no_stamp_gives_one(void **state)
{
    struct cache *c = *state;
    struct cache_moment begun = cache_moment(c);
    cache_stamp_renew(c, STR("a"));
    assert_false(cache_stamp_since(c, &begun, cache_stamp(c, STR("a"))));
}

static void a_forgotten_stamp_never_comes_back(void **state)
{
    struct cache *c = *state;
    uint64_t before = cache_stamp(c, STR("a"));
    assert_int_equal(cache_delete(c, STR("a")), CACHE_OK);
    assert_true(cache_stamp(c, STR("a")) > before);
}

static void another_kind_of_value_is_no_stamp(void **state)
{
    struct cache *c = *state;
    struct cache_value v = {.kind = CACHE_STRING, .bytes = STR("longer than a stamp")};
    assert_int_equal(cache_set(c, STR("a"), &v), CACHE_OK);
    uint64_t stamp = cache_stamp(c, STR("a"));
    assert_true(cache_stamp(c, STR("a")) == stamp);
}

static void what_was_begun_before_a_renewal_is_too_old(void **state)
{
    struct cache *c = *state;
    uint64_t known = cache_stamp(c, STR("known"));
    struct cache_moment begun = cache_moment(c);
    // nothing was renewed: any stamp will do, one that was only now made too
    assert_true(cache_stamp_since(c, &begun, known));
    assert_true(cache_stamp_since(c, &begun, cache_stamp(c, STR("new"))));
    // another one was: the known one will still do
    cache_stamp_renew(c, STR("other"));
    assert_true(cache_stamp_since(c, &begun, cache_stamp(c, STR("known"))));
    assert_false(cache_stamp_since(c, &begun, cache_stamp(c, STR("unknown"))));
    cache_stamp_renew(c, STR("known"));
    assert_false(cache_stamp_since(c, &begun, cache_stamp(c, STR("known"))));
    // what is begun now is not
    begun = cache_moment(c);
    assert_true(cache_stamp_since(c, &begun, cache_stamp(c, STR("known"))));
}

static void a_renewal_that_was_forgotten_still_counts(void **state)
{
    struct cache *c = *state;
    cache_stamp(c, STR("a"));
    struct cache_moment begun = cache_moment(c);
    cache_stamp_renew(c, STR("a"));
    cache_delete(c, STR("a")); // as others that need its room would
    assert_false(cache_stamp_since(c, &begun, cache_stamp(c, STR("a"))));
    begun = cache_moment(c);
    cache_clear(c);
    assert_false(cache_stamp_since(c, &begun, cache_stamp(c, STR("a"))));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_stamp_stays_until_it_is_renewed),
        TEST(renewing_what_has_no_stamp_gives_one),
        TEST(a_forgotten_stamp_never_comes_back),
        TEST(another_kind_of_value_is_no_stamp),
        TEST(what_was_begun_before_a_renewal_is_too_old),
        TEST(a_renewal_that_was_forgotten_still_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

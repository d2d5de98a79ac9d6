// Places: limits over all workers, per address, and what is left when a worker goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/places.h"

static struct addr addr(const char *text)
{
    struct addr a;
    const char *why;
    assert_int_equal(addr_parse(str_z(text), &a, &why), 0);
    return a;
}

static void the_total_counts_over_all_workers(void **state)
{
    (void)state;
    struct places p;
    struct addr a = addr("127.0.0.1:1");
    uint32_t slot;
    assert_int_equal(places_init(&p, 2, 3, 0), 0);
    assert_int_equal(places_take(&p, 0, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &a, &slot), PLACES_FULL);
    places_give(&p, 1, slot);
    assert_int_equal(places_take(&p, 0, &a, &slot), PLACES_TAKEN);
    places_fini(&p);
}

static void an_address_has_its_own_limit(void **state)
{
    (void)state;
    struct places p;
    struct addr one = addr("127.0.0.1:1"), two = addr("127.0.0.2:1"), local = addr("unix:/x");
    struct addr six = addr("[2001:db8::1]:1"), same = addr("[2001:db8::ffff:1]:2");
    struct addr other = addr("[2001:db8:0:1::1]:1");
    uint32_t a, b, c;
    assert_int_equal(places_init(&p, 2, 100, 2), 0);
    assert_int_equal(places_take(&p, 0, &one, &a), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &one, &b), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &one, &c), PLACES_FULL_FOR_IP);
    assert_int_equal(places_take(&p, 0, &two, &c), PLACES_TAKEN);
    places_give(&p, 1, b);
    assert_int_equal(places_take(&p, 0, &one, &b), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &six, &c), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &same, &c), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &same, &c), PLACES_FULL_FOR_IP);
    assert_int_equal(places_take(&p, 1, &other, &c), PLACES_TAKEN);
    for (int i = 0; i < 5; i++)
        assert_int_equal(places_take(&p, 0, &local, &c), PLACES_TAKEN);
    places_give(&p, 0, c); // what is not counted clears nobody's place
    assert_int_equal(places_take(&p, 0, &one, &c), PLACES_FULL_FOR_IP);
    struct addr loop = addr("[::1]:1");
    assert_int_equal(places_take(&p, 0, &loop, &c), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &loop, &c), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &loop, &c), PLACES_FULL_FOR_IP);
    places_fini(&p);
}

static void a_dead_worker_leaves_its_places(void **state)
{
    (void)state;
    struct places p;
    struct addr a = addr("127.0.0.1:1");
    uint32_t slot;
    assert_int_equal(places_init(&p, 2, 2, 2), 0);
    assert_int_equal(places_take(&p, 0, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 0, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &a, &slot), PLACES_FULL);
    places_reset(&p, 0);
    assert_int_equal(places_take(&p, 1, &a, &slot), PLACES_TAKEN);
    assert_int_equal(places_take(&p, 1, &a, &slot), PLACES_TAKEN);
    places_fini(&p);
}

static void who_has_more_names_who_has_the_fewest(void **state)
{
    static const struct {
        uint32_t open[3];
        unsigned asked, answer;
    } rows[] = {
        {{0, 0, 0}, 0, 0}, {{2, 0, 0}, 0, 0},    {{3, 0, 0}, 0, 1},    {{3, 1, 0}, 0, 2},
        {{0, 3, 0}, 0, 0}, {{33, 28, 40}, 0, 0}, {{34, 28, 40}, 0, 1}, {{34, 28, 40}, 2, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct places p;
        assert_int_equal(places_init(&p, 3, 100, 0), 0);
        for (int k = 0; k < 3; k++)
            p.open[k] = rows[i].open[k];
        assert_int_equal(places_fewest(&p, rows[i].asked), rows[i].answer);
        places_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_total_counts_over_all_workers),
        cmocka_unit_test(an_address_has_its_own_limit),
        cmocka_unit_test(a_dead_worker_leaves_its_places),
        cmocka_unit_test(who_has_more_names_who_has_the_fewest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

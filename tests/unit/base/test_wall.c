// The wall clock: the system's, unless it stands.
#include "base/wall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// after the above
#include <cmocka.h>

static void test_it_is_the_systems(void **state)
{
    struct timespec before, after, now;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &before);
    now = wall_now();
    clock_gettime(CLOCK_REALTIME, &after);
    assert_in_range(now.tv_sec, before.tv_sec, after.tv_sec);
}

static void test_it_stands_until_it_runs_again(void **state)
{
    (void)state;
    struct timespec system;
    wall_stand(&(struct timespec){1000, 250});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wall_now().tv_sec, 1000);
        assert_int_equal(wall_now().tv_nsec, 250);
    }
    wall_stand(NULL);
    clock_gettime(CLOCK_REALTIME, &system);
    assert_true(wall_now().tv_sec >= system.tv_sec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_the_systems),
        cmocka_unit_test(test_it_stands_until_it_runs_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

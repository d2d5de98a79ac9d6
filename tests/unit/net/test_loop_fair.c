// Who is slow goes last: loop_be_fair, by a clock that only the calls themselves move.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_test.h"

static long clock_us;

int __wrap_clock_gettime(clockid_t id, struct timespec *t); // by the linker, see the Makefile
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    (void)id;
    *t = (struct timespec){clock_us / 1000000, clock_us % 1000000 * 1000};
    return 0;
}

enum { WATCHES = 12, BRISK_US = 90 };
static struct watch paced[WATCHES];
static int paced_fds[WATCHES];

static void spin(unsigned us)
{
    clock_us += us;
}

static void be_quick(struct watch *w, uint32_t events)
{
    (void)events;
    note((char)('a' + (w - paced)));
}

static void be_slow(struct watch *w, uint32_t events)
{
    (void)events;
    note((char)('A' + (w - paced)));
    spin(3 * LOOP_SLOW_US);
}

// Takes its time, and is not slow.
static void be_brisk(struct watch *w, uint32_t events)
{
    be_quick(w, events);
    spin(BRISK_US);
}

// A letter each, in order: capitals are slow.
static void pace(const char *kinds)
{
    for (int i = 0; i < WATCHES; i++)
        paced[i].fd = -1;
    for (int i = 0; kinds[i]; i++) {
        watch_fn *fn = kinds[i] == 'S' ? be_slow : kinds[i] == 'b' ? be_brisk : be_quick;
        paced_fds[i] = ready_fd();
        assert_int_equal(loop_add(loop, &paced[i], paced_fds[i], EPOLLIN, fn), 0);
        loop_be_fair(&paced[i]);
    }
}

static void unpace(void)
{
    for (int i = 0; i < WATCHES; i++) {
        if (paced[i].fd < 0)
            continue;
        loop_del(loop, &paced[i]);
        close(paced_fds[i]);
    }
}

static const char *turn(void)
{
    memset(trace, 0, sizeof trace);
    assert_int_equal(loop_turn(loop, 0), 0);
    return trace;
}

static void slow_watches_go_last_and_one_a_turn(void **state)
{
    (void)state;
    pace("SqSqSq");
    assert_string_equal(turn(), "AbCdEf"); // nothing is known yet
    assert_string_equal(turn(), "AbCdEf"); // it took long: measured from here on
    assert_string_equal(turn(), "bdfA");
    assert_string_equal(turn(), "bdfC");
    assert_string_equal(turn(), "bdfE");
    assert_string_equal(turn(), "bdfA");
    loop_del(loop, &paced[2]);
    close(paced_fds[2]);
    assert_string_equal(turn(), "bdfE");
    unpace();
}

static void a_slow_one_that_became_quick_is_one_of_the_others(void **state)
{
    (void)state;
    pace("SqS");
    turn();
    turn();
    assert_string_equal(turn(), "bA");
    paced[0].fn = be_quick;
    assert_string_equal(turn(), "bC");
    assert_string_equal(turn(), "ba"); // as a slow one for the last time
    assert_string_equal(turn(), "abC");
    unpace();
}

static void slow_ones_alone_share_a_turn(void **state)
{
    (void)state;
    pace("SSSSSS");
    turn();
    turn();
    assert_string_equal(turn(),
                        "ABCD"); // three of 300 µs are less than a millisecond, four are more
    assert_string_equal(turn(), "EFAB"); // whom it left out goes first
    assert_string_equal(turn(), "CDEF");
    unpace();
}

// Half of the time that the others take is room for more than one.
static void slow_ones_do_not_starve_behind_many_others(void **state)
{
    (void)state;
    pace("SSSSbbbbbbbb");
    turn();
    turn();
    assert_string_equal(turn(), "efghijklAB"); // 300 µs of 360 are over, and then 600
    assert_string_equal(turn(), "efghijklCD");
    assert_string_equal(turn(), "efghijklAB");
    for (int i = 6; i < WATCHES; i++)
        paced[i].fn = be_quick;
    assert_string_equal(turn(),
                        "efghijklC"); // 90 µs are room for none, and one is called all the same
    unpace();
}

static void end_itself(struct watch *w, uint32_t events)
{
    (void)events;
    note('x');
    spin(3 * LOOP_SLOW_US);
    loop_del(loop, w);
    memset(w, 0xff, sizeof *w); // its memory is somebody else's
    w->fd = -1;
}

static void end_the_slow_one(struct watch *w, uint32_t events)
{
    (void)events;
    note((char)('a' + (w - paced)));
    loop_del(loop, &paced[0]);
}

static void a_slow_one_may_end_at_any_time(void **state)
{
    (void)state;
    pace("SqS");
    turn();
    turn();
    assert_string_equal(turn(), "bA");
    paced[1].fn = end_the_slow_one;
    assert_string_equal(turn(), "bC"); // struck out of the turn it was reported in
    close(paced_fds[0]);
    paced[1].fn = be_quick;
    paced[2].fn = end_itself;
    assert_string_equal(turn(), "bx");
    close(paced_fds[2]);
    assert_string_equal(turn(), "b");
    unpace();
}

static void who_is_not_to_be_fair_goes_in_its_place(void **state)
{
    (void)state;
    pace("qq");
    paced_fds[2] = ready_fd();
    assert_int_equal(loop_add(loop, &paced[2], paced_fds[2], EPOLLIN, be_slow), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(strlen(turn()), 3);
    unpace();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slow_watches_go_last_and_one_a_turn),
        TEST(a_slow_one_that_became_quick_is_one_of_the_others),
        TEST(slow_ones_alone_share_a_turn),
        TEST(slow_ones_do_not_starve_behind_many_others),
        TEST(a_slow_one_may_end_at_any_time),
        TEST(who_is_not_to_be_fair_goes_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

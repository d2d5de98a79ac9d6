// The loop over pipes and event descriptors: order within a turn, and removal in the middle of one.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_test.h"
#include "net/timeout.h"

static void note_in(struct watch *w, uint32_t events)
{
    (void)w;
    note(events == EPOLLIN ? 'i' : events == EPOLLOUT ? 'o' : events & EPOLLHUP ? 'h' : '?');
}

static void watches_follow_what_is_asked(void **state)
{
    (void)state;
    struct watch w;
    int fd = ready_fd();
    assert_int_equal(loop_add(loop, &w, fd, EPOLLIN, note_in), 0);
    loop_turn(loop, 0);
    loop_turn(loop, 0); // level-triggered
    assert_int_equal(loop_mod(loop, &w, EPOLLOUT), 0);
    loop_turn(loop, 0);
    assert_int_equal(loop_mod(loop, &w, 0), 0);
    loop_turn(loop, 0);
    loop_del(loop, &w);
    loop_del(loop, &w);
    assert_int_equal(w.fd, -1);
    loop_turn(loop, 0);
    assert_string_equal(trace, "iio");
    close(fd);
}

static void turns_are_counted(void **state)
{
    (void)state;
    uint64_t before = loop_turns(loop);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(loop_turn(loop, 0), 0);
        assert_int_equal(loop_turns(loop), before + i);
    }
}

static void hangup_comes_unasked(void **state)
{
    (void)state;
    int fds[2];
    struct watch w;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(loop_add(loop, &w, fds[0], 0, note_in), 0);
    close(fds[1]);
    loop_turn(loop, 0);
    assert_string_equal(trace, "h");
    loop_del(loop, &w);
    close(fds[0]);
}

static void a_refused_watch_is_in_no_loop(void **state)
{
    (void)state;
    char name[] = "/tmp/test_loop.XXXXXX";
    int fd = mkstemp(name); // regular files cannot be watched
    unlink(name);
    struct watch w;
    assert_int_equal(loop_add(loop, &w, fd, EPOLLIN, note_in), -EPERM);
    assert_int_equal(w.fd, -1);
    loop_del(loop, &w);
    close(fd);
}

// Two watches of which whichever runs first removes the other.
static struct watch pair[2];
static int third_fd;
static bool reuse;

static void remove_other(struct watch *w, uint32_t events)
{
    (void)events;
    struct watch *other = w == &pair[0] ? &pair[1] : &pair[0];
    note('r');
    int fd = other->fd;
    loop_del(loop, other);
    // The same memory for another descriptor, within the turn: the old event is not its.
    if (reuse)
        assert_int_equal(loop_add(loop, other, third_fd, EPOLLOUT, note_in), 0);
    close(fd);
}

static void removal_within_a_turn(void **state)
{
    (void)state;
    int fds[2] = {ready_fd(), ready_fd()};
    third_fd = ready_fd();
    for (int i = 0; i < 2; i++)
        loop_add(loop, &pair[i], fds[i], EPOLLIN, remove_other);
    reuse = *(bool *)*state;
    loop_turn(loop, 0);
    assert_string_equal(trace, "r");
    for (int i = 0; i < 2; i++) {
        int fd = pair[i].fd;
        loop_del(loop, &pair[i]);
        if (fd >= 0 && fd != third_fd)
            close(fd);
    }
    close(third_fd);
}

static void stop_wanting(struct watch *w, uint32_t events)
{
    (void)events;
    note('m');
    assert_int_equal(loop_mod(loop, w == &pair[0] ? &pair[1] : &pair[0], 0), 0);
}

static void what_mod_took_out_does_not_come_in_the_same_turn(void **state)
{
    (void)state;
    int fds[2] = {ready_fd(), ready_fd()};
    for (int i = 0; i < 2; i++)
        loop_add(loop, &pair[i], fds[i], EPOLLIN, stop_wanting);
    loop_turn(loop, 0);
    assert_string_equal(trace, "m");
    for (int i = 0; i < 2; i++) {
        loop_del(loop, &pair[i]);
        close(fds[i]);
    }
}

// Deferred calls

struct call {
    struct deferred d;
    char letter;
    struct call *defers, *undefers;
};

static void run_call(struct deferred *d)
{
    struct call *c = (struct call *)d;
    note(c->letter);
    if (c->defers)
        loop_defer(loop, &c->defers->d);
    if (c->undefers)
        loop_undefer(loop, &c->undefers->d);
}

#define CALL(c)                         \
    {                                   \
        .d.fn = run_call, .letter = (c) \
    }

static void deferred_calls_run_once_in_order(void **state)
{
    (void)state;
    struct call a = CALL('a'), b = CALL('b'), c = CALL('c');
    loop_defer(loop, &a.d);
    loop_defer(loop, &b.d);
    loop_defer(loop, &a.d);
    loop_defer(loop, &c.d);
    loop_undefer(loop, &c.d); // the last one: the next goes behind b
    loop_undefer(loop, &c.d);
    loop_defer(loop, &c.d);
    loop_undefer(loop, &b.d);
    assert_string_equal(trace, "");
    loop_turn(loop, -1); // does not wait
    assert_string_equal(trace, "ac");
    loop_turn(loop, 0);
    assert_string_equal(trace, "ac");
}

static void a_call_deferred_by_a_deferred_call_runs_in_the_next_turn(void **state)
{
    (void)state;
    struct call a = CALL('a');
    a.defers = &a;
    loop_defer(loop, &a.d);
    loop_turn(loop, -1);
    assert_string_equal(trace, "a");
    a.defers = NULL;
    loop_turn(loop, -1);
    assert_string_equal(trace, "aa");
}

static void undefer_within_the_run(void **state)
{
    (void)state;
    struct call b = CALL('b'), c = CALL('c');
    struct call a = {.d.fn = run_call, .letter = 'a', .defers = &c, .undefers = &b};
    loop_defer(loop, &a.d);
    loop_defer(loop, &b.d);
    loop_turn(loop, -1);
    assert_string_equal(trace, "a");
    loop_turn(loop, -1);
    assert_string_equal(trace, "ac");
}

// Turns

static struct call late = CALL('d');

static void watch_part(struct watch *w, uint32_t events)
{
    (void)w;
    (void)events;
    note('w');
    loop_stop(loop);
    loop_defer(loop, &late.d);
}

static void timeout_part(struct timeout *t)
{
    (void)t;
    note('t');
}

static void end_part(void *arg)
{
    note(*(char *)arg);
}

static void a_turn_has_its_order_and_stop_lets_it_end(void **state)
{
    (void)state;
    struct watch w;
    struct timeout t;
    char end = 'e';
    int fd = ready_fd();
    timeout_init(&t, timeout_part);
    timeout_set(loop, &t, 1);
    usleep(2000);
    loop_add(loop, &w, fd, EPOLLIN, watch_part);
    loop_at_turn_end(loop, end_part, &end);
    assert_int_equal(loop_run(loop), 0);
    assert_string_equal(trace, "wtde");
    assert_int_equal(loop_run(loop),
                     0); // the stop was used up: this one is stopped by the watch again
    assert_string_equal(trace, "wtdewde");
    loop_stop(loop);
    assert_int_equal(loop_run(loop), 0);
    assert_string_equal(trace, "wtdewde");
    loop_del(loop, &w);
    close(fd);
}

static void on_alarm(int sig)
{
    (void)sig;
}

static void a_signal_ends_the_wait_not_the_loop(void **state)
{
    (void)state;
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    ualarm(20000, 0);
    assert_int_equal(loop_turn(loop, 5000), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 4);
}

static void clocks(void **state)
{
    (void)state;
    uint64_t before = loop_now(loop);
    usleep(20000);
    assert_true(loop_now(loop) == before); // read once a turn
    loop_update_time(loop);
    assert_true(loop_now(loop) >= before + 20);
    assert_true(labs(loop_wall(loop) - time(NULL)) <= 1);
    usleep(5000);
    before = loop_now(loop);
    loop_turn(loop, 0);
    assert_true(loop_now(loop) >= before + 5);
}

static unsigned calls;

static void count_in(struct watch *w, uint32_t events)
{
    (void)w;
    (void)events;
    calls++;
}

static void more_events_than_one_turn_takes(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static struct watch many[COUNT];
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = ready_fd();
        assert_int_equal(loop_add(loop, &many[i], fds[i], EPOLLIN, count_in), 0);
    }
    loop_turn(loop, 0);
    assert_int_equal(calls, 256);
    loop_turn(loop, 0); // those that are left come first
    assert_int_equal(calls, 512);
    for (int i = 0; i < COUNT; i++) {
        loop_del(loop, &many[i]);
        close(fds[i]);
    }
    loop_turn(loop, 0);
    assert_int_equal(calls, 512);
}

int main(void)
{
    static bool no = false, yes = true;
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_WITH(f, arg)           \
    {                               \
#f, f, setup, teardown, arg \
    }
    const struct CMUnitTest tests[] = {
        TEST(watches_follow_what_is_asked),
        TEST(turns_are_counted),
        TEST(hangup_comes_unasked),
        TEST(a_refused_watch_is_in_no_loop),
        TEST_WITH(removal_within_a_turn, &no),
        TEST_WITH(removal_within_a_turn, &yes),
        TEST(what_mod_took_out_does_not_come_in_the_same_turn),
        TEST(deferred_calls_run_once_in_order),
        TEST(a_call_deferred_by_a_deferred_call_runs_in_the_next_turn),
        TEST(undefer_within_the_run),
        TEST(a_turn_has_its_order_and_stop_lets_it_end),
        TEST(a_signal_ends_the_wait_not_the_loop),
        TEST(clocks),
        TEST(more_events_than_one_turn_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Timeouts: their order, lazy moves, and a long random run against a plain array.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop_inside.h"

// No real loop: a heap and a clock that the test moves.
struct loop {
    struct timeouts timeouts;
    uint64_t now;
};

static struct loop fake;

struct timeouts *loop_timeouts(struct loop *l)
{
    return &l->timeouts;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

struct alarm {
    struct timeout t;
    uint64_t fired_at; // 0: not yet
    unsigned fired;
    struct alarm *removes;
    uint64_t again; // sets itself by that many milliseconds
};

static uint64_t last_due;

static void ring(struct timeout *t)
{
    struct alarm *a = (struct alarm *)t;
    assert_false(t->armed);
    assert_true(t->at <= fake.now); // never early
    assert_true(t->at >= last_due); // in order
    last_due = t->at;
    a->fired++;
    a->fired_at = fake.now;
    if (a->removes)
        timeout_remove(&fake, &a->removes->t);
    if (a->again)
        timeout_set(&fake, t, a->again - 1);
}

static void run_at(uint64_t now)
{
    fake.now = now;
    last_due = 0;
    timeouts_run(&fake.timeouts, now);
}

static int setup(void **state)
{
    (void)state;
    fake = (struct loop){.now = 1000};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    timeouts_fini(&fake.timeouts);
    return 0;
}

static struct alarm *new_alarms(int n)
{
    struct alarm *a = calloc((size_t)n, sizeof *a);
    for (int i = 0; i < n; i++)
        timeout_init(&a[i].t, ring);
    return a;
}

static uint64_t next_key(void)
{
    uint64_t key;
    return timeouts_next(&fake.timeouts, &key) ? key : 0;
}

static void fires_when_due_and_once(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(1);
    assert_int_equal(next_key(), 0);
    assert_true(timeout_set(&fake, &a->t, 10));
    assert_int_equal(next_key(), 1010);
    run_at(1009);
    assert_int_equal(a->fired, 0);
    run_at(1010);
    assert_int_equal(a->fired, 1);
    assert_int_equal(next_key(), 0);
    run_at(5000);
    assert_int_equal(a->fired, 1);
    free(a);
}

static void a_later_move_leaves_the_heap_alone(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(1);
    timeout_set(&fake, &a->t, 10);
    timeout_set(&fake, &a->t, 500);
    assert_int_equal(next_key(), 1010);
    run_at(1010);
    assert_int_equal(a->fired, 0);
    assert_int_equal(next_key(), 1500);
    run_at(1500);
    assert_int_equal(a->fired, 1);
    free(a);
}

static void an_earlier_move_sifts(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(3);
    timeout_set(&fake, &a[0].t, 100);
    timeout_set(&fake, &a[1].t, 200);
    timeout_set(&fake, &a[2].t, 300);
    timeout_set(&fake, &a[2].t, 50);
    assert_int_equal(next_key(), 1050);
    run_at(1060);
    assert_int_equal(a[2].fired, 1);
    assert_int_equal(a[0].fired + a[1].fired, 0);
    free(a);
}

static void cleared_is_not_called_and_can_be_set_again(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(2);
    timeout_set(&fake, &a[0].t, 10);
    timeout_clear(&a[0].t);
    assert_int_equal(next_key(), 1010); // still in the heap
    timeout_set(&fake, &a[0].t, 20);
    timeout_set(&fake, &a[1].t, 10);
    timeout_clear(&a[1].t);
    run_at(1010);
    assert_int_equal(a[1].t.place, 0);
    run_at(1020);
    assert_int_equal(a[0].fired, 1);
    assert_int_equal(a[1].fired, 0);
    free(a);
}

static void removed_may_be_freed(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(1), *b = new_alarms(1);
    timeout_set(&fake, &a->t, 10);
    timeout_set(&fake, &b->t, 10);
    timeout_remove(&fake, &a->t);
    timeout_remove(&fake, &a->t);
    assert_false(a->t.armed);
    free(a);
    run_at(1100);
    assert_int_equal(b->fired, 1);
    free(b);
}

static void one_may_remove_the_other(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(2);
    a[0].removes = &a[1];
    timeout_set(&fake, &a[0].t, 10);
    timeout_set(&fake, &a[1].t, 11);
    run_at(1100);
    assert_int_equal(a[0].fired, 1);
    assert_int_equal(a[1].fired, 0);
    free(a);
}

static void zero_is_not_now(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(1);
    a->again = 1; // sets itself to 0 ms: must not run for ever within one turn
    timeout_set(&fake, &a->t, 0);
    run_at(1000);
    assert_int_equal(a->fired, 0);
    run_at(1001);
    run_at(1002);
    assert_int_equal(a->fired, 2);
    timeout_remove(&fake, &a->t);
    free(a);
}

static void never_is_far_away(void **state)
{
    (void)state;
    struct alarm *a = new_alarms(1);
    timeout_set(&fake, &a->t, UINT64_MAX);
    assert_true(next_key() == UINT64_MAX);
    run_at(1000000);
    assert_int_equal(a->fired, 0);
    free(a);
}

static void assert_heap_is_sound(void)
{
    const struct timeouts *h = &fake.timeouts;
    for (uint32_t i = 0; i < h->n; i++) {
        assert_int_equal(h->heap[i].t->place, i + 1);
        if (h->heap[i].t->armed)
            assert_true(h->heap[i].key <= h->heap[i].t->at);
        if (i > 0)
            assert_true(h->heap[(i - 1) / 4].key <= h->heap[i].key);
    }
}

// What the heap says against what the array says, over all operations.
static void random_run(void **state)
{
    (void)state;
    enum { COUNT = 200, STEPS = 20000 };
    struct alarm *a = new_alarms(COUNT);
    srand(1);
    for (int step = 0; step < STEPS; step++) {
        struct alarm *one = &a[rand() % COUNT];
        switch (rand() % 6) {
        case 0:
        case 1:
        case 2:
            assert_true(timeout_set(&fake, &one->t, (uint64_t)(rand() % 300)));
            break;
        case 3:
            timeout_clear(&one->t);
            break;
        case 4:
            timeout_remove(&fake, &one->t);
            break;
        case 5: {
            unsigned before[COUNT];
            bool due[COUNT];
            for (int i = 0; i < COUNT; i++) {
                before[i] = a[i].fired;
                due[i] = a[i].t.armed && a[i].t.at <= fake.now + 5;
            }
            run_at(fake.now + 5);
            for (int i = 0; i < COUNT; i++)
                assert_int_equal(a[i].fired - before[i], due[i]);
        }
        }
        if (step % 16 == 0)
            assert_heap_is_sound();
    }
    free(a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fires_when_due_and_once),
        TEST(a_later_move_leaves_the_heap_alone),
        TEST(an_earlier_move_sifts),
        TEST(cleared_is_not_called_and_can_be_set_again),
        TEST(removed_may_be_freed),
        TEST(one_may_remove_the_other),
        TEST(zero_is_not_now),
        TEST(never_is_far_away),
        TEST(random_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Fills: what a look tells, whom an end wakes, and the waiters of a worker. The workers of these
// tests are numbers in one process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "content/cache_client.h"
#include "tended.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 70 }; // more than one word of bits

static int setup(void **state)
{
    *state = cache_new(16 << 20, WORKERS);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    assert_null(cache_check(*state));
    cache_free(*state);
    return 0;
}

static enum cache_look look(struct cache *c, const char *key, unsigned worker,
                            struct cache_fill *fill)
{
    struct buf b;
    enum cache_kind kind;
    buf_init(&b, 100);
    enum cache_look r = cache_look(c, str_z(key), worker, &kind, &b, fill);
    buf_fini(&b);
    return r;
}

static void put(struct cache *c, const char *key, uint64_t ttl_ms, uint64_t stale_ms)
{
    struct cache_value v = {CACHE_STRING, STR("value"), ttl_ms, stale_ms};
    assert_int_equal(cache_set(c, str_z(key), &v), CACHE_OK);
}

static bool was_woken(struct cache *c, unsigned worker)
{
    uint64_t n;
    return read(cache_wake_fd(c, worker), &n, sizeof n) > 0;
}

static struct cache_counts counts(struct cache *c)
{
    struct cache_stats s;
    cache_stats(c, &s);
    return s.counts;
}

static void the_first_fills_and_the_others_wait(void **state)
{
    struct cache *c = *state;
    struct cache_fill mine, other;
    assert_int_equal(look(c, "k", 0, NULL), CACHE_ALONE);
    assert_int_equal(look(c, "k", 0, &mine), CACHE_FILL);
    assert_int_equal(look(c, "k", 3, &other), CACHE_WAIT);
    assert_int_equal(look(c, "k", 69, &other), CACHE_WAIT);
    assert_memory_equal(&mine, &other, sizeof mine);
    assert_int_equal(look(c, "other", 3, &other), CACHE_FILL);
    assert_false(cache_fill_over(c, &mine));
    put(c, "k", 0, 0);
    assert_int_equal(look(c, "k", 5, &other), CACHE_HIT); // set by whoever
    cache_fill_end(c, &mine, true);
    assert_true(cache_fill_over(c, &mine));
    assert_true(was_woken(c, 3) && was_woken(c, 69));
    assert_false(was_woken(c, 0) || was_woken(c, 5));
    cache_fill_end(c, &mine, true); // harmless
    assert_false(cache_fill_join(c, &mine, 1));
    assert_int_equal(look(c, "k", 3, &other), CACHE_HIT);
    assert_int_equal(counts(c).fills, 2);
    assert_int_equal(counts(c).waits, 2);
}

static void a_stale_value_is_given_while_one_fills(void **state)
{
    struct cache *c = *state;
    struct cache_fill f, g;
    put(c, "k", 1000, 5000);
    cache_advance(c, 1000);
    assert_int_equal(look(c, "k", 0, NULL), CACHE_ALONE); // nobody fills
    assert_int_equal(look(c, "k", 0, &f), CACHE_FILL);
    assert_int_equal(look(c, "k", 1, &g), CACHE_HIT);
    assert_int_equal(look(c, "k", 1, NULL), CACHE_HIT);
    assert_int_equal(counts(c).stale, 2);
    cache_fill_end(c, &f, false);
    assert_int_equal(look(c, "k", 1, &g), CACHE_FILL);
    cache_advance(c, 5000);
    assert_int_equal(look(c, "k", 0, &f), CACHE_WAIT);
    assert_int_equal(counts(c).fills_failed, 1);
}

static void what_cannot_be_kept_is_not_waited_for(void **state)
{
    struct cache *c = *state;
    struct cache_fill f;
    struct cache_value pass = {CACHE_PASS, {NULL, 0}, 1000, 0}, v = {CACHE_STRING, STR("v"), 0, 0};
    struct cache_number n = {CACHE_INTEGER, {1}};
    uint64_t ms;
    cache_set(c, STR("k"), &pass);
    cache_set(c, STR("n"), &pass);
    assert_int_equal(look(c, "k", 0, &f), CACHE_ALONE);
    assert_int_equal(look(c, "k", 1, &f), CACHE_ALONE);
    assert_int_equal(cache_ttl(c, STR("k"), &ms), CACHE_ABSENT);
    assert_int_equal(cache_incr(c, STR("n"), &n, 0), CACHE_OK);
    assert_int_equal(cache_add(c, STR("k"), &v), CACHE_OK);
    assert_int_equal(look(c, "k", 1, &f), CACHE_HIT);
    cache_set(c, STR("k"), &pass);
    cache_advance(c, 1000);
    assert_int_equal(look(c, "k", 1, &f), CACHE_FILL);
}

static void fills_beyond_the_limit_are_done_alone(void **state)
{
    struct cache *c = *state;
    struct cache_fill f;
    char key[32];
    unsigned alone = 0;
    for (int i = 0; i < 8 * CACHE_FILLS; i++) {
        snprintf(key, sizeof key, "%d", i);
        alone += look(c, key, 0, &f) == CACHE_ALONE;
    }
    assert_in_range(alone, 1, 8 * CACHE_FILLS);
    struct cache_stats s;
    cache_stats(c, &s);
    assert_int_equal(s.filling + alone, 8 * CACHE_FILLS);
    assert_int_equal(s.counts.fills_alone, alone);
    cache_worker_died(c, 0);
    cache_stats(c, &s);
    assert_int_equal(s.filling, 0);
}

static void the_fills_of_a_dead_worker_are_free(void **state)
{
    struct cache *c = *state;
    struct cache_fill dead, f, g;
    assert_int_equal(look(c, "k", 1, &dead), CACHE_FILL);
    assert_int_equal(look(c, "other", 2, &g), CACHE_FILL);
    assert_int_equal(look(c, "k", 2, &f), CACHE_WAIT);
    cache_worker_died(c, 1);
    assert_true(was_woken(c, 2) && was_woken(c, 69));
    assert_true(cache_fill_over(c, &dead));
    assert_false(cache_fill_over(c, &g));
    assert_int_equal(look(c, "k", 2, &f), CACHE_FILL);
    cache_fill_end(c, &dead, true); // of one that did not know
    assert_false(cache_fill_over(c, &f));
}

// The next process has the number at once; what is done about the last one may come after its first fill.
static void a_late_tender_leaves_the_fills_of_who_came_after(void **state)
{
    struct cache *c = *state;
    struct cache_fill dead, other, f, g;
    uint32_t shard;
    assert_int_equal(look(c, "k", 1, &dead), CACHE_FILL);
    assert_int_equal(look(c, "other", 2, &other), CACHE_FILL);
    cache_note_death(c, 1);
    assert_int_equal(look(c, "new", 1, &f), CACHE_FILL);
    assert_int_equal(look(c, "other", 1, &g), CACHE_WAIT);
    assert_int_equal(tend_once(c, &shard), CACHE_TENDED);
    assert_true(cache_fill_over(c, &dead));
    assert_false(cache_fill_over(c, &f));
    assert_true(was_woken(c, 1)); // as everybody is
    assert_false(was_woken(c, 1));
    cache_fill_end(c, &other, true);
    assert_true(was_woken(c, 1)); // for what it waits for
    cache_worker_died(c, 1);
    assert_true(cache_fill_over(c, &f));
}

// As when one server replaces another: numbers are told apart, and each wakes its own.
static void two_servers_share_the_fills_of_one_memory(void **state)
{
    struct cache *c = *state;
    struct cache_fill old, f, g;
    struct cache *other = cache_open(dup(cache_fd(c)), 3);
    assert_non_null(other);
    cache_number_from(other, CACHE_WORKERS_MAX / 2);
    assert_int_equal(look(c, "k", 1, &old), CACHE_FILL);
    assert_int_equal(look(other, "k", 1, &f), CACHE_WAIT);
    cache_worker_died(other, 1); // not the one that fills
    assert_false(cache_fill_over(other, &f));
    assert_true(was_woken(other, 1));
    assert_int_equal(look(other, "mine", 2, &g), CACHE_FILL);
    cache_others_died(other);
    assert_true(cache_fill_over(other, &f) && was_woken(other, 1));
    assert_false(cache_fill_over(other, &g));
    assert_int_equal(look(other, "k", 1, &f), CACHE_FILL);
    assert_int_equal(look(c, "k", 2, &old), CACHE_WAIT);
    cache_fill_end(other, &f, false);
    assert_true(cache_fill_over(c, &old));
    assert_false(was_woken(c, 2)); // this is for its own master to do
    cache_wake_all(c);
    assert_true(was_woken(c, 2));
    cache_free(other);
}

static void a_fill_that_needs_itself_is_told(void **state)
{
    struct cache *c = *state;
    struct cache_fill a, b, d, w;
    look(c, "a", 0, &a);
    look(c, "b", 1, &b);
    look(c, "d", 2, &d);
    assert_false(cache_fill_needs(c, &a, STR("a")));
    assert_true(cache_fill_needs(c, &a, STR("b")));
    assert_true(cache_fill_needs(c, &b, STR("d")));
    assert_false(cache_fill_needs(c, &d, STR("a"))); // d → a → b → d
    assert_false(cache_fill_needs(c, &d, STR("b")));
    assert_true(cache_fill_needs(c, &d, STR("free")));
    cache_fill_needs_none(c, &b);
    assert_true(cache_fill_needs(c, &d, STR("a")));
    assert_false(cache_fill_needs(c, &b, STR("d"))); // b → d → a → b
    cache_fill_end(c, &a, true);
    assert_true(cache_fill_needs(c, &b, STR("d")));
    assert_int_equal(look(c, "a", 3, &w), CACHE_FILL); // another fill of a: needs nothing
    assert_true(cache_fill_needs(c, &w, STR("b")) == false);
}

// The waiters of a worker -------------------------------------------------------------------------

struct waiter {
    struct cache_waiter w;
    int woken, filled;
    struct cache *made; // set: one that fills makes a value at once, in there
};

static void on_ready(struct cache_waiter *w, bool fills)
{
    struct waiter *me = (struct waiter *)w;
    me->woken++;
    me->filled += fills;
    if (fills && me->made) {
        put(me->made, "k", 0, 0);
        cache_fill_end(me->made, &w->fill, true);
    }
}

struct scene {
    struct cache *c;
    struct loop *loop;
    struct cache_client *client;
    struct waiter w[10];
};

// Ten who wait in worker 0 for a fill of worker 1.
static void open_scene(struct scene *s, struct cache *c, struct cache_fill *fill)
{
    *s = (struct scene){.c = c, .loop = loop_new()};
    s->client = cache_client_new(c, 0, s->loop);
    assert_non_null(s->client);
    assert_int_equal(look(c, "k", 1, fill), CACHE_FILL);
    for (int i = 0; i < 10; i++) {
        s->w[i].w = (struct cache_waiter){.ready = on_ready, .key = STR("k")};
        assert_int_equal(cache_client_look(s->client, STR("k"), NULL, NULL, &s->w[i].w.fill),
                         CACHE_WAIT);
        cache_client_wait(s->client, &s->w[i].w);
    }
}

static int sum_woken(const struct scene *s)
{
    int n = 0;
    for (int i = 0; i < 10; i++)
        n += s->w[i].woken;
    return n;
}

static void close_scene(struct scene *s)
{
    cache_client_free(s->client);
    loop_free(s->loop);
}

static void all_waiters_look_again_when_there_is_a_value(void **state)
{
    struct scene s;
    struct cache_fill fill;
    open_scene(&s, *state, &fill);
    assert_int_equal(loop_turn(s.loop, 0), 0);
    assert_int_equal(sum_woken(&s), 0);
    cache_client_leave(s.client, &s.w[4].w);
    cache_client_leave(s.client, &s.w[9].w);
    cache_client_leave(s.client, &s.w[9].w); // harmless
    put(s.c, "k", 0, 0);
    cache_fill_end(s.c, &fill, true);
    assert_int_equal(loop_turn(s.loop, 0), 0);
    assert_int_equal(sum_woken(&s), 8);
    assert_int_equal(s.w[4].woken + s.w[9].woken, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(s.w[i].filled, 0);
    close_scene(&s);
}

static void a_failed_fill_passes_to_one_after_the_other(void **state)
{
    struct scene s;
    struct cache_fill fill;
    open_scene(&s, *state, &fill);
    cache_fill_end(s.c, &fill, false);
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 3; k++)
            assert_int_equal(loop_turn(s.loop, 0), 0);
        assert_int_equal(sum_woken(&s), i + 1);
        assert_int_equal(s.w[i].filled, 1);
        cache_fill_end(s.c, &s.w[i].w.fill, false);
    }
    assert_int_equal(counts(s.c).fills, 11);
    close_scene(&s);
}

static void the_first_to_take_over_serves_the_others(void **state)
{
    struct scene s;
    struct cache_fill fill;
    open_scene(&s, *state, &fill);
    s.w[0].made = s.c;
    cache_worker_died(s.c, 1);
    assert_int_equal(loop_turn(s.loop, 0), 0);
    assert_int_equal(s.w[0].filled, 1);
    assert_int_equal(sum_woken(&s), 10);
    assert_int_equal(counts(s.c).fills, 2);
    close_scene(&s);
}

static void waiters_go_on_waiting_for_a_taker_elsewhere(void **state)
{
    struct scene s;
    struct cache_fill fill, other;
    open_scene(&s, *state, &fill);
    cache_fill_end(s.c, &fill, false);
    assert_int_equal(look(s.c, "k", 2, &other), CACHE_FILL); // before worker 0 has its turn
    assert_int_equal(loop_turn(s.loop, 0), 0);
    assert_int_equal(sum_woken(&s), 0);
    put(s.c, "k", 0, 0);
    cache_fill_end(s.c, &other, true);
    assert_int_equal(loop_turn(s.loop, 0), 0);
    assert_int_equal(sum_woken(&s), 10);
    close_scene(&s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_fills_and_the_others_wait),
        TEST(a_stale_value_is_given_while_one_fills),
        TEST(what_cannot_be_kept_is_not_waited_for),
        TEST(fills_beyond_the_limit_are_done_alone),
        TEST(two_servers_share_the_fills_of_one_memory),
        TEST(the_fills_of_a_dead_worker_are_free),
        TEST(a_late_tender_leaves_the_fills_of_who_came_after),
        TEST(a_fill_that_needs_itself_is_told),
        TEST(all_waiters_look_again_when_there_is_a_value),
        TEST(a_failed_fill_passes_to_one_after_the_other),
        TEST(the_first_to_take_over_serves_the_others),
        TEST(waiters_go_on_waiting_for_a_taker_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

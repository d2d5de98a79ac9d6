// Counters, histograms and Prometheus's text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/metric.h"

static struct buf text, labels;

static int setup(void **state)
{
    (void)state;
    buf_init(&text, 16 * 1024);
    buf_init(&labels, 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&text);
    buf_fini(&labels);
    return 0;
}

static void expect_text(const char *expected)
{
    assert_int_equal(text.n, strlen(expected));
    assert_memory_equal(text.p, expected, text.n);
}

static void counters_count(void **state)
{
    (void)state;
    static metric_counter c;
    metric_add(&c, 2);
    metric_add(&c, 40);
    assert_int_equal(metric_read(&c), 42);
    metric_set(&c, 7);
    assert_int_equal(metric_read(&c), 7);
}

static void a_family_with_samples(void **state)
{
    (void)state;
    assert_true(metric_head(&text, "a_total", "counter", "What it is."));
    assert_true(metric_sample(&text, "a_total", STR(""), UINT64_MAX));
    assert_true(metric_label(&labels, "x", STR("1")));
    assert_true(metric_label(&labels, "y", STR("two")));
    assert_true(metric_sample(&text, "a_total", buf_str(&labels), 0));
    assert_true(metric_sample_float(&text, "b", STR(""), 1.5));
    expect_text("# HELP a_total What it is.\n# TYPE a_total counter\n"
                "a_total 18446744073709551615\na_total{x=\"1\",y=\"two\"} 0\nb 1.500000\n");
}

static void labels_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *label;
    } cases[] = {
        {"", "l=\"\""},
        {"plain", "l=\"plain\""},
        {"a\"b\\c\nd", "l=\"a\\\"b\\\\c\\nd\""},
        {"caf\xc3\xa9", "l=\"caf\xc3\xa9\""},
        {"\xff\xc0\xaf", "l=\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"{,}", "l=\"{,}\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&labels);
        assert_true(metric_label(&labels, "l", str_z(cases[i].value)));
        assert_true(str_eq(buf_str(&labels), str_z(cases[i].label)));
    }
}

static void buckets_hold_what_is_at_most_their_bound(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        unsigned bucket;
    } cases[] = {{0, 0},        {1000, 0},      {1001, 1},      {2500, 1},       {250000, 7},
                 {1000001, 10}, {10000000, 12}, {10000001, 13}, {UINT64_MAX, 13}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct metric_histogram h = {.sum_us = 0};
        metric_observe(&h, cases[i].us);
        for (unsigned b = 0; b < METRIC_BUCKETS; b++)
            assert_int_equal(metric_read(&h.bucket[b]), b == cases[i].bucket);
        assert_int_equal(metric_read(&h.sum_us), cases[i].us);
    }
}

static void a_histogram_adds_up(void **state)
{
    (void)state;
    struct metric_histogram one = {.sum_us = 0}, two = {.sum_us = 0};
    struct metric_durations sum = {.sum_us = 0};
    metric_observe(&one, 500);
    metric_observe(&two, 30000);
    metric_observe(&two, 20000000);
    metric_gather(&sum, &one);
    metric_gather(&sum, &two);
    assert_true(metric_samples(&text, "d", STR("r=\"/\""), &sum));
    expect_text("d_bucket{r=\"/\",le=\"0.001\"} 1\nd_bucket{r=\"/\",le=\"0.0025\"} 1\n"
                "d_bucket{r=\"/\",le=\"0.005\"} 1\nd_bucket{r=\"/\",le=\"0.01\"} 1\n"
                "d_bucket{r=\"/\",le=\"0.025\"} 1\nd_bucket{r=\"/\",le=\"0.05\"} 2\n"
                "d_bucket{r=\"/\",le=\"0.1\"} 2\nd_bucket{r=\"/\",le=\"0.25\"} 2\n"
                "d_bucket{r=\"/\",le=\"0.5\"} 2\nd_bucket{r=\"/\",le=\"1\"} 2\n"
                "d_bucket{r=\"/\",le=\"2.5\"} 2\nd_bucket{r=\"/\",le=\"5\"} 2\n"
                "d_bucket{r=\"/\",le=\"10\"} 2\nd_bucket{r=\"/\",le=\"+Inf\"} 3\n"
                "d_sum{r=\"/\"} 20.030500\nd_count{r=\"/\"} 3\n");
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    struct metric_durations none = {.sum_us = 0};
    for (size_t max = 0; max < 400; max++) {
        struct buf small;
        buf_init(&small, max);
        bool ok = metric_samples(&small, "d", STR(""), &none);
        assert_true(ok ? small.n > 300 : small.n == 0);
        buf_clear(&small);
        ok = metric_label(&small, "l", STR("a\"b"));
        assert_int_equal(small.n, ok ? 8 : 0);
        buf_fini(&small);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(counters_count),      TEST(a_family_with_samples),
        TEST(labels_are_escaped),  TEST(buckets_hold_what_is_at_most_their_bound),
        TEST(a_histogram_adds_up), TEST(what_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

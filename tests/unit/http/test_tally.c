// The tally: names that workers share, series that are bounded, counts that outlive their process.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/tally.h"

static struct tally_board *board;
static struct buf text;

static int setup(void **state)
{
    (void)state;
    board = tally_new(3);
    buf_init(&text, 64 << 20);
    return board ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    tally_free(board);
    buf_fini(&text);
    return 0;
}

static void expect_line(const char *line)
{
    buf_clear(&text);
    assert_true(tally_text(board, &text) && buf_addc(&text, '\0'));
    assert_non_null(strstr(text.p, line));
}

static void expect_no(const char *part)
{
    buf_clear(&text);
    assert_true(tally_text(board, &text) && buf_addc(&text, '\0'));
    assert_null(strstr(text.p, part));
}

static void a_name_has_one_number_in_every_worker(void **state)
{
    (void)state;
    struct tally *a = tally_of(board, 0), *b = tally_of(board, 1);
    unsigned x = tally_route(a, STR("/x")), y = tally_route(b, STR("/y"));
    assert_int_equal(x, TALLY_FIRST);
    assert_int_equal(y, TALLY_FIRST + 1);
    assert_int_equal(tally_route(b, STR("/x")), x);
    assert_int_equal(tally_route(a, STR("/y")), y);
    assert_int_equal(tally_route(a, STR("")), TALLY_FIRST + 2);
}

static void names_are_bounded(void **state)
{
    (void)state;
    struct tally *t = tally_of(board, 0);
    char name[TALLY_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    assert_int_equal(tally_route(t, str_of(name, sizeof name)), TALLY_OTHER);
    assert_int_equal(tally_route(t, str_of(name, sizeof name - 1)), TALLY_FIRST);
    for (unsigned i = 1; i < TALLY_ROUTES; i++) {
        int n = snprintf(name, sizeof name, "/%u", i);
        assert_int_equal(tally_route(t, str_of(name, (size_t)n)), TALLY_FIRST + i);
    }
    assert_int_equal(tally_route(t, STR("/one too many")), TALLY_OTHER);
    assert_int_equal(tally_route(t, STR("/7")), TALLY_FIRST + 7); // those that are there stay
}

static void answers_of_all_workers_are_added(void **state)
{
    (void)state;
    struct tally *a = tally_of(board, 0), *b = tally_of(board, 2);
    struct tally_answer one = {.route = tally_route(a, STR("/x")),
                               .method = HTTP_GET,
                               .status = 200,
                               .duration_us = 3000,
                               .received = 5,
                               .sent = 7};
    tally_answer(a, &one);
    tally_answer(b, &one);
    tally_answer(b, &one);
    tally_count(a, TALLY_ACCEPTED);
    tally_count(b, TALLY_REFUSED_FOR_IP);
    expect_line("lunette_http_requests_total{route=\"/x\",method=\"GET\",status=\"200\"} 3\n");
    expect_line("seconds_bucket{route=\"/x\",le=\"0.0025\"} 0\n");
    expect_line("seconds_bucket{route=\"/x\",le=\"0.005\"} 3\n");
    expect_line("seconds_sum{route=\"/x\"} 0.009000\n");
    expect_line("lunette_http_request_body_bytes_total 15\n");
    expect_line("lunette_http_response_body_bytes_total 21\n");
    expect_line("lunette_connections_accepted_total 1\n");
    expect_line("lunette_connections_refused_total{limit=\"connections_per_ip\"} 1\n");
    expect_no("(none)"); // what never was is not there
}

static void every_status_and_method_has_its_place(void **state)
{
    (void)state;
    struct tally *t = tally_of(board, 0);
    static const struct {
        unsigned status;
        const char *said;
    } cases[] = {{200, "200"}, {226, "226"}, {304, "304"}, {404, "404"}, {451, "451"}, {511, "511"},
                 {299, "2xx"}, {399, "3xx"}, {499, "499"}, {498, "4xx"}, {599, "5xx"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[100];
        struct tally_answer a = {.method = HTTP_METHODS, .status = cases[i].status};
        for (size_t k = 0; k <= i; k++)
            tally_answer(t, &a);
        snprintf(line, sizeof line, "{route=\"(none)\",method=\"other\",status=\"%s\"} %zu\n",
                 cases[i].said, i + 1);
        expect_line(line);
    }
    for (enum http_method m = 0; m < HTTP_METHODS; m++) {
        char line[100];
        tally_answer(t, &(struct tally_answer){.route = TALLY_FILE, .method = m, .status = 204});
        snprintf(line, sizeof line, "{route=\"(file)\",method=\"%s\",status=\"204\"} 1\n",
                 method_name(m).p);
        expect_line(line);
    }
}

static void counts_outlive_the_process_that_counted(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct tally *t = tally_of(board, 1);
        tally_answer(t, &(struct tally_answer){.route = tally_route(t, STR("/dead")),
                                               .method = HTTP_GET,
                                               .status = 200});
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct tally *t = tally_of(board, 1);
    tally_answer(t, &(struct tally_answer){
                        .route = tally_route(t, STR("/dead")), .method = HTTP_GET, .status = 200});
    expect_line("{route=\"/dead\",method=\"GET\",status=\"200\"} 2\n");
}

static void text_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct tally *t = tally_of(board, 0);
    tally_answer(t, &(struct tally_answer){.method = HTTP_GET, .status = 200});
    for (size_t max = 0; max < 2000; max += 50) {
        struct buf small;
        buf_init(&small, max);
        assert_false(tally_text(board, &small));
        buf_fini(&small);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_name_has_one_number_in_every_worker),   TEST(names_are_bounded),
        TEST(answers_of_all_workers_are_added),        TEST(every_status_and_method_has_its_place),
        TEST(counts_outlive_the_process_that_counted), TEST(text_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

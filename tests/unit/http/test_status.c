// Status lines and method names.
#include "http/method.h"
#include "http/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(struct str got, const char *want)
{
    if (got.n != strlen(want) || memcmp(got.p, want, got.n) != 0)
        fail_msg("got \"%.*s\", not \"%s\"", STR_ARG(got), want);
}

static void test_registered_lines_are_made_beforehand(void **state)
{
    (void)state;
    char scratch[STATUS_LINE_MAX] = "untouched";
    expect_text(status_line(200, scratch), "HTTP/1.1 200 OK\r\n");
    expect_text(status_line(404, scratch), "HTTP/1.1 404 Not Found\r\n");
    expect_text(status_line(511, scratch), "HTTP/1.1 511 Network Authentication Required\r\n");
    assert_string_equal(scratch, "untouched");
}

static void test_other_lines_have_no_phrase(void **state)
{
    (void)state;
    char scratch[STATUS_LINE_MAX];
    expect_text(status_line(299, scratch), "HTTP/1.1 299 \r\n");
    expect_text(status_line(418, scratch), "HTTP/1.1 418 \r\n");
    expect_text(status_line(999, scratch), "HTTP/1.1 999 \r\n");
    assert_ptr_equal(status_line(600, scratch).p, scratch);
}

static void test_reasons(void **state)
{
    (void)state;
    expect_text(status_reason(100), "Continue");
    expect_text(status_reason(203), "Non-Authoritative Information");
    expect_text(status_reason(413), "Content Too Large");
    expect_text(status_reason(505), "HTTP Version Not Supported");
    const unsigned none[] = {0, 99, 306, 418, 599, 600, 1000, 4294967295u};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        expect_text(status_reason(none[i]), "");
}

static void test_every_line_fits_its_code(void **state)
{
    (void)state;
    char scratch[STATUS_LINE_MAX], want[STATUS_LINE_MAX];
    for (unsigned code = 100; code < 1000; code++) {
        struct str reason = status_reason(code);
        snprintf(want, sizeof want, "HTTP/1.1 %u %.*s\r\n", code, STR_ARG(reason));
        expect_text(status_line(code, scratch), want);
    }
}

static void test_bodiless(void **state)
{
    (void)state;
    const unsigned without[] = {100, 101, 103, 199, 204, 304};
    const unsigned with[] = {200, 201, 205, 206, 301, 400, 404, 500};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_true(status_bodiless(without[i]));
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_false(status_bodiless(with[i]));
}

static void test_methods(void **state)
{
    (void)state;
    static const char *const known[HTTP_METHODS] = {
        [HTTP_GET] = "GET",        [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",        [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS"};
    static const char *const unknown[] = {
        "",      "get",    "GE",      "GETS",    "PIT",  "Head",  "POSS", "TRAC",    "TRACE",
        "PURGE", "DELATE", "CONNECT", "OPTIONs", "PUSH", "PATCh", "LINK", "UNLINKS", "PROPFIND"};
    for (int m = 0; m < HTTP_METHODS; m++) {
        assert_int_equal(method_parse(str_z(known[m])), m);
        expect_text(method_name((enum http_method)m), known[m]);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(method_parse(str_z(unknown[i])), HTTP_METHODS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registered_lines_are_made_beforehand),
        cmocka_unit_test(test_other_lines_have_no_phrase),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_every_line_fits_its_code),
        cmocka_unit_test(test_bodiless),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Requests under way: what is said of a worker that is gone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "http/flights.h"

static struct flights f;
static char text[FLIGHTS_TEXT];

static int clear(void **state)
{
    (void)state;
    memset(&f, 0xaa, sizeof f);
    flights_reset(&f);
    return 0;
}

static void nothing_under_way_is_no_word(void **state)
{
    (void)state;
    assert_string_equal(flights_describe(&f, text), "");
    flights_end(&f, flights_begin(&f, STR("GET / HTTP/1.1")));
    assert_string_equal(flights_describe(&f, text), "");
    flights_end(NULL, flights_begin(NULL, STR("GET / HTTP/1.1")));
}

static void each_is_there_until_its_end(void **state)
{
    (void)state;
    unsigned a = flights_begin(&f, STR("GET /a?token=secret HTTP/1.1"));
    assert_string_equal(flights_describe(&f, text), ", with 1 request under way: GET /a");
    unsigned b = flights_begin(&f, STR("POST /b HTTP/1.1"));
    flights_name(&f, b, STR("0123456789abcdef"));
    assert_string_equal(flights_describe(&f, text),
                        ", with 2 requests under way: GET /a, POST /b [0123456789abcdef]");
    flights_end(&f, a);
    a = flights_begin(&f, STR("PUT /c HTTP/1.1"));
    assert_string_equal(flights_describe(&f, text),
                        ", with 2 requests under way: PUT /c, POST /b [0123456789abcdef]");
    flights_end(&f, b);
    flights_begin(&f, STR("GET /d HTTP/1.1")); // the id of who had the place before is not its own
    assert_string_equal(flights_describe(&f, text), ", with 2 requests under way: PUT /c, GET /d");
    strcpy(f.ran, "PUT /c at scripts/main.lua:3");
    assert_string_equal(
        flights_describe(&f, text),
        ", in PUT /c at scripts/main.lua:3, with 2 requests under way: PUT /c, GET /d");
}

static void those_that_are_too_many_are_counted(void **state)
{
    (void)state;
    enum { MANY = FLIGHTS_SHOWN + 5 };
    unsigned place[MANY];
    for (int i = 0; i < MANY; i++)
        place[i] = flights_begin(&f, STR("GET / HTTP/1.1"));
    flights_describe(&f, text);
    assert_non_null(strstr(text, ", with 21 requests under way: GET /, GET /"));
    assert_non_null(strstr(text, " and 5 more"));
    for (int i = 0; i < MANY; i++) {
        flights_name(&f, place[i], STR("id"));
        flights_end(&f, place[i]);
    }
    assert_string_equal(flights_describe(&f, text), "");
}

static void long_ones_are_cut(void **state)
{
    (void)state;
    char line[4096];
    memset(line, 'x', sizeof line);
    memcpy(line, "GET /", 5);
    for (int i = 0; i < FLIGHTS_SHOWN; i++)
        flights_name(&f, flights_begin(&f, str_of(line, sizeof line)), str_of(line, sizeof line));
    assert_true(strlen(flights_describe(&f, text)) < FLIGHTS_TEXT);
    assert_non_null(strstr(text, " and "));
    assert_string_equal(text + strlen(text) - strlen(" more"), " more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_under_way_is_no_word, clear),
        cmocka_unit_test_setup(each_is_there_until_its_end, clear),
        cmocka_unit_test_setup(those_that_are_too_many_are_counted, clear),
        cmocka_unit_test_setup(long_ones_are_cut, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Dates: the three forms, what is refused, and the calendar against the C library's.
#include "http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { NOW = 1795383000 }; // 2026-11-22 21:30:00

static void formats(void **state)
{
    static const struct {
        int64_t t;
        const char *want;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},  {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},         {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"}, {DATE_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {DATE_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},   {NOW, "Sun, 22 Nov 2026 21:30:00 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char got[DATE_LEN + 1] = "";
        date_format(got, cases[i].t);
        assert_string_equal(got, cases[i].want);
    }
}

static void agrees_with_the_c_library(void **state)
{
    (void)state;
    // A step of some days and an odd number of seconds, through every year from 0000 to 9999.
    for (int64_t t = DATE_MIN; t <= DATE_MAX; t += 9 * 86400 + 12347) {
        struct tm tm;
        time_t as_time = t;
        char got[DATE_LEN], want[128];
        assert_non_null(gmtime_r(&as_time, &tm));
        snprintf(want, sizeof want, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 &"SunMonTueWedThuFriSat"[3 * tm.tm_wday], tm.tm_mday,
                 &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * tm.tm_mon], tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        date_format(got, t);
        assert_memory_equal(got, want, DATE_LEN);
        int64_t back;
        assert_true(date_parse(str_of(got, DATE_LEN), NOW, &back));
        assert_int_equal(back, t);
    }
}

static void parses(void **state)
{
    static const struct {
        struct str s;
        int64_t t;
    } cases[] = {
        {STR("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777},
        {STR("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777},
        {STR("Sun Nov  6 08:49:37 1994"), 784111777},
        {STR("Sun Nov 16 08:49:37 1994"), 784111777 + 10 * 86400},
        {STR("Sun Nov 06 08:49:37 1994"), 784111777},
        {STR("Mon, 06 Nov 1994 08:49:37 GMT"), 784111777}, // a wrong day of the week
        {STR("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400},
        {STR("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800},
        {STR("Sat, 01 Jan 0000 00:00:00 GMT"), DATE_MIN},
        {STR("Fri, 31 Dec 9999 23:59:59 GMT"), DATE_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t t = 0;
        if (!date_parse(cases[i].s, NOW, &t))
            fail_msg("%.*s was refused", STR_ARG(cases[i].s));
        assert_int_equal(t, cases[i].t);
    }
}

static void completes_years_of_two_digits(void **state)
{
    static const struct {
        struct str s;
        const char *now, *want;
    } cases[] = {
        {STR("Sunday, 06-Nov-26 08:49:37 GMT"), "Sun, 22 Nov 2026 21:30:00 GMT",
         "Fri, 06 Nov 2026 08:49:37 GMT"},
        {STR("Sunday, 22-Nov-76 21:30:00 GMT"), "Sun, 22 Nov 2026 21:30:00 GMT",
         "Sun, 22 Nov 2076 21:30:00 GMT"}, // 50 years ahead to the second
        {STR("Sunday, 22-Nov-76 21:30:01 GMT"), "Sun, 22 Nov 2026 21:30:00 GMT",
         "Mon, 22 Nov 1976 21:30:01 GMT"},
        {STR("Sunday, 01-Jan-77 00:00:00 GMT"), "Sun, 22 Nov 2026 21:30:00 GMT",
         "Sat, 01 Jan 1977 00:00:00 GMT"},
        {STR("Sunday, 01-Jan-00 00:00:00 GMT"), "Fri, 31 Dec 1999 23:59:59 GMT",
         "Sat, 01 Jan 2000 00:00:00 GMT"},
        {STR("Sunday, 01-Jan-49 00:00:00 GMT"), "Thu, 02 Jan 2098 00:00:00 GMT",
         "Fri, 01 Jan 2049 00:00:00 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t now, t;
        char got[DATE_LEN + 1] = "";
        assert_true(date_parse(str_z(cases[i].now), NOW, &now));
        assert_true(date_parse(cases[i].s, now, &t));
        date_format(got, t);
        assert_string_equal(got, cases[i].want);
    }
}

static void refuses(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "0",
        "784111777",
        "junk",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sux, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 19940 8:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Dec 1994 08:49:37 GMT",
        "Sun, 29 Feb 1995 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 30 Feb 2000 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:60 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sunday, 6-Nov-94 08:49:37 GMT",
        "Sunday, 29-Feb-95 08:49:37 GMT",
        "Funday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, Nov  6 08:49:37 1994",
        "Sunday Nov  6 08:49:37 1994",
        "Sun Nov  06 08:49:37 1994",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t t = 42;
        if (date_parse(str_z(cases[i]), NOW, &t))
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(t, 42);
    }
    int64_t t;
    assert_false(date_parse(str_of("Sun, 06 Nov 1994 08:49:37 GMT", 28), NOW, &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats), cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(parses),  cmocka_unit_test(completes_years_of_two_digits),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void formats_iso(void **state)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59Z"},
        {1795646333000, "2026-11-25T22:38:53Z"},
        {1795646333120, "2026-11-25T22:38:53.120Z"},
        {951782400000, "2000-02-29T00:00:00Z"},
        {DATE_MIN * 1000, "0000-01-01T00:00:00Z"},
        {DATE_MAX * 1000 + 999, "9999-12-31T23:59:59.999Z"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char got[DATE_ISO_MAX];
        size_t n = date_format_iso(got, cases[i].ms);
        if (!str_eq(str_of(got, n), str_z(cases[i].want)))
            fail_msg("%.*s instead of %s", (int)n, got, cases[i].want);
    }
}

static void parses_iso(void **state)
{
    static const struct {
        const char *s;
        int64_t t;
        uint32_t nanoseconds;
        bool fraction;
    } cases[] = {
        {"1994-11-06T08:49:37Z", 784111777, 0, false},
        {"1994-11-06t08:49:37z", 784111777, 0, false},
        {"1994-11-06 08:49:37", 784111777, 0, false},
        {"1994-11-06T08:49Z", 784111740, 0, false},
        {"1994-11-06T08:49", 784111740, 0, false},
        {"1994-11-06", 784080000, 0, false},
        {"1994-11-06T09:49:37+01:00", 784111777, 0, false},
        {"1994-11-06T09:49:37+0100", 784111777, 0, false},
        {"1994-11-06 09:49:37+01", 784111777, 0, false},
        {"1994-11-06T09:49+01:00", 784111740, 0, false},
        {"1994-11-05T22:19:37-10:30", 784111777, 0, false},
        {"1994-11-06T08:49:37-00:00", 784111777, 0, false},
        {"1994-11-07T08:48:37+23:59", 784111777, 0, false},
        {"1994-11-06T08:49:37.5Z", 784111777, 500000000, true},
        {"1994-11-06T08:49:37,25", 784111777, 250000000, true},
        {"1994-11-06T08:49:37.000000001Z", 784111777, 1, true},
        {"1994-11-06T08:49:37.1234567899999Z", 784111777, 123456789, true},
        {"1994-11-06T08:49:37.0+00:00", 784111777, 0, true},
        {"1969-12-31T23:59:59.75Z", -1, 750000000, true},
        {"2000-02-29", 951782400, 0, false},
        {"2016-12-31T23:59:60Z", 1483228800, 0, false},
        {"2016-12-31T23:59:60.5Z", 1483228800, 500000000, true},
        {"2016-12-31T15:59:60-08:00", 1483228800, 0, false},
        {"2017-01-01T05:29:60+05:30", 1483228800, 0, false},
        {"0000-01-01", DATE_MIN, 0, false},
        {"9999-12-31T23:59:59.999Z", DATE_MAX, 999000000, true},
        {"9999-12-31T23:59:59+00:01", DATE_MAX - 60, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct date_iso t = {0};
        if (!date_parse_iso(str_z(cases[i].s), &t))
            fail_msg("%s was refused", cases[i].s);
        if (t.seconds != cases[i].t || t.nanoseconds != cases[i].nanoseconds ||
            t.fraction != cases[i].fraction)
            fail_msg("%s gave %lld.%09u", cases[i].s, (long long)t.seconds, t.nanoseconds);
    }
}

static void refuses_iso(void **state)
{
    static const char *const cases[] = {
        "",
        "junk",
        "1994",
        "1994-11",
        "1994-11-6",
        "94-11-06",
        "19941106",
        "19941106T084937Z",
        "1994-W45-7",
        "1994-310",
        "1994/11/06",
        "+1994-11-06",
        "-1994-11-06",
        "11994-11-06",
        " 1994-11-06",
        "1994-11-06 ",
        "1994-11-06Z",
        "1994-11-06+01:00",
        "1994-11-06T",
        "1994-11-06T08",
        "1994-11-06T08Z",
        "1994-11-06T08:",
        "1994-11-06T08:49:",
        "1994-11-06T8:49:37Z",
        "1994-11-06T084937Z",
        "1994-11-06  08:49:37Z",
        "1994-11-06_08:49:37Z",
        "1994-11-06T08:49:37 Z",
        "1994-11-06T08:49:37ZZ",
        "1994-11-06T08:49:37.Z",
        "1994-11-06T08:49:37.",
        "1994-11-06T08:49.5Z",
        "1994-11-06T08:49:37.1.2Z",
        "1994-11-06T08:49:37.-1Z",
        "1994-11-06T08:49:37+",
        "1994-11-06T08:49:37+1",
        "1994-11-06T08:49:37+1:00",
        "1994-11-06T08:49:37+01:",
        "1994-11-06T08:49:37+01:0",
        "1994-11-06T08:49:37+01:000",
        "1994-11-06T08:49:37+24:00",
        "1994-11-06T08:49:37+01:60",
        "1994-11-06T08:49:37+01:00Z",
        "1994-11-06T08:49:37GMT",
        "1994-11-06T24:00:00Z",
        "1994-11-06T08:60:00Z",
        "1994-11-06T08:49:61Z",
        "1994-11-06T08:49:60Z",
        "1994-11-06T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-31T23:58:60Z",
        "1994-00-06",
        "1994-13-06",
        "1994-11-00",
        "1994-11-31",
        "1994-12-32",
        "1995-02-29",
        "1900-02-29",
        "2000-02-30",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct date_iso t = {.seconds = 42};
        if (date_parse_iso(str_z(cases[i]), &t))
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(t.seconds, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),    cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(parses),     cmocka_unit_test(completes_years_of_two_digits),
        cmocka_unit_test(refuses),    cmocka_unit_test(formats_iso),
        cmocka_unit_test(parses_iso), cmocka_unit_test(refuses_iso),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// When a time of day comes, in zones that change their clocks. The rules are written out, so that no
// list of zones is needed.
#include "base/daily.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static const char BERLIN[] = "CET-1CEST,M3.5.0,M10.5.0/3";
static const char NEW_YORK[] = "EST5EDT,M3.2.0,M11.1.0";
static const char SANTIAGO[] = "<-04>4<-03>,M9.1.6/24,M4.1.6/24";       // at midnight
static const char LORD_HOWE[] = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"; // by half an hour
static const char KIRITIMATI[] = "<+14>-14";

static int64_t utc(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void test_next(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *after;
        unsigned hour, minute;
        const char *next; // UTC
    } cases[] = {
        {"UTC0", "2026-05-01 03:29:59", 3, 30, "2026-05-01 03:30:00"},
        {"UTC0", "2026-05-01 03:30:00", 3, 30, "2026-05-02 03:30:00"}, // after, not at
        {"UTC0", "2026-05-01 03:30:01", 3, 30, "2026-05-02 03:30:00"},
        {"UTC0", "2026-12-31 23:59:59", 0, 0, "2027-01-01 00:00:00"},
        {"UTC0", "2028-02-28 12:00:00", 11, 59, "2028-02-29 11:59:00"},
        {"UTC0", "1969-12-31 12:00:00", 11, 0, "1970-01-01 11:00:00"},
        {BERLIN, "2026-01-10 02:00:00", 3, 30, "2026-01-10 02:30:00"},
        {BERLIN, "2026-07-10 02:00:00", 3, 30, "2026-07-11 01:30:00"},
        {BERLIN, "2026-07-10 22:30:00", 0, 15,
         "2026-07-11 22:15:00"}, // the next date there already
        // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
        {BERLIN, "2026-03-28 12:00:00", 1, 59, "2026-03-29 00:59:00"},
        {BERLIN, "2026-03-28 12:00:00", 2, 0, "2026-03-29 01:00:00"},
        {BERLIN, "2026-03-28 12:00:00", 2, 30, "2026-03-29 01:00:00"}, // skipped
        {BERLIN, "2026-03-28 12:00:00", 3, 0, "2026-03-29 01:00:00"},
        {BERLIN, "2026-03-28 12:00:00", 3, 30, "2026-03-29 01:30:00"},
        {BERLIN, "2026-03-29 01:00:00", 2, 30, "2026-03-30 00:30:00"},
        {BERLIN, "2026-03-29 00:59:59", 2, 30, "2026-03-29 01:00:00"},
        // 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
        {BERLIN, "2026-10-24 12:00:00", 1, 59, "2026-10-24 23:59:00"},
        {BERLIN, "2026-10-24 12:00:00", 2, 0, "2026-10-25 00:00:00"},
        {BERLIN, "2026-10-24 12:00:00", 2, 30, "2026-10-25 00:30:00"}, // the first of two
        {BERLIN, "2026-10-25 00:30:00", 2, 30, "2026-10-26 01:30:00"}, // and not the second
        {BERLIN, "2026-10-25 01:10:00", 2, 30, "2026-10-26 01:30:00"},
        {BERLIN, "2026-10-24 12:00:00", 3, 0, "2026-10-25 02:00:00"},
        {BERLIN, "2026-10-25 00:59:59", 3, 30, "2026-10-25 02:30:00"},
        {NEW_YORK, "2026-03-08 00:00:00", 2, 30, "2026-03-08 07:00:00"},
        {NEW_YORK, "2026-11-01 00:00:00", 1, 30, "2026-11-01 05:30:00"},
        {NEW_YORK, "2026-11-01 05:30:00", 1, 30, "2026-11-02 06:30:00"},
        // 2026-09-05 ends at 04:00 UTC of the 6th, which begins at 01:00 there.
        {SANTIAGO, "2026-09-05 12:00:00", 0, 30, "2026-09-06 04:00:00"},
        {SANTIAGO, "2026-09-06 04:00:00", 0, 30, "2026-09-07 03:30:00"},
        {SANTIAGO, "2026-09-05 12:00:00", 23, 30, "2026-09-06 03:30:00"},
        // 2026-04-04 has 23:00 to 24:00 twice.
        {SANTIAGO, "2026-04-04 12:00:00", 23, 30, "2026-04-05 02:30:00"},
        {SANTIAGO, "2026-04-05 02:30:00", 23, 30, "2026-04-06 03:30:00"},
        {SANTIAGO, "2026-04-04 12:00:00", 0, 0, "2026-04-05 04:00:00"},
        {LORD_HOWE, "2026-10-03 00:00:00", 2, 15, "2026-10-03 15:30:00"},
        {LORD_HOWE, "2026-04-04 00:00:00", 1, 45, "2026-04-04 14:45:00"},
        {LORD_HOWE, "2026-04-04 14:45:00", 1, 45, "2026-04-05 15:15:00"},
        {KIRITIMATI, "2026-05-01 10:00:00", 0, 0, "2026-05-02 10:00:00"},
        {KIRITIMATI, "2026-05-01 09:59:59", 0, 0, "2026-05-01 10:00:00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_zone(cases[i].zone);
        int64_t got = daily_next(cases[i].hour, cases[i].minute, utc(cases[i].after));
        if (got != utc(cases[i].next))
            fail_msg("case %zu: %s %02u:%02u after %s gave %lld, not %s (%lld)", i, cases[i].zone,
                     cases[i].hour, cases[i].minute, cases[i].after, (long long)got, cases[i].next,
                     (long long)utc(cases[i].next));
    }
}

// Over years, each date has its moment once, whatever the zone does.
static void test_once_a_day(void **state)
{
    (void)state;
    static const char *const zones[] = {BERLIN, NEW_YORK, SANTIAGO, LORD_HOWE, KIRITIMATI, "UTC0"};
    for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
        set_zone(zones[z]);
        for (unsigned minute = 0; minute < 24 * 60; minute += 30) {
            int64_t t = utc("2025-12-31 12:00:00"), end = t + 730 * 86400LL;
            unsigned n = 0;
            for (; t < end; n++) {
                int64_t next = daily_next(minute / 60, minute % 60, t);
                assert_true(next > t && next - t <= 26 * 3600);
                t = next;
            }
            assert_in_range(n, 730, 731);
        }
    }
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int minutes; // −1: it is none
    } cases[] = {
        {"03:30", 210}, {"3:30", 210},    {"00:00", 0},   {"23:59", 1439}, {"9:05", 545},
        {"24:00", -1},  {"12:60", -1},    {"12:5", -1},   {"12", -1},      {"", -1},
        {":30", -1},    {"12:", -1},      {"012:30", -1}, {"12:30 ", -1},  {" 12:30", -1},
        {"-1:30", -1},  {"12:30:00", -1}, {"1a:30", -1},  {"12:3a", -1},   {"+1:30", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned hour = 99, minute = 99;
        bool ok = daily_parse(str_z(cases[i].text), &hour, &minute);
        if (ok != (cases[i].minutes >= 0) ||
            (ok ? hour * 60 + minute != (unsigned)cases[i].minutes : hour != 99 || minute != 99))
            fail_msg("%s gave %d, %u:%u", cases[i].text, ok, hour, minute);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_once_a_day),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Dates by arithmetic of our own: the day count of the Gregorian calendar, and one small
// scanner that reads the three forms of HTTP and the parts of ISO 8601.
//
// Years are counted from the first of March, so that the leap day is a year's last: the days
// before month m (0: March) are then (153 m + 2) / 5, and 400 years always have 146097 days.
#include "http/date.h"

#include <assert.h>
#include <string.h>

enum { DAY_SECONDS = 86400, ERA_YEARS = 400, ERA_DAYS = 146097 };
// Days from 0000-03-01, where the count begins, to 1970-01-01.
enum { EPOCH_DAY = 719468 };

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

struct civil {
    int64_t year;
    int month; // 1 to 12
    int day;   // 1 to 31
    int hour, minute, second;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t civil_to_days(const struct civil *c)
{
    int64_t year = c->year - (c->month <= 2); // the one that began in March
    int64_t era = floor_div(year, ERA_YEARS);
    int64_t of_era = year - era * ERA_YEARS;
    int month = (c->month + 9) % 12;
    int64_t of_year = (153 * month + 2) / 5 + c->day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY;
}

static void civil_from_days(int64_t day, struct civil *c)
{
    day += EPOCH_DAY;
    int64_t era = floor_div(day, ERA_DAYS);
    int64_t of_era = day - era * ERA_DAYS;
    // The leap days passed are taken away before dividing by 365.
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    int of_year = (int)(of_era - (year * 365 + year / 4 - year / 100));
    int month = (5 * of_year + 2) / 153;
    c->day = of_year - (153 * month + 2) / 5 + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = era * ERA_YEARS + year + (c->month <= 2);
}

static int64_t civil_to_time(const struct civil *c)
{
    return civil_to_days(c) * DAY_SECONDS + c->hour * 3600 + c->minute * 60 + c->second;
}

static int month_days(int64_t year, int month)
{
    static const char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month - 1] + (month == 2 && leap);
}

static void put_digits(char *dst, int width, int64_t value)
{
    while (width--) {
        dst[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

void date_format(char dst[static DATE_LEN], int64_t t)
{
    assert(t >= DATE_MIN && t <= DATE_MAX);
    int64_t day = floor_div(t, DAY_SECONDS);
    int64_t second = t - day * DAY_SECONDS;
    int64_t week_day = day + 4 - 7 * floor_div(day + 4, 7); // day 0 was a Thursday
    struct civil c = {0};
    civil_from_days(day, &c);

    memcpy(dst, "Sun, 00 Jan 0000 00:00:00 GMT", DATE_LEN);
    memcpy(dst, days + 3 * week_day, 3);
    put_digits(dst + 5, 2, c.day);
    memcpy(dst + 8, months + 3 * (c.month - 1), 3);
    put_digits(dst + 12, 4, c.year);
    put_digits(dst + 17, 2, second / 3600);
    put_digits(dst + 20, 2, second / 60 % 60);
    put_digits(dst + 23, 2, second % 60);
}

static bool take(struct str *s, struct str literal)
{
    if (!str_starts(*s, literal))
        return false;
    *s = str_of(s->p + literal.n, s->n - literal.n);
    return true;
}

static bool take_digits(struct str *s, size_t width, int *value)
{
    uint64_t number;
    if (s->n < width || !str_to_u64(str_of(s->p, width), &number))
        return false;
    *value = (int)number;
    *s = str_of(s->p + width, s->n - width);
    return true;
}

// The position of one of the names, three letters each, at the front of s; or -1.
static int take_name(struct str *s, const char *names)
{
    for (int i = 0; names[3 * i]; i++)
        if (take(s, str_of(names + 3 * i, 3)))
            return i;
    return -1;
}

static bool take_long_day(struct str *s)
{
    for (int i = 0; i < 7; i++)
        if (take(s, str_z(long_days[i])))
            return true;
    return false;
}

// One conversion of a form. The letters mean what they mean to strptime.
static bool take_part(struct str *s, char letter, struct civil *c)
{
    int year = 0;
    switch (letter) {
    case 'a':
        return take_name(s, days) >= 0;
    case 'A':
        return take_long_day(s);
    case 'b':
        c->month = take_name(s, months) + 1;
        return c->month > 0;
    case 'd':
        return take_digits(s, 2, &c->day);
    case 'e': // a space stands for the first digit
        return take(s, STR(" ")) ? take_digits(s, 1, &c->day) : take_digits(s, 2, &c->day);
    case 'T':
        return take_digits(s, 2, &c->hour) && take(s, STR(":")) && take_digits(s, 2, &c->minute) &&
               take(s, STR(":")) && take_digits(s, 2, &c->second);
    }
    bool ok = take_digits(s, letter == 'y' ? 2 : 4, &year);
    c->year = year;
    return ok;
}

static bool scan(struct str s, const char *form, struct civil *c)
{
    for (; *form; form++) {
        bool ok = *form == '%' ? take_part(&s, *++form, c) : take(&s, str_of(form, 1));
        if (!ok)
            return false;
    }
    return s.n == 0;
}

// Makes a year of two digits whole: the latest that is not more than 50 years ahead of now.
static void complete_year(struct civil *c, int64_t now)
{
    struct civil limit = {0};
    int64_t day = floor_div(now, DAY_SECONDS);
    civil_from_days(day, &limit);
    limit.year += 50;
    limit.second = (int)(now - day * DAY_SECONDS);
    c->year = limit.year - (limit.year + 100 - c->year) % 100;
    if (civil_to_time(c) > civil_to_time(&limit))
        c->year -= 100;
}

static bool exists(const struct civil *c)
{
    return c->day >= 1 && c->day <= month_days(c->year, c->month) && c->hour <= 23 &&
           c->minute <= 59 && c->second <= 60;
}

bool date_parse(struct str s, int64_t now, int64_t *out)
{
    assert(now >= DATE_MIN && now <= DATE_MAX);
    struct civil c = {0};
    if (scan(s, "%A, %d-%b-%y %T GMT", &c))
        complete_year(&c, now);
    else if (!scan(s, "%a, %d %b %Y %T GMT", &c) && !scan(s, "%a %b %e %T %Y", &c))
        return false;
    int64_t t = civil_to_time(&c);
    if (!exists(&c) || t < DATE_MIN || t > DATE_MAX)
        return false;
    *out = t;
    return true;
}

// --- ISO 8601 ---

size_t date_format_iso(char dst[static DATE_ISO_MAX], int64_t ms)
{
    int64_t t = floor_div(ms, 1000), day = floor_div(t, DAY_SECONDS);
    int64_t second = t - day * DAY_SECONDS;
    struct civil c = {0};
    assert(t >= DATE_MIN && t <= DATE_MAX);
    civil_from_days(day, &c);
    memcpy(dst, "0000-00-00T00:00:00.000Z", DATE_ISO_MAX);
    put_digits(dst, 4, c.year);
    put_digits(dst + 5, 2, c.month);
    put_digits(dst + 8, 2, c.day);
    put_digits(dst + 11, 2, second / 3600);
    put_digits(dst + 14, 2, second / 60 % 60);
    put_digits(dst + 17, 2, second % 60);
    if (ms != t * 1000) {
        put_digits(dst + 20, 3, ms - t * 1000);
        return DATE_ISO_MAX;
    }
    dst[19] = 'Z';
    return 20;
}

static bool take_fraction(struct str *s, struct date_iso *out)
{
    uint32_t unit = 100000000;
    if (!take(s, STR(".")) && !take(s, STR(",")))
        return true;
    out->fraction = true;
    if (s->n == 0 || s->p[0] < '0' || s->p[0] > '9')
        return false;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = str_of(s->p + 1, s->n - 1)) {
        out->nanoseconds += (uint32_t)(s->p[0] - '0') * unit;
        unit /= 10;
    }
    return true;
}

static bool take_clock(struct str *s, struct civil *c, struct date_iso *out)
{
    if (!take(s, STR("T")) && !take(s, STR("t")) && !take(s, STR(" ")))
        return false;
    if (!take_digits(s, 2, &c->hour) || !take(s, STR(":")) || !take_digits(s, 2, &c->minute))
        return false;
    if (!take(s, STR(":")))
        return true;
    return take_digits(s, 2, &c->second) && take_fraction(s, out);
}

// Seconds ahead of UTC: "Z", "+01:00", "+0100", "+01", or nothing.
static bool take_zone(struct str *s, int *offset)
{
    int hours = 0, minutes = 0;
    *offset = 0;
    if (s->n == 0 || take(s, STR("Z")) || take(s, STR("z")))
        return true;
    bool behind = take(s, STR("-"));
    if ((!behind && !take(s, STR("+"))) || !take_digits(s, 2, &hours))
        return false;
    bool colon = take(s, STR(":"));
    if ((colon || s->n) && !take_digits(s, 2, &minutes))
        return false;
    *offset = (hours * 60 + minutes) * (behind ? -60 : 60);
    return hours <= 23 && minutes <= 59;
}

// Whether t, which second 60 led to, begins a month.
static bool follows_leap_second(int64_t t)
{
    struct civil c = {0};
    civil_from_days(floor_div(t, DAY_SECONDS), &c);
    return c.day == 1 && t == floor_div(t, DAY_SECONDS) * DAY_SECONDS;
}

bool date_parse_iso(struct str s, struct date_iso *out)
{
    struct civil c = {0};
    struct date_iso got = {0};
    int year, offset = 0;
    if (!take_digits(&s, 4, &year) || !take(&s, STR("-")) || !take_digits(&s, 2, &c.month) ||
        !take(&s, STR("-")) || !take_digits(&s, 2, &c.day))
        return false;
    c.year = year;
    if (s.n && (!take_clock(&s, &c, &got) || !take_zone(&s, &offset)))
        return false;
    if (s.n || c.month < 1 || c.month > 12 || !exists(&c))
        return false;
    got.seconds = civil_to_time(&c) - offset;
    if (got.seconds < DATE_MIN || got.seconds > DATE_MAX ||
        (c.second == 60 && !follows_leap_second(got.seconds)))
        return false;
    *out = got;
    return true;
}

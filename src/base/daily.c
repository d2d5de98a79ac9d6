// When a time of day comes: see the header. The clock of a place is UTC and an offset; where the offset
// is another one day later, it changes once in between.
#include "base/daily.h"

#include <time.h>

enum { DAY = 24 * 60 * 60, DAYS = 4 };

static bool digits(struct str s, unsigned most, unsigned *value)
{
    unsigned n = 0;
    if (s.n < 1 || s.n > 2)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s.p[i] - '0');
    }
    *value = n;
    return n <= most;
}

bool daily_parse(struct str s, unsigned *hour, unsigned *minute)
{
    unsigned h, m;
    size_t colon = 0;
    while (colon < s.n && s.p[colon] != ':')
        colon++;
    if (colon == s.n || s.n - colon != 3 || !digits(str_of(s.p, colon), 23, &h) ||
        !digits(str_of(s.p + colon + 1, 2), 59, &m))
        return false;
    *hour = h;
    *minute = m;
    return true;
}

// What the local clock is ahead of UTC at t, in seconds.
static bool offset_at(int64_t t, int64_t *offset)
{
    time_t at = (time_t)t;
    struct tm local;
    if (!localtime_r(&at, &local))
        return false;
    *offset = local.tm_gmtoff;
    return true;
}

// The first moment in (from, to] with another offset than from has.
static int64_t find_change(int64_t from, int64_t to, int64_t offset)
{
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2, there;
        if (!offset_at(middle, &there) || there != offset)
            to = middle;
        else
            from = middle;
    }
    return to;
}

// The moment of one date. local: that date and time, as seconds since 1970 as if it were UTC; no clock
// is a day away from that.
static int64_t moment_of(int64_t local)
{
    int64_t before, after, there;
    if (!offset_at(local - DAY, &before) || !offset_at(local + DAY, &after))
        return INT64_MAX;
    if (offset_at(local - before, &there) && there == before)
        return local - before; // before the change, if there is one
    if (offset_at(local - after, &there) && there == after)
        return local - after;
    return find_change(local - DAY, local + DAY, before); // the change skips it
}

int64_t daily_next(unsigned hour, unsigned minute, int64_t after)
{
    int64_t offset;
    if (!offset_at(after, &offset))
        return INT64_MAX;
    int64_t local = after + offset;
    int64_t midnight = local - ((local % DAY) + DAY) % DAY;
    for (int day = -1; day < DAYS; day++) {
        int64_t at = moment_of(midnight + day * DAY + hour * 3600 + minute * 60);
        if (at > after)
            return at;
    }
    return INT64_MAX;
}

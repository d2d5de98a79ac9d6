// HTTP dates (RFC 9110 §5.6.7) and ISO 8601 times (RFC 3339), without the C library's locale or time zone.
//
// A time is seconds since 1970-01-01 00:00:00 UTC, negative before; leap seconds are not counted.
#ifndef LUNETTE_HTTP_DATE_H
#define LUNETTE_HTTP_DATE_H

#include "base/str.h"

enum { DATE_LEN = 29 }; // "Sun, 06 Nov 1994 08:49:37 GMT"

// What a year of four digits can say: 0000-01-01 00:00:00 to 9999-12-31 23:59:59.
#define DATE_MIN INT64_C(-62167219200)
#define DATE_MAX INT64_C(253402300799)

// Writes t, DATE_MIN ≤ t ≤ DATE_MAX, as IMF-fixdate: DATE_LEN bytes, no NUL.
void date_format(char dst[static DATE_LEN], int64_t t);

// Reads the whole of s as one of the three forms: IMF-fixdate, RFC 850 or asctime.
// Case-sensitive, no spaces around. A year of two digits is the latest that is at most 50 years
// ahead of now (DATE_MIN ≤ now ≤ DATE_MAX). The name of the day must be one, but need not be the
// right one; second 60 is accepted and is the next minute's 0. False, with *out untouched, for
// anything else, for a day that does not exist, and for a result beyond DATE_MIN or DATE_MAX.
bool date_parse(struct str s, int64_t now, int64_t *out);

enum { DATE_ISO_MAX = 24 }; // "1994-11-06T08:49:37.123Z"

// Writes milliseconds since 1970, of DATE_MIN to DATE_MAX and its last second, as RFC 3339 has it;
// no NUL. The fraction is left out when it is 0. Returns the length.
size_t date_format_iso(char dst[static DATE_ISO_MAX], int64_t ms);

struct date_iso {
    int64_t seconds;
    uint32_t nanoseconds; // after them; digits beyond are dropped
    bool fraction;        // one was written, even if it is 0
};

// Reads the whole of s: "1994-11-06", then "T", "t" or a space and "08:49" with or without ":37" and
// a fraction behind "." or ",", then "Z", "z", "+01:00", "+0100", "+01" or nothing, which means UTC.
// Second 60 is accepted where leap seconds are, at the end of a month of UTC, and is the next
// minute's 0. False, with *out untouched, for anything else, as for date_parse.
bool date_parse_iso(struct str s, struct date_iso *out);

#endif

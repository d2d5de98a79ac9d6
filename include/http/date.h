// HTTP dates (RFC 9110 §5.6.7). Seconds since 1970-01-01 UTC.
#ifndef LUNETTE_HTTP_DATE_H
#define LUNETTE_HTTP_DATE_H

#include "base/str.h"

enum { DATE_LEN = 29 }; // "Sun, 06 Nov 1994 08:49:37 GMT"

// Writes IMF-fixdate, DATE_LEN bytes, no NUL. t between years 0 and 9999.
void date_format(char dst[static DATE_LEN], int64_t t);
// Any of the three forms: IMF-fixdate, RFC 850 (two-digit years: within 50 years ahead of now, else in the past), asctime. Case-sensitive, the whole of s. The name of the
// day is checked for being one, not for being the right one. False for anything else, also for dates that do not exist (leap second 60 is accepted).
bool date_parse(struct str s, int64_t now, int64_t *out);

#endif

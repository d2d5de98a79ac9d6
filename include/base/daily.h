// When a time of day comes: "03:30" by the local clock, as moments of the clock that the kernel keeps.
//
// Every local date has one such moment: the first at which the local date and time are that or later.
// So a time that a change of the clock skips comes where the clock goes on (the next minute that there
// is), and one that comes twice counts the first time.
#ifndef LUNETTE_BASE_DAILY_H
#define LUNETTE_BASE_DAILY_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

// "03:30", "3:30": 0:00 to 23:59. False for anything else, with nothing changed.
bool daily_parse(struct str s, unsigned *hour, unsigned *minute);

// The first moment after `after` (both in seconds since 1970, UTC) at which it is hour:minute in the
// time zone of the process (TZ); INT64_MAX where the C library cannot tell.
int64_t daily_next(unsigned hour, unsigned minute, int64_t after);

#endif

// The wall clock of this process: the system's, unless the tests of a site let it stand.
#ifndef LUNETTE_BASE_WALL_H
#define LUNETTE_BASE_WALL_H

#include <time.h>

// UTC, since 1970.
struct timespec wall_now(void);
// Its seconds as time(2) gives them, by the kernel's last tick: a quarter of the time of wall_now.
time_t wall_seconds(void);
// From here on it stands still at t; NULL: it is the system's again. For the thread of the loop, before
// others ask.
void wall_stand(const struct timespec *t);

#endif

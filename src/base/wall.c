// The wall clock: see the header.
#include "base/wall.h"

#include <stdbool.h>

static bool stands;
static struct timespec at;

struct timespec wall_now(void)
{
    struct timespec now = at;
    if (!stands)
        clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

time_t wall_seconds(void)
{
    return stands ? at.tv_sec : time(NULL);
}

void wall_stand(const struct timespec *t)
{
    stands = t != NULL;
    if (t)
        at = *t;
}

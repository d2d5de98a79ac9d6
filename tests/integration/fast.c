// Preloaded by test_commands_look.py: the monotonic clock goes TIMES times as fast, from the first
// look at it on. What waits until some time without a longer sleep then comes there soon.
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef TIMES
#define TIMES 100
#endif
enum { NS = 1000000000 };

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static int64_t start;
    int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (rc != 0 || clock != CLOCK_MONOTONIC)
        return rc;
    int64_t now = t->tv_sec * (int64_t)NS + t->tv_nsec;
    if (!start)
        start = now;
    now = start + (now - start) * TIMES;
    t->tv_sec = now / NS;
    t->tv_nsec = now % NS;
    return 0;
}

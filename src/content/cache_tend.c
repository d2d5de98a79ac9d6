// What a master does in the shared memory: see the header, at cache_worker_died.
//
// Its workers write there, and what one of them has broken (by a library in C, say) must not break
// their master: not the locks, whose words the C library believes, nor the numbers. So a child takes
// the locks. One that dies of it, or does not come back, shows that the memory is not sound; then the
// master writes it anew, without reading any of it.
#include "content/cache_inside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TEND_MS = 5000, // that a child gets for what takes less than one
    LOOK_US = 200,  // between two looks whether it has ended
};

static bool is_dead(const struct cache *c, unsigned worker)
{
    return c->dead[worker / 64] >> worker % 64 & 1;
}

static void note_death(struct cache *c, unsigned from, unsigned to)
{
    for (unsigned worker = from; worker < to; worker++)
        c->dead[worker / 64] |= (uint64_t)1 << worker % 64;
    c->untended = true;
}

// The fills of the dead have failed.
static void abandon(struct cache *c)
{
    for (uint32_t i = 0; i < c->shards; i++) {
        struct cache_held h = cache_hold(c, i);
        for (unsigned worker = 0; worker < CACHE_WORKERS_MAX; worker++)
            if (is_dead(c, worker))
                cache_fill_abandon(&h, worker);
        cache_let_go(&h);
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Whether the child came to its end; it is ended in any case. Needs no descriptor, since there may be none.
static bool comes_to_its_end(pid_t pid)
{
    int status = -1;
    int64_t end = now_ms() + TEND_MS;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < end)
        usleep(LOOK_US);
    if (ended == 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void begin_anew(struct cache *c)
{
    memset(c->bucket, 0, (size_t)c->shards * c->buckets * sizeof *c->bucket);
    memset(c->shard, 0, c->shards * sizeof *c->shard);
    c->region->ahead = 0;
    cache_init_region(c);
}

enum cache_tended cache_tend(struct cache *c)
{
    if (!c->untended)
        return CACHE_TENDED;
    pid_t pid = fork();
    if (pid < 0)
        return CACHE_UNTENDED;
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0); // its end is no news for a collector of core dumps
        abandon(c);
        _exit(0);
    }
    bool sound = comes_to_its_end(pid);
    if (!sound)
        begin_anew(c);
    memset(c->dead, 0, sizeof c->dead);
    c->untended = false;
    cache_wake_all(c); // also for what the dead may have ended without coming to wake anybody
    return sound ? CACHE_TENDED : CACHE_EMPTIED;
}

enum cache_tended cache_others_died(struct cache *c)
{
    note_death(c, 0, c->first);
    note_death(c, c->first + c->workers, CACHE_WORKERS_MAX);
    return cache_tend(c);
}

enum cache_tended cache_worker_died(struct cache *c, unsigned worker)
{
    note_death(c, c->first + worker, c->first + worker + 1);
    return cache_tend(c);
}

// What a master does in the shared memory: see the header, at "Deaths".
//
// Its workers write there, and what one of them has broken (by a library in C, say) must not break
// their master: not the locks, whose words the C library believes, nor the numbers. So a child
// takes the locks. One that dies of it shows that the memory is not sound. One that cannot have a
// lock shows nothing of that kind: whoever has it may be stopped, or be given no time.
#include "content/cache_inside.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HELD_MS = 100, // that a child waits for a lock, which no operation keeps for as long as 1 ms
    CPU_S = 5,     // of the processor, which an endless loop in broken memory uses up
    SHARD = 64,    // exit status: this, and the number of the shard whose lock is kept
};
_Static_assert(SHARD + CACHE_SHARDS_MAX <= 128, "told in an exit status");

static bool is_dead(const struct cache *c, unsigned worker)
{
    return c->dead[worker / 64] >> worker % 64 & 1;
}

// The serial is read before another process can have the number. Where it is nonsense, so is all
// else.
static void note(struct cache *c, unsigned from, unsigned to)
{
    uint64_t last = c->region->serials;
    for (unsigned worker = from; worker < to; worker++) {
        c->dead[worker / 64] |= (uint64_t)1 << worker % 64;
        c->last[worker] = last;
    }
    c->deaths++;
}

void cache_note_death(struct cache *c, unsigned worker)
{
    note(c, c->first + worker, c->first + worker + 1);
}

void cache_note_others(struct cache *c)
{
    note(c, 0, c->first);
    note(c, c->first + c->workers, CACHE_WORKERS_MAX);
}

static struct timespec in_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

// The fills of the dead have failed. False: the lock is kept by somebody.
static bool abandon(struct cache *c, uint32_t shard)
{
    struct cache_held h;
    struct timespec until = in_ms(HELD_MS);
    if (!cache_hold_until(c, shard, &until, &h))
        return false;
    for (unsigned worker = 0; worker < CACHE_WORKERS_MAX; worker++)
        if (is_dead(c, worker))
            cache_fill_abandon(&h, worker, c->last[worker]);
    cache_let_go(&h);
    return true;
}

// In the child, which needs none of the master's descriptors: it may outlive that for a moment, and
// its sockets must not; what a failed assertion says has no place in a log. Who is to be woken, the
// master wakes.
static _Noreturn void be_tender(struct cache *c)
{
    static const struct rlimit cpu = {CPU_S, CPU_S + 1};
    int status = 0;
    prctl(PR_SET_NAME,
          "lunette-tend");     // no worker: the master's children are looked at by people, too
    prctl(PR_SET_DUMPABLE, 0); // its end is no news for a collector of core dumps
    setrlimit(RLIMIT_CPU, &cpu);
    signal(SIGXCPU, SIG_DFL);
    c->workers = 0;
    close_range(0, ~0U, 0);
    for (uint32_t i = 0; i < c->shards; i++)
        if (!abandon(c, i) && !status)
            status = SHARD + (int)i;
    _exit(status);
}

bool cache_is_due(const struct cache *c)
{
    return !c->tender && c->deaths != c->tended;
}

bool cache_is_tended(const struct cache *c)
{
    return c->tender != 0;
}

int cache_tend(struct cache *c)
{
    if (!cache_is_due(c))
        return 0;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        be_tender(c);
    c->tender = pid;
    c->under_way = c->deaths;
    return 0;
}

void cache_end_tender(struct cache *c)
{
    if (c->tender)
        kill(c->tender, SIGKILL);
}

static enum cache_tended what_of(int status)
{
    int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (exit_status == 0)
        return CACHE_TENDED;
    if (exit_status >= SHARD && exit_status < SHARD + CACHE_SHARDS_MAX)
        return CACHE_HELD;
    bool by_somebody = signo == SIGKILL || signo == SIGTERM || signo == SIGINT || signo == SIGHUP ||
                       signo == SIGQUIT;
    return by_somebody ? CACHE_UNTENDED : CACHE_DAMAGED;
}

static void forget_deaths(struct cache *c)
{
    memset(c->dead, 0, sizeof c->dead);
    c->tended = c->deaths;
}

bool cache_tender_ended(struct cache *c, pid_t pid, int status, enum cache_tended *what,
                        uint32_t *shard)
{
    if (!c->tender || pid != c->tender)
        return false;
    c->tender = 0;
    *what = what_of(status);
    if (*what == CACHE_HELD)
        *shard = (uint32_t)(WEXITSTATUS(status) - SHARD);
    if (*what == CACHE_TENDED && c->deaths == c->under_way)
        forget_deaths(c);
    cache_wake_all(c); // also for what the dead may have ended without coming to wake anybody
    return true;
}

pid_t cache_holder(const struct cache *c, uint32_t shard)
{
    if (shard >= c->shards)
        return 0;
    int word = __atomic_load_n(&c->shard[shard].lock.__data.__lock, __ATOMIC_RELAXED);
    pid_t holder = word & FUTEX_TID_MASK;
    return word == 0 || holder || word & (int)FUTEX_OWNER_DIED ? holder : -1;
}

// The view keeps its wakes and its numbers.
int cache_renew(struct cache *c)
{
    struct cache *new = cache_new_memory(c->size);
    if (!new)
        return -errno;
    struct cache old = *c;
    c->region = new->region;
    c->shard = new->shard;
    c->bucket = new->bucket;
    c->block = new->block;
    c->fd = new->fd;
    new->region = old.region;
    new->fd = old.fd;
    cache_free(new);
    forget_deaths(c);
    return 0;
}

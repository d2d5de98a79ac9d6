// How many operations a second the cache takes, from one process and from two at once:
//
//      make bench-cache
//
// One line a row: what is done, on values of which size, by how many processes; operations a second
// in all, and nanoseconds that one of them takes its process.
#include "content/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KEYS = 1000,
    BYTES = 32 << 20, // of all values at most: the cache keeps every one
    SECONDS = 1,
    BATCH = 20, // operations between two looks at the clock
    VALUE_MAX = CACHE_VALUE_MAX,
};

enum what { GET, SET, INCR, LOOK };
static const char *const names[] = {"get", "set", "incr", "look"};

static char value[VALUE_MAX];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void once(struct cache *c, enum what what, struct str key, size_t n, struct buf *out)
{
    struct cache_value v = {CACHE_STRING, {value, n}, 60000, 0};
    struct cache_number one = {CACHE_INTEGER, {1}};
    struct cache_fill fill;
    enum cache_kind kind;
    buf_clear(out);
    if (what == GET)
        cache_get(c, key, &kind, out);
    else if (what == SET)
        cache_set(c, key, &v);
    else if (what == INCR)
        cache_incr(c, key, &one, 0);
    else
        cache_look(c, key, 0, &kind, out, &fill);
}

static long keys_for(size_t n)
{
    return (long)(n * KEYS > BYTES ? BYTES / n : KEYS);
}

// Operations in SECONDS, over all keys in turn.
static long work(struct cache *c, enum what what, size_t n)
{
    char key[32];
    struct buf out;
    long done = 0;
    buf_init(&out, VALUE_MAX);
    for (double end = now() + SECONDS; now() < end; done += BATCH)
        for (int i = 0; i < BATCH; i++) {
            int m = snprintf(key, sizeof key, "%s:%ld", what == INCR ? "n" : "key",
                             (done + i) * 7 % keys_for(n));
            once(c, what, str_of(key, (size_t)m), n, &out);
        }
    buf_fini(&out);
    return done;
}

static void prepare(struct cache *c, size_t n)
{
    char key[32];
    for (int i = 0; i < keys_for(n); i++) {
        int m = snprintf(key, sizeof key, "key:%d", i);
        once(c, SET, str_of(key, (size_t)m), n, &(struct buf){0});
    }
}

static long in_children(struct cache *c, enum what what, size_t n, int processes)
{
    int ends[2];
    long sum = 0, done;
    if (pipe(ends) != 0)
        abort();
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            done = work(c, what, n);
            _exit(write(ends[1], &done, sizeof done) != sizeof done);
        }
    for (int i = 0; i < processes; i++) {
        if (read(ends[0], &done, sizeof done) != sizeof done)
            abort();
        sum += done;
        wait(NULL);
    }
    close(ends[0]);
    close(ends[1]);
    return sum;
}

int main(void)
{
    static const struct {
        enum what what;
        size_t n;
    } rows[] = {{GET, 100},   {SET, 100},   {LOOK, 100},    {INCR, 8},
                {GET, 10000}, {SET, 10000}, {GET, 1 << 20}, {SET, 1 << 20}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int processes = 1; processes <= 2; processes++) {
            struct cache *c = cache_new(64 << 20, 1);
            if (!c)
                return 1;
            prepare(c, rows[i].n);
            double begin = now();
            long done = in_children(c, rows[i].what, rows[i].n, processes);
            double seconds = now() - begin;
            printf("%-5s %8zu bytes  %d process%s %12.0f/s %10.0f ns\n", names[rows[i].what],
                   rows[i].n, processes, processes == 1 ? "  " : "es", (double)done / seconds,
                   seconds * 1e9 * processes / (double)done);
            cache_free(c);
        }
    return 0;
}

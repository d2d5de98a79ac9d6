// The figures of a server: see the header.
#include "app/figures.h"

#include "app/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

struct slot {
    metric_counter lua_memory, coroutines, pool, slow_pool, sql_pool;
    metric_counter log_lost, log_lost_before; // before: by those that had the slot earlier
};

struct figures {
    struct tally_board *tally;
    unsigned workers;
    int64_t started; // seconds since 1970
    metric_counter restarts, reloads, reloads_failed;
    struct slot slots[];
};

struct figures *figures_new(unsigned workers)
{
    size_t bytes = sizeof(struct figures) + workers * sizeof(struct slot);
    struct figures *f =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f == MAP_FAILED)
        return NULL;
    f->workers = workers;
    f->started = (int64_t)time(NULL);
    f->tally = tally_new(workers);
    if (f->tally)
        return f;
    int err = errno;
    munmap(f, bytes);
    errno = err;
    return NULL;
}

struct tally *figures_tally(struct figures *f, unsigned worker)
{
    return tally_of(f->tally, worker);
}

void figures_tell(struct figures *f, unsigned worker, const struct figures_now *now)
{
    struct slot *s = &f->slots[worker];
    metric_set(&s->lua_memory, now->lua_memory);
    metric_set(&s->coroutines, now->coroutines);
    metric_set(&s->pool, now->pool);
    metric_set(&s->slow_pool, now->slow_pool);
    metric_set(&s->sql_pool, now->sql_pool);
    metric_set(&s->log_lost, now->log_lost);
}

void figures_worker_ended(struct figures *f, unsigned worker, bool replaced)
{
    struct slot *s = &f->slots[worker];
    metric_add(&s->log_lost_before, metric_read(&s->log_lost));
    figures_tell(f, worker, &(struct figures_now){.lua_memory = 0});
    if (replaced)
        metric_add(&f->restarts, 1);
}

void figures_reloaded(struct figures *f, bool ok)
{
    metric_add(ok ? &f->reloads : &f->reloads_failed, 1);
}

// --- the text ---

static bool one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    return metric_head(b, name, type, help) && metric_sample(b, name, STR(""), value);
}

// A sample for each worker: worker="0" …
static bool by_worker(const struct figures *f, struct buf *b, const char *name, const char *help,
                      size_t at)
{
    bool ok = metric_head(b, name, "gauge", help);
    for (unsigned w = 0; ok && w < f->workers; w++) {
        char label[32];
        snprintf(label, sizeof label, "worker=\"%u\"", w);
        ok = metric_sample(b, name, str_z(label),
                           metric_read((const metric_counter *)((const char *)&f->slots[w] + at)));
    }
    return ok;
}

static bool add_server(const struct figures *f, struct buf *b)
{
    static const char reloads[] = "lunette_reloads_total";
    double uptime = (double)((int64_t)time(NULL) - f->started);
    uint64_t lost = 0;
    for (unsigned w = 0; w < f->workers; w++)
        lost += metric_read(&f->slots[w].log_lost) + metric_read(&f->slots[w].log_lost_before);
    return metric_head(b, "lunette_build_info", "gauge", "Always 1; the version is a label.") &&
           metric_sample(b, "lunette_build_info", STR("version=\"" LUNETTE_VERSION "\""), 1) &&
           one(b, "lunette_start_time_seconds", "gauge", "When the server started, since 1970.",
               (uint64_t)f->started) &&
           one(b, "lunette_uptime_seconds", "gauge", "How long it has been running.",
               (uint64_t)(uptime > 0 ? uptime : 0)) &&
           one(b, "lunette_workers", "gauge", "Worker processes that were asked for.",
               f->workers) &&
           one(b, "lunette_worker_restarts_total", "counter",
               "Workers that ended by themselves and were replaced.", metric_read(&f->restarts)) &&
           metric_head(b, reloads, "counter", "Reloads of the scripts, by how they ended.") &&
           metric_sample(b, reloads, STR("result=\"ok\""), metric_read(&f->reloads)) &&
           metric_sample(b, reloads, STR("result=\"failed\""), metric_read(&f->reloads_failed)) &&
           one(b, "lunette_log_lines_lost_total", "counter",
               "Lines that a log did not take: nobody read it, or the disk was full.", lost);
}

static bool add_workers(const struct figures *f, struct buf *b)
{
    static const char queue[] = "lunette_pool_queue";
    uint64_t pool = 0, slow = 0, sql = 0;
    for (unsigned w = 0; w < f->workers; w++) {
        pool += metric_read(&f->slots[w].pool);
        slow += metric_read(&f->slots[w].slow_pool);
        sql += metric_read(&f->slots[w].sql_pool);
    }
    return by_worker(f, b, "lunette_lua_memory_bytes", "Memory of each worker's Lua state.",
                     offsetof(struct slot, lua_memory)) &&
           by_worker(f, b, "lunette_coroutines", "Handlers and tasks under way in each worker.",
                     offsetof(struct slot, coroutines)) &&
           metric_head(b, queue, "gauge",
                       "Calls that wait for a thread; slow: password hashes; sql: databases.") &&
           metric_sample(b, queue, STR("pool=\"normal\""), pool) &&
           metric_sample(b, queue, STR("pool=\"slow\""), slow) &&
           metric_sample(b, queue, STR("pool=\"sql\""), sql);
}

static bool add_places(const struct places *p, struct buf *b)
{
    uint64_t open = 0;
    for (unsigned i = 0; i < p->workers; i++)
        open += p->open[i];
    return one(b, "lunette_connections_open", "gauge", "Connections that are open.", open) &&
           one(b, "lunette_connections_limit", "gauge", "limits.connections.", p->total);
}

static bool add_cache(struct cache *cache, struct buf *b)
{
    struct cache_stats s;
    if (!cache)
        return true;
    cache_stats(cache, &s);
    return one(b, "lunette_cache_hits_total", "counter",
               "Values that were found in the shared cache.", s.counts.hits) &&
           one(b, "lunette_cache_misses_total", "counter", "Values that were not.",
               s.counts.misses) &&
           one(b, "lunette_cache_evictions_total", "counter", "Values that gave way to others.",
               s.counts.evictions) &&
           one(b, "lunette_cache_expired_total", "counter", "Values found to be past their time.",
               s.counts.expired) &&
           one(b, "lunette_cache_fills_total", "counter", "Fills that were begun.",
               s.counts.fills) &&
           one(b, "lunette_cache_fills_failed_total", "counter", "Fills that gave no value.",
               s.counts.fills_failed) &&
           one(b, "lunette_cache_entries", "gauge", "Values in the shared cache.", s.entries) &&
           one(b, "lunette_cache_bytes", "gauge", "Memory that they take.", s.bytes) &&
           one(b, "lunette_cache_capacity_bytes", "gauge", "Memory that there is for them.",
               s.capacity);
}

bool figures_text(const struct figures *f, const struct places *places, struct cache *cache,
                  struct buf *out)
{
    return add_server(f, out) && tally_text(f->tally, out) && add_places(places, out) &&
           add_workers(f, out) && add_cache(cache, out);
}

// The figures of a server for Prometheus: all that is counted, in memory that its processes share,
// and its text.
//
// Made by the master where the configuration has `metrics`, else not at all. What is counted
// survives the worker that counted it; what a worker has now (memory, queues) goes with it.
#ifndef LUNETTE_APP_FIGURES_H
#define LUNETTE_APP_FIGURES_H

#include "base/metric.h"
#include "content/cache.h"
#include "http/places.h"
#include "http/tally.h"

struct figures;

// For workers 0 … workers-1. NULL with errno. They go with the processes that have them: nobody
// gives them back, for what would say how large they are is where workers write.
struct figures *figures_new(unsigned workers);
struct tally *figures_tally(struct figures *f, unsigned worker);

// What a worker has now; told whenever it may have changed.
struct figures_now {
    uint64_t lua_memory;                // bytes
    uint64_t coroutines;                // handlers and tasks under way
    uint64_t pool, slow_pool, sql_pool; // calls that wait for a thread
    uint64_t log_lost;                  // lines and records, since the process began
};
void figures_tell(struct figures *f, unsigned worker, const struct figures_now *now);
// For the master: a worker is gone, and was replaced or not.
void figures_worker_ended(struct figures *f, unsigned worker, bool replaced);
// For the master: a reload of the scripts came to its end.
void figures_reloaded(struct figures *f, bool ok);

// Appends the whole text; false when it does not fit. cache may be NULL.
bool figures_text(const struct figures *f, const struct places *places, struct cache *cache,
                  struct buf *out);

#endif

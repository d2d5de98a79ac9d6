// A worker's own side of the cache: who in this worker waits for fills, and their waking.
//
// All workers' ends of fills arrive on one eventfd. A waiter whose fill is over is told what to do
// next: to look again, since there is a value now (or none can be kept), or to fill by itself, as
// the one to whom a fill that came to nothing is passed. The others of its key go on waiting, for
// that one.
#ifndef LUNETTE_CONTENT_CACHE_CLIENT_H
#define LUNETTE_CONTENT_CACHE_CLIENT_H

#include "content/cache.h"
#include "net/loop.h"

struct cache_client;

// NULL with errno. The cache and the loop must outlive it.
struct cache_client *cache_client_new(struct cache *c, unsigned worker, struct loop *l);
// Nobody waits any more. NULL is harmless.
void cache_client_free(struct cache_client *c);
struct cache *cache_client_cache(const struct cache_client *c);
// cache_look for this worker.
enum cache_look cache_client_look(struct cache_client *c, struct str key, enum cache_kind *kind,
                                  struct buf *out, struct cache_fill *fill);

struct cache_waiter {
    // The wait is over: called from the loop, once. fills: w->fill is the waiter's own now, who
    // must end it; else it is to look again.
    void (*ready)(struct cache_waiter *w, bool fills);
    struct str key;         // bytes of the waiter's
    struct cache_fill fill; // what it waits for, as cache_look has told
    struct cache_waiter *next, **link;
};
// w must stay until ready is called, or cache_client_leave.
void cache_client_wait(struct cache_client *c, struct cache_waiter *w);
// Waits no longer. Harmless for one that does not wait.
void cache_client_leave(struct cache_client *c, struct cache_waiter *w);

#endif

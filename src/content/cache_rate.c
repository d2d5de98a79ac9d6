// Rates: see cache.h. What is kept of a key is one number, the time at which its bucket would be full
// again (GCRA, of ITU-T I.371), so that taking tokens is one look and one write under one lock, and a
// bucket that is full needs no value at all.
#include "content/cache_inside.h"

#include <assert.h>
#include <math.h>

// When the bucket under the number will be full; now for one that is, or for what is no bucket.
static double full_at(const struct cache_held *h, uint32_t number)
{
    double at, now = (double)h->now;
    if (!cache_has_value(h, number) || cache_entry(h, number)->kind != CACHE_FLOAT)
        return now;
    cache_read(h, number, cache_entry(h, number)->key_n, (char *)&at, sizeof at);
    return at > now ? at : now;
}

static void keep(struct cache_held *h, uint32_t number, struct str key, uint64_t hash, double at)
{
    struct cache_value v = {.kind = CACHE_FLOAT,
                            .bytes = str_of((const char *)&at, sizeof at),
                            .ttl_ms = (uint64_t)ceil(at - (double)h->now)};
    if (number)
        cache_drop(h, number);
    cache_insert(h, key, hash, &v);
}

struct cache_taken cache_take(struct cache *c, struct str key, const struct cache_rate *rate,
                              double cost)
{
    assert(rate->token_ms > 0 && rate->burst > 0 && cost >= 0);
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    double size = rate->burst * rate->token_ms, now = (double)h.now;
    double at = full_at(&h, e), then = at + cost * rate->token_ms;
    // Rounding must not refuse the last token of a full bucket.
    struct cache_taken t = {.allowed = then - now <= size + rate->token_ms * 1e-6};
    if (t.allowed && cost > 0)
        keep(&h, e, key, hash, at = then);
    else if (e)
        cache_touch(&h, e);
    t.left = (size - (at - now)) / rate->token_ms;
    t.left = t.left > 0 ? t.left : 0;
    t.full_ms = at - now;
    t.wait_ms = t.allowed ? 0 : then - now - size;
    cache_let_go(&h);
    return t;
}

// Stamps: see cache.h. They come from the same count as the serials of fills.
#include "content/cache_inside.h"

static struct cache_value value_of(const uint64_t *stamp)
{
    return (struct cache_value){.kind = CACHE_INTEGER, .bytes = str_of((const char *)stamp, 8)};
}

uint64_t cache_stamp(struct cache *c, struct str key)
{
    uint64_t stamp, hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    if (cache_has_value(&h, e) && cache_entry(&h, e)->kind == CACHE_INTEGER) {
        cache_touch(&h, e);
        cache_read(&h, e, cache_entry(&h, e)->key_n, (char *)&stamp, sizeof stamp);
    } else {
        if (e)
            cache_drop(&h, e);
        stamp = ++c->region->serials;
        struct cache_value v = value_of(&stamp);
        cache_insert(&h, key, hash, &v);
    }
    cache_let_go(&h);
    return stamp;
}

// The renewal is counted first: who finds the new stamp finds the count changed as well.
void cache_stamp_renew(struct cache *c, struct str key)
{
    c->region->purges++;
    uint64_t stamp = ++c->region->serials;
    struct cache_value v = value_of(&stamp);
    cache_set(c, key, &v);
}

struct cache_moment cache_moment(const struct cache *c)
{
    return (struct cache_moment){.serial = c->region->serials, .purges = c->region->purges};
}

// A stamp of before the moment was not renewed since. A later one was made by a renewal, or because
// there was none: which of them is not known once there were renewals, of whatever stamp.
bool cache_stamp_since(const struct cache *c, const struct cache_moment *begun, uint64_t stamp)
{
    return stamp <= begun->serial || c->region->purges == begun->purges;
}

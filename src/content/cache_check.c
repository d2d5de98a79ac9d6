// What must hold in every shard between two operations, looked at by tests.
#include "content/cache_inside.h"

#include <stdlib.h>

// One look at one shard: seen has a byte for each block that was met.
struct look {
    struct cache_held h;
    unsigned char *seen;
    const char *wrong;
};

static bool complain(struct look *l, const char *what)
{
    if (!l->wrong)
        l->wrong = what;
    return false;
}

// Counts the block in. False when there is no such block, or it was met before.
static bool meet(struct look *l, uint32_t number)
{
    if (number < 1 || number > l->h.shard->fresh || number > l->h.c->blocks)
        return complain(l, "a block that is not there");
    if (l->seen[number]++)
        return complain(l, "a block in two places");
    return true;
}

static bool check_key(struct look *l, uint32_t number)
{
    const struct cache_entry *e = cache_entry(&l->h, number);
    char key[CACHE_KEY_MAX];
    if (e->key_n > CACHE_KEY_MAX || e->value_n > l->h.c->value_max)
        return complain(l, "an entry beyond the limits");
    cache_read(&l->h, number, 0, key, e->key_n);
    return cache_hash(l->h.c, str_of(key, e->key_n)) == e->hash ||
           complain(l, "an entry whose hash is not its key's");
}

// The blocks of an entry; those after the first are met here.
static bool check_chain(struct look *l, uint32_t number)
{
    const struct cache_entry *e = cache_entry(&l->h, number);
    uint32_t count = 1;
    for (uint32_t n = e->next; n; n = cache_block(&l->h, n)->next, count++)
        if (!meet(l, n))
            return false;
    return count == cache_blocks_for((size_t)e->key_n + e->value_n) ||
           complain(l, "an entry with too many or too few blocks");
}

static void check_buckets(struct look *l)
{
    const struct cache_shard *s = l->h.shard;
    uint32_t entries = 0, blocks = 0;
    for (uint32_t i = 0; i < l->h.c->buckets; i++) {
        for (uint32_t n = l->h.bucket[i]; n; n = cache_entry(&l->h, n)->chain) {
            if (!meet(l, n) || !check_chain(l, n) || !check_key(l, n))
                return;
            const struct cache_entry *e = cache_entry(&l->h, n);
            if ((e->hash & (l->h.c->buckets - 1)) != i ||
                cache_shard_of(l->h.c, e->hash) != (uint32_t)(s - l->h.c->shard))
                complain(l, "an entry in the wrong bucket");
            entries++;
            blocks += cache_blocks_for((size_t)e->key_n + e->value_n);
        }
    }
    if (entries != s->entries || blocks != s->used)
        complain(l, "entries or their blocks are counted wrongly");
}

static void check_use(struct look *l)
{
    const struct cache_shard *s = l->h.shard;
    uint32_t n = s->newest, newer = 0, count = 0;
    for (; n && count <= s->entries; newer = n, n = cache_entry(&l->h, n)->older, count++)
        if (cache_entry(&l->h, n)->newer != newer)
            complain(l, "the order of use is not the same both ways");
    if (count != s->entries || newer != s->oldest)
        complain(l, "the order of use does not have every entry");
}

static void check_free(struct look *l)
{
    const struct cache_shard *s = l->h.shard;
    uint32_t count = 0;
    for (uint32_t n = s->free; n; n = cache_block(&l->h, n)->next, count++)
        if (!meet(l, n))
            return;
    if (s->used + count != s->fresh || s->fresh > l->h.c->blocks)
        complain(l, "blocks are lost");
}

static void check_fills(struct look *l)
{
    uint32_t filling = 0;
    for (unsigned i = 0; i < CACHE_FILLS; i++) {
        const struct cache_slot *s = &l->h.shard->slots[i];
        if (!s->serial)
            continue;
        filling++;
        if (s->worker >= CACHE_WORKERS_MAX || s->serial > l->h.c->region->serials)
            complain(l, "a fill that nobody has begun");
    }
    if (filling != l->h.shard->filling)
        complain(l, "fills are counted wrongly");
}

const char *cache_check(struct cache *c)
{
    static void (*const checks[])(struct look *) = {check_buckets, check_use, check_free,
                                                    check_fills};
    const char *wrong = NULL;
    for (uint32_t i = 0; i < c->shards && !wrong; i++) {
        struct look l = {.seen = calloc((size_t)c->blocks + 1, 1)};
        if (!l.seen)
            return "no memory to look";
        l.h = cache_hold(c, i);
        for (size_t k = 0; k < sizeof checks / sizeof *checks && !l.wrong; k++)
            checks[k](&l);
        wrong = l.wrong;
        cache_let_go(&l.h);
        free(l.seen);
    }
    return wrong;
}

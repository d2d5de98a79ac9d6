// The map: see the header. Chains of links in a table that doubles whenever there are as many links
// as buckets; each link keeps its hash, so that neither growing nor most misses look at a key.
#include "base/map.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 16 };

bool map_init(struct map *m, size_t max)
{
    *m = (struct map){.max = max};
    return getrandom(m->seed, sizeof m->seed, 0) == sizeof m->seed;
}

void map_fini(struct map *m)
{
    free(m->buckets);
    m->buckets = NULL;
    m->bucket_count = m->count = 0;
}

static struct map_link **bucket(const struct map *m, uint64_t h)
{
    return &m->buckets[h & (m->bucket_count - 1)];
}

struct map_link *map_find(const struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    uint64_t h = hash_bytes(m->seed, key);
    struct map_link *l = *bucket(m, h);
    while (l && !(l->hash == h && str_eq(l->key, key)))
        l = l->next;
    return l;
}

static void push(struct map *m, struct map_link *l)
{
    struct map_link **first = bucket(m, l->hash);
    l->next = *first;
    *first = l;
}

static bool grow(struct map *m)
{
    struct map old = *m;
    m->bucket_count = old.bucket_count ? old.bucket_count * 2 : FIRST_BUCKETS;
    m->buckets = calloc(m->bucket_count, sizeof *m->buckets);
    if (!m->buckets) {
        *m = old;
        return false;
    }
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct map_link *l = old.buckets[i], *next; l; l = next) {
            next = l->next;
            push(m, l);
        }
    }
    free(old.buckets);
    return true;
}

bool map_add(struct map *m, struct map_link *l, struct str key)
{
    if (m->count == m->max)
        return false;
    // Without a larger table the old one does, with longer chains; without any there is no map.
    if (m->count == m->bucket_count && !grow(m) && !m->buckets)
        return false;
    *l = (struct map_link){.hash = hash_bytes(m->seed, key), .key = key};
    push(m, l);
    m->count++;
    return true;
}

void map_remove(struct map *m, struct map_link *l)
{
    struct map_link **at = bucket(m, l->hash);
    while (*at && *at != l)
        at = &(*at)->next;
    assert(*at);
    *at = l->next;
    m->count--;
}

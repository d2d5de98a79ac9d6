// The map: see the header. Chains of links in a table that doubles whenever there are as many links
// as buckets; each link keeps its hash, so that neither growing nor most misses look at a key.
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 16 };

// --- SipHash-1-3 (Aumasson and Bernstein, 2012): 64 bits out of any bytes, keyed with 128 ---

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void mix(uint64_t v[static 4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void absorb(uint64_t v[static 4], uint64_t word)
{
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

// Up to eight bytes, the first of them lowest.
static inline uint64_t load(const char *p, size_t n)
{
    uint64_t word = 0;
    if (n)
        memcpy(&word, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint64_t hash(const uint64_t seed[static 2], struct str s)
{
    uint64_t v[4] = {
        seed[0] ^ 0x736f6d6570736575,
        seed[1] ^ 0x646f72616e646f6d,
        seed[0] ^ 0x6c7967656e657261,
        seed[1] ^ 0x7465646279746573,
    };
    size_t at = 0;
    for (; s.n - at >= 8; at += 8)
        absorb(v, load(s.p + at, 8));
    absorb(v, load(s.n > at ? s.p + at : NULL, s.n - at) | (uint64_t)s.n << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// --- the map ---

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
    uint64_t h = hash(m->seed, key);
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
    *l = (struct map_link){.hash = hash(m->seed, key), .key = key};
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

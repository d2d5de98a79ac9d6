// One shard: its lock, its blocks, its table and the order of use.
#include "content/cache_inside.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

// The lock ----------------------------------------------------------------------------------------

int cache_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t a;
    int rc = pthread_mutexattr_init(&a);
    if (rc)
        return rc;
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
    return rc;
}

void cache_empty(struct cache_held *h)
{
    struct cache_shard *s = h->shard;
    memset(h->bucket, 0, h->c->buckets * sizeof *h->bucket);
    s->entries = s->used = s->fresh = s->free = s->newest = s->oldest = 0;
}

// The last holder died: nothing but the counts can be believed. Whoever waits looks again, and so
// begins the fills anew that are forgotten here. A death before the last line leaves the lock as
// it was, for the next one to do the same.
static void recover(struct cache_held *h)
{
    struct cache_shard *s = h->shard;
    cache_empty(h);
    memset(s->slots, 0, sizeof s->slots);
    s->filling = 0;
    s->counts.recovered++;
    cache_wake_all(h->c);
    pthread_mutex_consistent(&s->lock);
}

static struct cache_held view_of(struct cache *c, uint32_t shard)
{
    assert(shard < c->shards);
    return (struct cache_held){
        .c = c,
        .shard = &c->shard[shard],
        .bucket = &c->bucket[(size_t)shard * c->buckets],
        .block = &c->block[(size_t)shard * c->blocks],
        .now = cache_now(c),
    };
}

static void begin_with(struct cache_held *h, int locked)
{
    assert(locked == 0 || locked == EOWNERDEAD);
    if (locked == EOWNERDEAD)
        recover(h);
}

struct cache_held cache_hold(struct cache *c, uint32_t shard)
{
    struct cache_held h = view_of(c, shard);
    begin_with(&h, pthread_mutex_lock(&h.shard->lock));
    return h;
}

bool cache_hold_until(struct cache *c, uint32_t shard, const struct timespec *until,
                      struct cache_held *h)
{
    *h = view_of(c, shard);
    int locked = pthread_mutex_clocklock(&h->shard->lock, CLOCK_MONOTONIC, until);
    if (locked != ETIMEDOUT)
        begin_with(h, locked);
    return locked != ETIMEDOUT;
}

uint32_t cache_shard_of(const struct cache *c, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (c->shards - 1);
}

struct cache_held cache_hold_of(struct cache *c, uint64_t hash)
{
    return cache_hold(c, cache_shard_of(c, hash));
}

void cache_let_go(struct cache_held *h)
{
    pthread_mutex_unlock(&h->shard->lock);
}

// Blocks ------------------------------------------------------------------------------------------

struct cache_block *cache_block(const struct cache_held *h, uint32_t number)
{
    assert(number >= 1 && number <= h->shard->fresh && number <= h->c->blocks);
    return &h->block[number - 1];
}

struct cache_entry *cache_entry(const struct cache_held *h, uint32_t number)
{
    return (struct cache_entry *)cache_block(h, number);
}

uint32_t cache_blocks_for(size_t n)
{
    const size_t first = sizeof((struct cache_entry *)0)->data;
    const size_t each = sizeof((struct cache_block *)0)->data;
    return 1 + (uint32_t)(n > first ? (n - first + each - 1) / each : 0);
}

static size_t bytes_of(const struct cache_entry *e)
{
    return (size_t)e->key_n + e->value_n;
}

// There is one.
static uint32_t take_block(struct cache_held *h)
{
    struct cache_shard *s = h->shard;
    uint32_t number = s->free;
    s->used++;
    if (!number)
        return ++s->fresh;
    s->free = cache_block(h, number)->next;
    return number;
}

static uint32_t take_chain(struct cache_held *h, uint32_t count)
{
    uint32_t first = take_block(h);
    struct cache_block *last = cache_block(h, first);
    while (--count) {
        uint32_t number = take_block(h);
        last->next = number;
        last = cache_block(h, number);
    }
    last->next = 0;
    return first;
}

static void give_chain(struct cache_held *h, uint32_t first, uint32_t count)
{
    struct cache_block *last = cache_block(h, first);
    for (uint32_t i = 1; i < count; i++)
        last = cache_block(h, last->next);
    assert(last->next == 0 && h->shard->used >= count);
    last->next = h->shard->free;
    h->shard->free = first;
    h->shard->used -= count;
}

// The bytes of an entry, piece by piece.
struct cursor {
    const struct cache_held *h;
    char *p;
    size_t left;
    uint32_t next;
};

static void next_block(struct cursor *u)
{
    struct cache_block *b = cache_block(u->h, u->next);
    *u = (struct cursor){u->h, b->data, sizeof b->data, b->next};
}

static struct cursor cursor_at(const struct cache_held *h, uint32_t number, size_t at)
{
    struct cache_entry *e = cache_entry(h, number);
    struct cursor u = {h, e->data, sizeof e->data, e->next};
    while (at > u.left) {
        at -= u.left;
        next_block(&u);
    }
    u.p += at;
    u.left -= at;
    return u;
}

// The next piece, of n bytes at most, which are there.
static char *take_piece(struct cursor *u, size_t n, size_t *got)
{
    if (u->left == 0)
        next_block(u);
    char *p = u->p;
    *got = n < u->left ? n : u->left;
    u->p += *got;
    u->left -= *got;
    return p;
}

void cache_read(const struct cache_held *h, uint32_t number, size_t at, char *dst, size_t n)
{
    struct cursor u = cursor_at(h, number, at);
    for (size_t got; n; dst += got, n -= got) {
        const char *p = take_piece(&u, n, &got);
        memcpy(dst, p, got);
    }
}

static void put_bytes(struct cursor *u, struct str bytes)
{
    for (size_t got; bytes.n; bytes.p += got, bytes.n -= got) {
        char *p = take_piece(u, bytes.n, &got);
        memcpy(p, bytes.p, got);
    }
}

void cache_write(struct cache_held *h, uint32_t number, size_t at, struct str bytes)
{
    struct cursor u = cursor_at(h, number, at);
    put_bytes(&u, bytes);
}

bool cache_copy(const struct cache_held *h, uint32_t number, enum cache_kind *kind, struct buf *out)
{
    const struct cache_entry *e = cache_entry(h, number);
    assert(e->value_n <= h->c->value_max && e->key_n <= CACHE_KEY_MAX);
    char *room = buf_room(out, e->value_n);
    if (!room)
        return false;
    *kind = (enum cache_kind)e->kind;
    cache_read(h, number, e->key_n, room, e->value_n);
    buf_added(out, e->value_n);
    return true;
}

// The order of use --------------------------------------------------------------------------------

static void unlink_use(struct cache_held *h, const struct cache_entry *e)
{
    struct cache_shard *s = h->shard;
    *(e->newer ? &cache_entry(h, e->newer)->older : &s->newest) = e->older;
    *(e->older ? &cache_entry(h, e->older)->newer : &s->oldest) = e->newer;
}

static void link_newest(struct cache_held *h, uint32_t number)
{
    struct cache_shard *s = h->shard;
    struct cache_entry *e = cache_entry(h, number);
    e->newer = 0;
    e->older = s->newest;
    *(s->newest ? &cache_entry(h, s->newest)->newer : &s->oldest) = number;
    s->newest = number;
    e->touched = (uint32_t)(h->now / 1000);
}

// Once a second is enough for an order of use.
void cache_touch(struct cache_held *h, uint32_t number)
{
    struct cache_entry *e = cache_entry(h, number);
    if (e->touched == (uint32_t)(h->now / 1000))
        return;
    unlink_use(h, e);
    link_newest(h, number);
}

// The table ---------------------------------------------------------------------------------------

static uint32_t *bucket_of(const struct cache_held *h, uint64_t hash)
{
    return &h->bucket[hash & (h->c->buckets - 1)];
}

static bool has_key(const struct cache_held *h, uint32_t number, struct str key)
{
    if (cache_entry(h, number)->key_n != key.n)
        return false;
    struct cursor u = cursor_at(h, number, 0);
    for (size_t got; key.n; key.p += got, key.n -= got) {
        const char *p = take_piece(&u, key.n, &got);
        if (memcmp(p, key.p, got) != 0)
            return false;
    }
    return true;
}

uint32_t cache_find(struct cache_held *h, struct str key, uint64_t hash)
{
    uint32_t number = *bucket_of(h, hash), steps = 0;
    for (; number; number = cache_entry(h, number)->chain, steps++) {
        assert(steps < h->shard->entries);
        if (cache_entry(h, number)->hash == hash && has_key(h, number, key))
            break;
    }
    if (!number || cache_entry(h, number)->gone > h->now)
        return number;
    cache_drop(h, number);
    h->shard->counts.expired++;
    return 0;
}

bool cache_has_value(const struct cache_held *h, uint32_t number)
{
    if (!number)
        return false;
    const struct cache_entry *e = cache_entry(h, number);
    return e->expires > h->now && e->kind != CACHE_PASS;
}

static void unlink_bucket(struct cache_held *h, uint32_t number)
{
    const struct cache_entry *e = cache_entry(h, number);
    uint32_t *at = bucket_of(h, e->hash), steps = 0;
    for (; *at != number; at = &cache_entry(h, *at)->chain, steps++)
        assert(steps < h->shard->entries);
    *at = e->chain;
}

void cache_drop(struct cache_held *h, uint32_t number)
{
    const struct cache_entry *e = cache_entry(h, number);
    unlink_bucket(h, number);
    unlink_use(h, e);
    h->shard->entries--;
    give_chain(h, number, cache_blocks_for(bytes_of(e)));
}

static void make_room(struct cache_held *h, uint32_t blocks)
{
    struct cache_shard *s = h->shard;
    while (h->c->blocks - s->used < blocks) {
        bool expired = cache_entry(h, s->oldest)->gone <= h->now;
        cache_drop(h, s->oldest);
        *(expired ? &s->counts.expired : &s->counts.evictions) += 1;
    }
}

// When it is over: ms after at, or never.
static uint64_t later(uint64_t at, uint64_t ms)
{
    uint64_t sum;
    return __builtin_add_overflow(at, ms, &sum) ? UINT64_MAX : sum;
}

void cache_insert(struct cache_held *h, struct str key, uint64_t hash, const struct cache_value *v)
{
    uint32_t blocks = cache_blocks_for(key.n + v->bytes.n), *bucket = bucket_of(h, hash);
    make_room(h, blocks);
    uint32_t number = take_chain(h, blocks);
    struct cache_entry *e = cache_entry(h, number);
    e->hash = hash;
    e->expires = v->ttl_ms ? later(h->now, v->ttl_ms) : UINT64_MAX;
    e->gone = later(e->expires, v->stale_ms);
    e->kind = (uint8_t)v->kind;
    e->key_n = (uint16_t)key.n;
    e->value_n = (uint32_t)v->bytes.n;
    struct cursor u = cursor_at(h, number, 0);
    put_bytes(&u, key);
    put_bytes(&u, v->bytes);
    e->chain = *bucket;
    *bucket = number;
    link_newest(h, number);
    h->shard->entries++;
}

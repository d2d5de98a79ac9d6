// The cache: its memory, and what is done with keys and values. See the headers; the table of a
// shard is in cache_shard.c, fills are in cache_fill.c.
#include "base/hash.h"
#include "content/cache_inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint64_t MAGIC = 0x6568636163656e6c;                              // "lnecache"
static const uint64_t LAYOUT = (uint64_t)2 << 32 | sizeof(struct cache_shard); // with its mutex
enum { SLACK = 4096 }; // for the region's head, and for blocks that begin at a multiple of theirs

// The memory --------------------------------------------------------------------------------------

static uint32_t power_of_two(uint64_t at_most)
{
    return (uint32_t)1 << (63 - __builtin_clzll(at_most));
}

// What follows from c->size.
static void measure(struct cache *c)
{
    uint64_t shards = c->size / CACHE_SHARD_BYTES;
    shards = shards < 1 ? 1 : shards > CACHE_SHARDS_MAX ? CACHE_SHARDS_MAX : shards;
    c->shards = power_of_two(shards);
    uint64_t each = (c->size - SLACK) / c->shards - sizeof(struct cache_shard);
    uint64_t blocks = each / (sizeof(struct cache_block) + sizeof(uint32_t));
    c->blocks = blocks < INT32_MAX ? (uint32_t)blocks : INT32_MAX;
    c->buckets = power_of_two(c->blocks);
    c->value_max = (size_t)c->blocks / 3 * sizeof c->block->data - CACHE_KEY_MAX;
    if (c->value_max > CACHE_VALUE_MAX)
        c->value_max = CACHE_VALUE_MAX;
}

static char *aligned(char *p, size_t to)
{
    return p + (to - (uintptr_t)p % to) % to;
}

static bool map(struct cache *c)
{
    int flags = MAP_SHARED | (c->fd < 0 ? MAP_ANONYMOUS : 0);
    void *p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, flags, c->fd, 0);
    if (p == MAP_FAILED)
        return false;
    c->region = p;
    c->shard = (void *)aligned((char *)(c->region + 1), 64);
    c->bucket = (void *)(c->shard + c->shards);
    c->block = (void *)aligned((char *)(c->bucket + (size_t)c->shards * c->buckets), CACHE_BLOCK);
    assert((char *)(c->block + (size_t)c->shards * c->blocks) <= (char *)p + c->size);
    return true;
}

static bool open_wakes(struct cache *c, unsigned workers)
{
    while (c->workers < workers) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0)
            return false;
        c->wake[c->workers++] = fd;
    }
    return true;
}

static struct cache *new_view(size_t size, int fd)
{
    struct cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->size = size;
    c->fd = fd;
    measure(c);
    return c;
}

// Undoes what was done so far, with errno as it was.
static struct cache *give_up(struct cache *c)
{
    int err = errno;
    cache_free(c);
    errno = err;
    return NULL;
}

// A file in memory, for a later program to map; where a limit on file sizes (RLIMIT_FSIZE) refuses
// that, memory without a file, which ends with the processes that share it. Its mode is 0: a script that
// opens /proc/self/fd/N, to which no rule of the sandbox applies, does not get at what the master reads.
static bool make_memory(struct cache *c)
{
    c->fd = memfd_create("lunette-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (c->fd < 0)
        return false;
    if (ftruncate(c->fd, (off_t)c->size) != 0) {
        if (errno != EFBIG)
            return false;
        close(c->fd);
        c->fd = -1;
        return map(c);
    }
    return fcntl(c->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
           fchmod(c->fd, 0) == 0 && map(c);
}

static bool init_region(struct cache *c)
{
    struct cache_region *r = c->region;
    if (getrandom(r->seed, sizeof r->seed, 0) != sizeof r->seed)
        return false;
    for (uint32_t i = 0; i < c->shards; i++) {
        errno = cache_lock_init(&c->shard[i].lock);
        if (errno)
            return false;
    }
    r->size = c->size;
    r->layout = LAYOUT;
    r->magic = MAGIC;
    return true;
}

struct cache *cache_new_memory(size_t bytes)
{
    struct cache *c = new_view(bytes, -1);
    return c && make_memory(c) && init_region(c) ? c : give_up(c);
}

struct cache *cache_new(size_t bytes, unsigned workers)
{
    assert(bytes >= CACHE_BYTES_MIN && workers <= CACHE_WORKERS_MAX);
    struct cache *c = cache_new_memory(bytes);
    return !c || open_wakes(c, workers) ? c : give_up(c);
}

struct cache *cache_open(int fd, unsigned workers)
{
    struct cache_region head;
    struct stat st;
    assert(workers <= CACHE_WORKERS_MAX);
    if (fstat(fd, &st) != 0 || pread(fd, &head, sizeof head, 0) < 0)
        return NULL;
    if (st.st_size < CACHE_BYTES_MIN || head.magic != MAGIC || head.layout != LAYOUT ||
        head.size != (uint64_t)st.st_size) {
        errno = EPROTO;
        return NULL;
    }
    struct cache *c = new_view(head.size, fd);
    if (c && map(c) && open_wakes(c, workers))
        return c;
    if (c)
        c->fd = -1; // still the caller's
    return give_up(c);
}

void cache_number_from(struct cache *c, unsigned first)
{
    assert(first + c->workers <= CACHE_WORKERS_MAX);
    c->first = first;
}

int cache_fd(const struct cache *c)
{
    return c->fd;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    if (c->region)
        munmap(c->region, c->size);
    if (c->fd >= 0)
        close(c->fd);
    while (c->workers)
        close(c->wake[--c->workers]);
    free(c);
}

int cache_wake_fd(const struct cache *c, unsigned worker)
{
    assert(worker < c->workers);
    return c->wake[worker];
}

// An eventfd that is full wakes as well.
void cache_wake(const struct cache *c, unsigned worker)
{
    uint64_t one = 1;
    if (worker < c->workers && write(c->wake[worker], &one, sizeof one) < 0)
        assert(errno == EAGAIN);
}

void cache_wake_all(const struct cache *c)
{
    for (unsigned i = 0; i < c->workers; i++)
        cache_wake(c, i);
}

// The time since the machine was started, which no setting of its clock changes.
uint64_t cache_now(const struct cache *c)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + c->region->ahead;
}

void cache_advance(struct cache *c, uint64_t ms)
{
    c->region->ahead += ms;
}

uint64_t cache_hash(const struct cache *c, struct str key)
{
    assert(key.n <= CACHE_KEY_MAX);
    uint64_t h = hash_bytes(c->region->seed, key);
    return h ? h : 1;
}

size_t cache_value_max(const struct cache *c)
{
    return c->value_max;
}

// Keys and values ---------------------------------------------------------------------------------

enum cache_result cache_get(struct cache *c, struct str key, enum cache_kind *kind, struct buf *out)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    enum cache_result r = CACHE_ABSENT;
    if (cache_has_value(&h, e)) {
        cache_touch(&h, e);
        h.shard->counts.hits++;
        r = cache_copy(&h, e, kind, out) ? CACHE_OK : CACHE_NO_MEMORY;
    } else {
        h.shard->counts.misses++;
    }
    cache_let_go(&h);
    return r;
}

static enum cache_result put(struct cache *c, struct str key, const struct cache_value *v,
                             bool replace)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    enum cache_result r = CACHE_OK;
    if (!replace && cache_has_value(&h, e)) {
        r = CACHE_EXISTS;
        goto out;
    }
    if (e)
        cache_drop(&h, e);
    if (v->bytes.n > c->value_max)
        r = CACHE_TOO_LARGE;
    else
        cache_insert(&h, key, hash, v);
out:
    cache_let_go(&h);
    return r;
}

enum cache_result cache_set(struct cache *c, struct str key, const struct cache_value *v)
{
    return put(c, key, v, true);
}

enum cache_result cache_add(struct cache *c, struct str key, const struct cache_value *v)
{
    return put(c, key, v, false);
}

// *n += by.
static enum cache_result sum(struct cache_number *n, const struct cache_number *by)
{
    if (n->kind == CACHE_INTEGER && by->kind == CACHE_INTEGER)
        return __builtin_add_overflow(n->integer, by->integer, &n->integer) ? CACHE_OVERFLOW
                                                                            : CACHE_OK;
    double a = n->kind == CACHE_INTEGER ? (double)n->integer : n->number;
    double b = by->kind == CACHE_INTEGER ? (double)by->integer : by->number;
    *n = (struct cache_number){.kind = CACHE_FLOAT, .number = a + b};
    return CACHE_OK;
}

static struct str bytes_of(const struct cache_number *n)
{
    return str_of((const char *)&n->integer, sizeof n->integer);
}

// Adds to the number of an entry, where it stands.
static enum cache_result add_to(struct cache_held *h, uint32_t number, struct cache_number *n)
{
    struct cache_entry *e = cache_entry(h, number);
    if (e->kind != CACHE_INTEGER && e->kind != CACHE_FLOAT)
        return CACHE_WRONG_KIND;
    struct cache_number was = {.kind = (enum cache_kind)e->kind};
    cache_read(h, number, e->key_n, (char *)&was.integer, sizeof was.integer);
    enum cache_result r = sum(&was, n);
    if (r != CACHE_OK)
        return r;
    *n = was;
    e->kind = (uint8_t)n->kind;
    cache_write(h, number, e->key_n, bytes_of(n));
    cache_touch(h, number);
    return CACHE_OK;
}

enum cache_result cache_incr(struct cache *c, struct str key, struct cache_number *n,
                             uint64_t ttl_ms)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    enum cache_result r = CACHE_OK;
    if (cache_has_value(&h, e)) {
        r = add_to(&h, e, n);
    } else {
        struct cache_value v = {.kind = n->kind, .bytes = bytes_of(n), .ttl_ms = ttl_ms};
        if (e)
            cache_drop(&h, e);
        cache_insert(&h, key, hash, &v);
    }
    cache_let_go(&h);
    return r;
}

enum cache_result cache_delete(struct cache *c, struct str key)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    bool had = cache_has_value(&h, e);
    if (e)
        cache_drop(&h, e);
    cache_let_go(&h);
    return had ? CACHE_OK : CACHE_ABSENT;
}

enum cache_result cache_ttl(struct cache *c, struct str key, uint64_t *ms)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    uint32_t e = cache_find(&h, key, hash);
    bool has = cache_has_value(&h, e);
    if (has) {
        uint64_t expires = cache_entry(&h, e)->expires;
        *ms = expires == UINT64_MAX ? UINT64_MAX : expires - h.now;
    }
    cache_let_go(&h);
    return has ? CACHE_OK : CACHE_ABSENT;
}

void cache_clear(struct cache *c)
{
    c->region->purges++; // what is being made now may be older than this
    for (uint32_t i = 0; i < c->shards; i++) {
        struct cache_held h = cache_hold(c, i);
        cache_empty(&h);
        cache_let_go(&h);
    }
}

static void add_counts(struct cache_counts *sum, const struct cache_counts *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    for (size_t i = 0; i < sizeof *one / sizeof *from; i++)
        to[i] += from[i];
}

void cache_stats(struct cache *c, struct cache_stats *out)
{
    *out = (struct cache_stats){.capacity = (uint64_t)c->shards * c->blocks * CACHE_BLOCK};
    for (uint32_t i = 0; i < c->shards; i++) {
        struct cache_held h = cache_hold(c, i);
        out->entries += h.shard->entries;
        out->bytes += (uint64_t)h.shard->used * CACHE_BLOCK;
        out->filling += h.shard->filling;
        add_counts(&out->counts, &h.shard->counts);
        cache_let_go(&h);
    }
}

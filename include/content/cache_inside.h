// The shared memory of the cache: between cache.c, cache_shard.c, cache_fill.c and cache_check.c.
//
// drawing:
//   region │ shard 0: lock, lists, fills │ shard 1 … │ buckets of 0 │ 1 … │ blocks of 0 │ 1 … │
//
//   bucket ──► entry ──chain──► entry          of the same bucket
//                │
//               next ──► block ──► block       the rest of its key and value, in one piece
//
// Nothing in it is a pointer: blocks are numbered from 1 in their shard, and 0 is none, so that
// memory that was never written to is an empty cache. Every number is held against its bound
// before it is used. A process that finds nonsense aborts, and so frees the next one from it.
#ifndef LUNETTE_CONTENT_CACHE_INSIDE_H
#define LUNETTE_CONTENT_CACHE_INSIDE_H

#include "content/cache.h"

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

// A fill under way.
struct cache_slot {
    _Atomic uint64_t serial; // 0: free
    uint64_t hash;           // of the key: two keys of one hash wait for each other's fill in vain
    uint64_t needs;          // hash of the key that its maker waits for; 0: none
    uint32_t worker;         // the maker's
    uint64_t waiting[CACHE_WORKERS_MAX / 64]; // a bit for each worker to be woken
};

struct cache_shard {
    pthread_mutex_t lock;
    uint32_t entries;
    uint32_t used;  // blocks in entries
    uint32_t fresh; // blocks that were ever used; the later ones are free and untouched
    uint32_t free;  // the first of the others that are free, linked by next
    uint32_t newest, oldest;
    uint32_t filling; // slots in use
    struct cache_counts counts;
    struct cache_slot slots[CACHE_FILLS];
};

// The first block of a value.
struct cache_entry {
    uint32_t next;         // block with more of its bytes; first, as in struct cache_block
    uint32_t chain;        // entry in the same bucket
    uint32_t newer, older; // in the order of use
    uint64_t hash;
    uint64_t expires; // milliseconds of cache_now; UINT64_MAX: never
    uint64_t gone;    // when it is no use as a stale value either
    uint32_t touched; // the second of its last move to the front
    uint32_t value_n; // bytes
    uint16_t key_n;   // bytes, before those of the value
    uint8_t kind;     // enum cache_kind
    char data[CACHE_BLOCK - 51];
};
_Static_assert(sizeof(struct cache_entry) == CACHE_BLOCK, "an entry begins a block");
struct cache_block {
    uint32_t next;
    char data[CACHE_BLOCK - 4];
};

struct cache_region {
    uint64_t magic, layout, size; // all else about its geometry follows from the size
    uint64_t seed[2];
    _Atomic uint64_t serials; // of fills and stamps
    _Atomic uint64_t purges;  // stamps that were renewed
    _Atomic uint64_t ahead;   // milliseconds by which the clock was moved on
};

// A process's view of it.
struct cache {
    struct cache_region *region;
    struct cache_shard *shard;
    uint32_t *bucket;
    struct cache_block *block;
    uint32_t shards, buckets; // powers of two; buckets and
    uint32_t blocks;          // blocks of each shard
    size_t size, value_max;
    int fd;
    unsigned workers;
    unsigned first; // the number of worker 0 in what is shared
    int wake[CACHE_WORKERS_MAX];
    // Of cache_tend.
    uint64_t dead[CACHE_WORKERS_MAX / 64];
    uint64_t last[CACHE_WORKERS_MAX]; // the serial that no fill of the dead one is beyond
    unsigned deaths, tended;          // noted so far; and those that have been dealt with
    unsigned under_way;               // deaths that the tender knows of
    pid_t tender;                     // 0: none
};

// A shard while this process holds its lock.
struct cache_held {
    struct cache *c;
    struct cache_shard *shard;
    uint32_t *bucket;
    struct cache_block *block; // the one with number 1
    uint64_t now;
};

// cache.c
uint64_t cache_now(const struct cache *c);
uint64_t cache_hash(const struct cache *c, struct str key); // never 0
void cache_wake(const struct cache *c, unsigned worker);
// A cache of that size without wakes, its memory made; NULL with errno.
struct cache *cache_new_memory(size_t bytes);

// cache_shard.c
int cache_lock_init(pthread_mutex_t *lock);
// Takes the lock of the shard, emptying it when its last holder died.
struct cache_held cache_hold(struct cache *c, uint32_t shard);
struct cache_held cache_hold_of(struct cache *c, uint64_t hash);
// The same, unless another process keeps the lock until then, of CLOCK_MONOTONIC: false.
bool cache_hold_until(struct cache *c, uint32_t shard, const struct timespec *until,
                      struct cache_held *h);
void cache_let_go(struct cache_held *h);
uint32_t cache_shard_of(const struct cache *c, uint64_t hash);

struct cache_entry *cache_entry(const struct cache_held *h, uint32_t number);
struct cache_block *cache_block(const struct cache_held *h, uint32_t number);
uint32_t cache_blocks_for(size_t n); // of an entry with n bytes of key and value
// The entry's number, or 0. One that is past all use is dropped.
uint32_t cache_find(struct cache_held *h, struct str key, uint64_t hash);
// Whether that is an entry within its time, and has a value (is no CACHE_PASS); number may be 0.
bool cache_has_value(const struct cache_held *h, uint32_t number);
void cache_touch(struct cache_held *h, uint32_t number);
void cache_drop(struct cache_held *h, uint32_t number);
// A new entry under a key that has none; the sizes are within bounds.
void cache_insert(struct cache_held *h, struct str key, uint64_t hash, const struct cache_value *v);
// Forgets all entries.
void cache_empty(struct cache_held *h);
// n bytes from offset at on, counted from the start of the key.
void cache_read(const struct cache_held *h, uint32_t number, size_t at, char *dst, size_t n);
void cache_write(struct cache_held *h, uint32_t number, size_t at, struct str bytes);
// Appends the value; false when out cannot take it.
bool cache_copy(const struct cache_held *h, uint32_t number, enum cache_kind *kind,
                struct buf *out);

// cache_fill.c: ends the fills of a worker that is gone (by its number in what is shared), but none that
// was begun after the fill with the serial last: another process may have the number by now. The caller
// wakes.
void cache_fill_abandon(struct cache_held *h, unsigned worker, uint64_t last);

#endif

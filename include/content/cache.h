// The cache that all workers share: keys and values in memory that is mapped before they are
// forked.
//
// The memory is cut into shards, each with a table of its own and a robust mutex. All a shard holds
// lies in blocks of one size, so that nothing is ever too scattered for a value: one that needs
// room gets it from those that were used the longest time ago. A process may die at any
// instruction. If it held a shard's lock, whoever takes that next finds the shard half-changed and
// empties it, which stats count as `recovered`: a cache may forget, it may not lie.
//
// Values are copied while the lock is held. Without it a reader would have to pin what it reads,
// and somebody to take the pins off that a dead one left. The price is bounded: for CACHE_VALUE_MAX
// bytes 100 to 200 µs, which another process that needs the same shard at that moment waits for.
//
// A fill is one worker's promise to make the value of a key that others wait for (cache_look,
// cache_fill_end; who waits, and where: content/cache_client.h). Fills belong to a worker's number;
// the master calls cache_note_death when a worker is gone, so that one who waits takes over.
#ifndef LUNETTE_CONTENT_CACHE_H
#define LUNETTE_CONTENT_CACHE_H

#include "base/buf.h"

#include <sys/types.h>

enum {
    CACHE_BYTES_MIN = 1 << 20,
    CACHE_KEY_MAX = 4096,      // bytes of a key
    CACHE_VALUE_MAX = 1 << 20, // bytes of a value, and at most a third of a shard
    CACHE_SHARDS_MAX = 64,
    CACHE_SHARD_BYTES = 4 << 20, // a shard is not made smaller, so that there are fewer of them
    CACHE_FILLS = 64,            // under way in a shard; a caller beyond them fills for itself
    CACHE_WORKERS_MAX = 256,
    CACHE_BLOCK = 256,    // bytes of a block, with 4 to 64 of our own
    CACHE_CHAIN_MAX = 64, // of fills that need one another
};

// What the bytes of a value are. Numbers are eight bytes in the machine's order.
enum cache_kind {
    CACHE_NONE, // no value
    CACHE_STRING,
    CACHE_INTEGER,
    CACHE_FLOAT,
    CACHE_BOOLEAN, // one byte, 0 or 1
    CACHE_JSON,
    CACHE_PASS, // the mark of a value that cannot be kept: cache_look says CACHE_ALONE
};

enum cache_result {
    CACHE_OK,
    CACHE_ABSENT,    // there is no value under that key
    CACHE_EXISTS,    // there is one already
    CACHE_TOO_LARGE, // larger than cache_value_max()
    CACHE_WRONG_KIND,
    CACHE_OVERFLOW,  // the sum is no 64-bit integer
    CACHE_NO_MEMORY, // the caller's buffer cannot take the value
};

struct cache;

// Makes the cache, for the numbers 0 … workers-1. bytes is everything it may use, of which pages
// come as they are written to; at least CACHE_BYTES_MIN. NULL with errno.
struct cache *cache_new(size_t bytes, unsigned workers);
// The cache whose memory is fd, a descriptor that cache_fd has given in the same or another
// process, with all that is in it. NULL with errno: EPROTO for memory of another layout. fd is then
// this cache's to close.
struct cache *cache_open(int fd, unsigned workers);
// For two servers on one memory, as when one replaces the other: its workers are known there as
// first … first + workers, which must be none of the other's. Neither can wake the other's workers,
// so each wakes its own all the time (cache_wake_all) while there are both. Before the first use.
void cache_number_from(struct cache *c, unsigned first);
void cache_wake_all(const struct cache *c);
// −1: the memory has none (a limit on file sizes was in force), and cannot be opened again.
int cache_fd(const struct cache *c);
// Unmaps it; the memory goes with the last process that has it. NULL is harmless.
void cache_free(struct cache *c);

// The eventfd that wakes a worker: something that it waits for is over.
int cache_wake_fd(const struct cache *c, unsigned worker);
// Bytes that a value may have in this cache.
size_t cache_value_max(const struct cache *c);

// Keys have at most CACHE_KEY_MAX bytes, and are compared byte for byte.

struct cache_value {
    enum cache_kind kind;
    struct str bytes;
    uint64_t ttl_ms;   // 0: no expiry
    uint64_t stale_ms; // and how long after that cache_look gives it while a fill is under way
};

// Appends the value to out. CACHE_OK with its kind, CACHE_ABSENT, CACHE_NO_MEMORY.
enum cache_result cache_get(struct cache *c, struct str key, enum cache_kind *kind,
                            struct buf *out);
// CACHE_OK or CACHE_TOO_LARGE, after which there is no value under key: the old one is not what
// the caller wanted to be found.
enum cache_result cache_set(struct cache *c, struct str key, const struct cache_value *v);
// The same where there is none: or CACHE_EXISTS.
enum cache_result cache_add(struct cache *c, struct str key, const struct cache_value *v);

struct cache_number {
    enum cache_kind kind; // CACHE_INTEGER or CACHE_FLOAT
    union {
        int64_t integer;
        double number;
    };
};
// Adds *n to the number under key, from 0, and puts the sum in *n: an integer if both are. Only a
// new number gets ttl_ms. CACHE_OK, CACHE_WRONG_KIND, CACHE_OVERFLOW.
enum cache_result cache_incr(struct cache *c, struct str key, struct cache_number *n,
                             uint64_t ttl_ms);
// CACHE_OK or CACHE_ABSENT.
enum cache_result cache_delete(struct cache *c, struct str key);
// How long it will be there still; UINT64_MAX: without end. CACHE_OK or CACHE_ABSENT.
enum cache_result cache_ttl(struct cache *c, struct str key, uint64_t *ms);
// Forgets every value. Fills go on.
void cache_clear(struct cache *c);

// Since the memory was made, over all workers; they survive the emptying of a shard.
struct cache_counts {
    uint64_t hits, misses;       // of cache_get and cache_look
    uint64_t evictions;          // values that gave way to others
    uint64_t expired;            // values found to be past their time
    uint64_t recovered;          // shards emptied after a death
    uint64_t stale;              // hits on values past their time
    uint64_t fills, fills_alone; // fills begun; callers told to fill for themselves
    uint64_t fills_failed;       // fills that ended without a value, deaths included
    uint64_t waits;              // callers told to wait
};
struct cache_stats {
    uint64_t entries;         // values, those that have expired unnoticed included
    uint64_t bytes, capacity; // of blocks in use, and of all blocks
    uint64_t filling;         // fills under way
    struct cache_counts counts;
};
void cache_stats(struct cache *c, struct cache_stats *out);

// Fills ------------------------------------------------------------------------------------------

// One fill, named so that a later one is never taken for it.
struct cache_fill {
    uint32_t shard, slot;
    uint64_t serial; // 0: none
};

enum cache_look {
    CACHE_HIT,   // there is a value, or a stale one while another fills
    CACHE_FILL,  // the fill is the caller's, who must end it
    CACHE_WAIT,  // another fills: the caller's worker will be woken when that is over
    CACHE_ALONE, // make the value without a fill: there are CACHE_FILLS, or it was never kept
    CACHE_LOST,  // the caller's buffer cannot take the value
};
// What a caller in that worker should do for the value of key. CACHE_HIT appends it to out and
// tells its kind; without out it is not counted, only told. CACHE_FILL and CACHE_WAIT set *fill;
// without fill nothing is begun and waited for, and where there is no value it is CACHE_ALONE.
enum cache_look cache_look(struct cache *c, struct str key, unsigned worker, enum cache_kind *kind,
                           struct buf *out, struct cache_fill *fill);
// Ends the caller's fill and wakes the workers that wait. A value was set before (made), or not.
// Harmless for one that is over.
void cache_fill_end(struct cache *c, const struct cache_fill *fill, bool made);
// The worker waits for fill too: false when that is over already.
bool cache_fill_join(struct cache *c, const struct cache_fill *fill, unsigned worker);
// Whether it is over; takes no lock.
bool cache_fill_over(const struct cache *c, const struct cache_fill *fill);
// Who makes fill needs the value of key first: false, with nothing noted, when the fill of key
// waits, over any number of others, for this one. Until cache_fill_needs_none.
bool cache_fill_needs(struct cache *c, const struct cache_fill *fill, struct str key);
void cache_fill_needs_none(struct cache *c, const struct cache_fill *fill);

// Stamps -----------------------------------------------------------------------------------------
//
// What is kept together with the stamp of a key is good while the key has that stamp: so renewing
// one stamp takes back any number of values at once. No stamp is ever given twice. They are values
// among the others, and may give way to them: a key that has none is given a new one, so that
// forgetting takes values back, and never brings any.

// The stamp of key, made where there is none.
uint64_t cache_stamp(struct cache *c, struct str key);
// Gives the key another stamp than it ever had.
void cache_stamp_renew(struct cache *c, struct str key);

// A point in time, in the order of stamps.
struct cache_moment {
    uint64_t serial, purges;
};
struct cache_moment cache_moment(const struct cache *c);
// Whether what was begun at the moment, and is to be kept with the stamp that was read after it was
// made, is no older than a renewal of that stamp. May say no where a stamp was only forgotten.
bool cache_stamp_since(const struct cache *c, const struct cache_moment *begun, uint64_t stamp);

// Rates ------------------------------------------------------------------------------------------
//
// A token bucket for each key: it holds `burst` tokens at most, and one more comes every token_ms.
// A bucket that nobody took from is full, and so is one that gave way to other values.

struct cache_rate {
    double token_ms, burst; // above 0
};
struct cache_taken {
    bool allowed;   // the tokens were there, and are taken; else none was
    double left;    // tokens that are in the bucket now
    double full_ms; // until it is full again
    double wait_ms; // until as many are there, when they were not
};
// Takes cost tokens, 0 or more, from the bucket of key; one for all workers.
struct cache_taken cache_take(struct cache *c, struct str key, const struct cache_rate *rate,
                              double cost);

// Deaths -----------------------------------------------------------------------------------------
//
// drawing:
//   nothing due ──cache_note_death──> due ──cache_tend──> a child is at it ──its end──> nothing due
//                                      ▲                    │ cache_tender_ended
//                                      └── CACHE_HELD, CACHE_UNTENDED, or deaths meanwhile
//
// This part, and the functions that make, wake and free, are a master's: they never wait, and
// believe nothing that is in the memory, which workers write. So a process made for it takes the
// locks.

// The process with that number is gone, by whatever end: its fills have failed, the shard whose
// lock it held is emptied, and every worker looks again at what it waits for; all of that when it
// is tended. The number may be given to another process at once.
void cache_note_death(struct cache *c, unsigned worker);
// The other server is gone, with whatever it was filling.
void cache_note_others(struct cache *c);

// Whether cache_tend has something to begin.
bool cache_is_due(const struct cache *c);
bool cache_is_tended(const struct cache *c); // a child is at it
// Begins to deal with the deaths noted so far, where that is due: a child, which takes 0.1 s for
// each shard whose lock another process keeps. 0 or −errno.
int cache_tend(struct cache *c);
// The child has taken too long, since it is stopped: it is killed, and soon ends with
// CACHE_UNTENDED.
void cache_end_tender(struct cache *c);

enum cache_tended {
    CACHE_TENDED,   // or a later death is due
    CACHE_HELD,     // a process that lives keeps a lock; what else there was is done
    CACHE_UNTENDED, // it was killed by somebody
    CACHE_DAMAGED,  // it has died of what is in the memory: a worker has broken that
};
// A child of the caller's has ended with that status of waitpid. False: it was none of cache_tend.
// *shard, with CACHE_HELD: the first one whose lock is kept.
bool cache_tender_ended(struct cache *c, pid_t pid, int status, enum cache_tended *what,
                        uint32_t *shard);
// Who keeps the lock of the shard, as its word says: to be held against processes that one knows.
// 0: nobody; −1: the word is none that a lock can have.
pid_t cache_holder(const struct cache *c, uint32_t shard);
// Puts new and empty memory in place of damaged memory, which stays with the processes that have
// it. For those that are forked from now on; nothing is due any more. 0 or −errno: all is as it
// was.
int cache_renew(struct cache *c);

// For tests ---------------------------------------------------------------------------------------

// Moves the cache's clock on by ms, for every process.
void cache_advance(struct cache *c, uint64_t ms);
// Looks at every shard: NULL, or a sentence about the first thing that does not hold.
const char *cache_check(struct cache *c);

#endif

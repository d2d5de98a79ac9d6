// A hash map keyed by strings that strangers may choose.
//
// The hash is SipHash-1-3 under a seed of the map's own, so that nobody outside can find many keys
// that share a bucket. The map holds links, which their owner embeds: adding one allocates nothing
// but, now and then, a larger table of buckets, and removing one frees nothing.
#ifndef LUNETTE_BASE_MAP_H
#define LUNETTE_BASE_MAP_H

#include "base/str.h"

struct map_link {
    struct map_link *next; // in its bucket
    uint64_t hash;
    struct str key; // bytes of the owner's, which stay as they are while the link is in a map
};

struct map {
    struct map_link **buckets; // NULL while nothing was ever added
    size_t bucket_count;       // a power of two, or 0
    size_t count;              // links in it
    size_t max;                // count never passes this
    uint64_t seed[2];
};

// An empty map that may hold max links, under a seed from the kernel. Allocates nothing. False when
// the kernel gives no random bytes.
bool map_init(struct map *m, size_t max);
// Gives the table back; links that are still in it are forgotten.
void map_fini(struct map *m);

// The link with that key, or NULL.
struct map_link *map_find(const struct map *m, struct str key);
// Adds l under a key that no other link of the map has. False, with nothing added, when the map is
// full or memory is out.
bool map_add(struct map *m, struct map_link *l, struct str key);
// l is in the map.
void map_remove(struct map *m, struct map_link *l);

#endif

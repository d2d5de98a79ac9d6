// Places for connections: how many are open over all workers, whose they are, and who has the
// fewest.
//
// Made before the workers are forked: the struct is each process's own, and only what it points to
// is shared, so that no worker can lead another process astray. A worker writes its own part only,
// so that one that dies leaves nothing wrong: the master resets its part. Counts of others are read
// without locks: a limit may be passed by as many connections as there are workers, never by more.
#ifndef LUNETTE_HTTP_PLACES_H
#define LUNETTE_HTTP_PLACES_H

#include "net/addr.h"

enum { PLACES_WORKERS_MAX = 256 };

struct places {
    unsigned workers;
    uint32_t total;               // limits.connections
    uint32_t per_ip;              // limits.connections_per_ip; 0: no limit
    _Atomic uint32_t *open;       // by worker
    int wake[PLACES_WORKERS_MAX]; // eventfds: "there are connections for you"
    // total places a worker, when per_ip is set: an IPv4 address, the /64 of an IPv6 one (which is
    // what one customer has); 0: free, or a unix socket's, which are not counted.
    _Atomic uint64_t *peers;
};

// 0 or −errno.
int places_init(struct places *p, unsigned workers, uint32_t total, uint32_t per_ip);
// The worker is gone, and its connections with it.
void places_reset(struct places *p, unsigned worker);
void places_fini(struct places *p);

enum places_result {
    PLACES_TAKEN,
    PLACES_FULL,        // limits.connections are open
    PLACES_FULL_FOR_IP, // limits.connections_per_ip are
};
// A place for a connection from peer; *slot is to be given back with it.
enum places_result places_take(struct places *p, unsigned worker, const struct addr *peer,
                               uint32_t *slot);
void places_give(struct places *p, unsigned worker, uint32_t slot);

// The worker with the fewest connections, when this one has clearly more; else worker itself.
unsigned places_fewest(const struct places *p, unsigned worker);

#endif

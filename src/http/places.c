// Places for connections: see the header.
#include "http/places.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OPEN_BYTES = PLACES_WORKERS_MAX * sizeof(uint32_t) };
#define NO_SLOT UINT32_MAX // a connection that is not counted by whose it is

static size_t peers_bytes(const struct places *p)
{
    return p->per_ip ? (size_t)PLACES_WORKERS_MAX * p->total * sizeof *p->peers : 0;
}

int places_init(struct places *p, unsigned workers, uint32_t total, uint32_t per_ip)
{
    assert(workers <= PLACES_WORKERS_MAX);
    *p = (struct places){.total = total, .per_ip = per_ip};
    void *open = mmap(NULL, OPEN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (open == MAP_FAILED)
        return -errno;
    p->open = open;
    if (per_ip) { // address space; pages come as they are written to
        void *peers = mmap(NULL, peers_bytes(p), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (peers == MAP_FAILED) {
            int rc = -errno;
            places_fini(p);
            return rc;
        }
        p->peers = peers;
    }
    while (p->workers < workers) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0) {
            int rc = -errno;
            places_fini(p);
            return rc;
        }
        p->wake[p->workers++] = fd;
    }
    return 0;
}

static _Atomic uint64_t *peers_of(const struct places *p, unsigned worker)
{
    return p->peers + (size_t)worker * p->total;
}

void places_reset(struct places *p, unsigned worker)
{
    p->open[worker] = 0;
    for (uint32_t i = 0; p->peers && i < p->total; i++)
        peers_of(p, worker)[i] = 0;
}

void places_fini(struct places *p)
{
    if (p->open)
        munmap((void *)p->open, OPEN_BYTES);
    if (p->peers)
        munmap((void *)p->peers, peers_bytes(p));
    p->open = NULL;
    p->peers = NULL;
    while (p->workers)
        close(p->wake[--p->workers]);
}

// Whose it is: the first half of an IPv6 address; an IPv4 address, and ::/64, as what no such half can
// be, since of 100::/8 only 100::/64 was ever given out, to discard by (RFC 6666). 0: not counted.
static uint64_t peer_key(const struct addr *peer)
{
    uint8_t half[8] = {1, 0, 0, 1};
    uint64_t key = 0;
    if (peer->sa.sa_family == AF_INET6) {
        memcpy(&key, &peer->v6.sin6_addr, sizeof key);
        if (key)
            return key;
    } else if (peer->sa.sa_family == AF_INET) {
        half[3] = 0;
        memcpy(half + 4, &peer->v4.sin_addr, 4);
    } else {
        return 0;
    }
    memcpy(&key, half, sizeof key);
    return key;
}

static uint32_t count_of(const struct places *p, uint64_t key)
{
    uint32_t n = 0;
    for (size_t i = 0; i < (size_t)p->workers * p->total; i++)
        n += atomic_load_explicit(&p->peers[i], memory_order_relaxed) == key;
    return n;
}

static uint32_t take_peer(struct places *p, unsigned worker, uint64_t key)
{
    uint32_t i = 0;
    while (i + 1 < p->total && peers_of(p, worker)[i])
        i++;
    peers_of(p, worker)[i] = key;
    return i;
}

enum places_result places_take(struct places *p, unsigned worker, const struct addr *peer,
                               uint32_t *slot)
{
    uint64_t key = peer_key(peer);
    uint32_t open = 0;
    for (unsigned i = 0; i < p->workers; i++)
        open += p->open[i];
    if (open >= p->total)
        return PLACES_FULL;
    if (p->per_ip && key && count_of(p, key) >= p->per_ip)
        return PLACES_FULL_FOR_IP;
    *slot = p->peers && key ? take_peer(p, worker, key) : NO_SLOT;
    p->open[worker]++;
    return PLACES_TAKEN;
}

void places_give(struct places *p, unsigned worker, uint32_t slot)
{
    assert(p->open[worker] > 0);
    p->open[worker]--;
    if (slot != NO_SLOT)
        peers_of(p, worker)[slot] = 0;
}

unsigned places_fewest(const struct places *p, unsigned worker)
{
    unsigned least = worker;
    for (unsigned i = 0; i < p->workers; i++)
        if (p->open[i] < p->open[least])
            least = i;
    uint32_t fewest = p->open[least];
    return p->open[worker] > fewest + fewest / 8 + 2 ? least : worker;
}

// Fills: who makes which value, and who waits for it.
//
// drawing:
//          cache_look: the value is absent, or stale, and nobody makes it
//   free ─────────────────────────────────────────────────────────────────► under way
//    ▲                                                                        │ cache_look of others,
//    └──── cache_fill_end; cache_note_death, of its maker; recovery ◄────────┘ cache_fill_join: waiting
//
// The end of a fill says nothing about its value: those who waited look again, and so the first of
// them begins the next fill if there is none. A worker that is woken for nothing sleeps on.
#include "content/cache_inside.h"

#include <assert.h>
#include <string.h>

static struct cache_slot *find_slot(const struct cache_held *h, uint64_t hash)
{
    for (unsigned i = 0; h->shard->filling && i < CACHE_FILLS; i++)
        if (h->shard->slots[i].serial && h->shard->slots[i].hash == hash)
            return &h->shard->slots[i];
    return NULL;
}

static struct cache_slot *free_slot(const struct cache_held *h)
{
    for (unsigned i = 0; h->shard->filling < CACHE_FILLS && i < CACHE_FILLS; i++)
        if (!h->shard->slots[i].serial)
            return &h->shard->slots[i];
    return NULL;
}

static void name(const struct cache_held *h, const struct cache_slot *s, struct cache_fill *fill)
{
    fill->shard = (uint32_t)(h->shard - h->c->shard);
    fill->slot = (uint32_t)(s - h->shard->slots);
    fill->serial = s->serial;
}

// The slot of a fill, or NULL when that is over.
static struct cache_slot *slot_of(const struct cache_held *h, const struct cache_fill *fill)
{
    struct cache_slot *s = &h->shard->slots[fill->slot];
    return s->serial == fill->serial && fill->serial ? s : NULL;
}

bool cache_fill_over(const struct cache *c, const struct cache_fill *fill)
{
    return c->shard[fill->shard].slots[fill->slot].serial != fill->serial;
}

static void add_waiting(struct cache_slot *s, unsigned worker)
{
    s->waiting[worker / 64] |= (uint64_t)1 << worker % 64;
}

static enum cache_look begin(struct cache_held *h, uint64_t hash, unsigned worker,
                             struct cache_fill *fill)
{
    struct cache_slot *s = free_slot(h);
    if (!s)
        return CACHE_ALONE;
    s->hash = hash;
    s->needs = 0;
    s->worker = h->c->first + worker;
    memset(s->waiting, 0, sizeof s->waiting);
    s->serial = ++h->c->region->serials;
    h->shard->filling++;
    h->shard->counts.fills++;
    name(h, s, fill);
    return CACHE_FILL;
}

static enum cache_look hit(struct cache_held *h, uint32_t number, enum cache_kind *kind,
                           struct buf *out)
{
    if (!out)
        return CACHE_HIT;
    cache_touch(h, number);
    h->shard->counts.hits++;
    return cache_copy(h, number, kind, out) ? CACHE_HIT : CACHE_LOST;
}

static enum cache_look await(struct cache_held *h, struct cache_slot *s, unsigned worker,
                             struct cache_fill *fill)
{
    add_waiting(s, h->c->first + worker);
    name(h, s, fill);
    return CACHE_WAIT;
}

// There is no value within its time: whether a stale one will do, as somebody makes a new one.
static bool stale_will_do(const struct cache_held *h, uint32_t number, const struct cache_slot *s)
{
    return number && s && cache_entry(h, number)->kind != CACHE_PASS;
}

static bool is_pass(const struct cache_held *h, uint32_t number)
{
    const struct cache_entry *e = number ? cache_entry(h, number) : NULL;
    return e && e->kind == CACHE_PASS && e->expires > h->now;
}

static enum cache_look look(struct cache_held *h, struct str key, uint64_t hash, unsigned worker,
                            enum cache_kind *kind, struct buf *out, struct cache_fill *fill)
{
    uint32_t number = cache_find(h, key, hash);
    if (cache_has_value(h, number))
        return hit(h, number, kind, out);
    struct cache_slot *s = find_slot(h, hash);
    if (stale_will_do(h, number, s)) {
        h->shard->counts.stale += out != NULL;
        return hit(h, number, kind, out);
    }
    if (!fill || is_pass(h, number))
        return CACHE_ALONE;
    return s ? await(h, s, worker, fill) : begin(h, hash, worker, fill);
}

enum cache_look cache_look(struct cache *c, struct str key, unsigned worker, enum cache_kind *kind,
                           struct buf *out, struct cache_fill *fill)
{
    uint64_t hash = cache_hash(c, key);
    struct cache_held h = cache_hold_of(c, hash);
    struct cache_counts *counts = &h.shard->counts;
    enum cache_look r = look(&h, key, hash, worker, kind, out, fill);
    if (out && fill) {
        counts->misses += r == CACHE_FILL || r == CACHE_WAIT || r == CACHE_ALONE;
        counts->waits += r == CACHE_WAIT;
        counts->fills_alone += r == CACHE_ALONE;
    }
    cache_let_go(&h);
    return r;
}

// Frees the slot, and says whom to wake.
static void end(struct cache_held *h, struct cache_slot *s, bool made, struct cache_slot *ended)
{
    *ended = *s;
    s->serial = 0;
    h->shard->filling--;
    h->shard->counts.fills_failed += !made;
}

// Waking needs no lock: should this process die before it is done, its master wakes everybody.
void cache_fill_end(struct cache *c, const struct cache_fill *fill, bool made)
{
    struct cache_slot ended = {0};
    struct cache_held h = cache_hold(c, fill->shard);
    struct cache_slot *s = slot_of(&h, fill);
    if (s)
        end(&h, s, made, &ended);
    cache_let_go(&h);
    for (unsigned i = 0; i < c->workers; i++) {
        unsigned number = c->first + i;
        if (ended.waiting[number / 64] >> number % 64 & 1)
            cache_wake(c, i);
    }
}

// That it waits stays noted: whoever has its number now may be the one that waits, and to be woken for
// nothing is harmless.
void cache_fill_abandon(struct cache_held *h, unsigned worker, uint64_t last)
{
    struct cache_slot ended;
    for (unsigned i = 0; i < CACHE_FILLS; i++) {
        struct cache_slot *s = &h->shard->slots[i];
        if (s->serial && s->serial <= last && s->worker == worker)
            end(h, s, false, &ended);
    }
}

bool cache_fill_join(struct cache *c, const struct cache_fill *fill, unsigned worker)
{
    struct cache_held h = cache_hold(c, fill->shard);
    struct cache_slot *s = slot_of(&h, fill);
    if (s)
        add_waiting(s, c->first + worker);
    cache_let_go(&h);
    return s != NULL;
}

// What the fill of a key needs: the hash of another key, or 0. *same: it is that fill.
static uint64_t needs_of(struct cache *c, uint64_t hash, const struct cache_fill *fill, bool *same)
{
    struct cache_held h = cache_hold_of(c, hash);
    const struct cache_slot *s = find_slot(&h, hash);
    uint64_t needs = s ? s->needs : 0;
    *same = s && s->serial == fill->serial;
    cache_let_go(&h);
    return needs;
}

static void note_needs(struct cache *c, const struct cache_fill *fill, uint64_t hash)
{
    struct cache_held h = cache_hold(c, fill->shard);
    struct cache_slot *s = slot_of(&h, fill);
    if (s)
        s->needs = hash;
    cache_let_go(&h);
}

void cache_fill_needs_none(struct cache *c, const struct cache_fill *fill)
{
    note_needs(c, fill, 0);
}

// Noted before it is looked for: of two that close a ring at once, one at least sees it. A chain of
// more than CACHE_CHAIN_MAX is taken for a ring of others.
bool cache_fill_needs(struct cache *c, const struct cache_fill *fill, struct str key)
{
    uint64_t hash = cache_hash(c, key);
    bool ring = false;
    note_needs(c, fill, hash);
    for (unsigned i = 0; hash && !ring && i < CACHE_CHAIN_MAX; i++)
        hash = needs_of(c, hash, fill, &ring);
    if (ring)
        cache_fill_needs_none(c, fill);
    return !ring;
}

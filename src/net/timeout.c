// Timeouts: see the header. The heap keeps its keys in its own array, so that sifting touches the
// timeouts only to tell them their new place; four children a node make it half as deep as a binary
// one.
//
// A key is the time at which the heap looks at a timeout again, never later than the time it is
// due. Moving one to a later time, or clearing it, leaves the key alone; timeouts_run sorts that
// out when the key comes.
#include "net/loop_inside.h"

#include <assert.h>
#include <stdlib.h>

enum { CHILDREN = 4, FIRST_CAP = 64 };

static void put(struct timeouts *h, uint32_t i, struct timeout_node node)
{
    h->heap[i] = node;
    node.t->place = i + 1;
}

static void sift_up(struct timeouts *h, uint32_t i, struct timeout_node node)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / CHILDREN;
        if (h->heap[parent].key <= node.key)
            break;
        put(h, i, h->heap[parent]);
        i = parent;
    }
    put(h, i, node);
}

static uint32_t smallest_child(const struct timeouts *h, uint32_t first)
{
    uint32_t best = first;
    for (uint32_t i = first + 1; i < first + CHILDREN && i < h->n; i++)
        if (h->heap[i].key < h->heap[best].key)
            best = i;
    return best;
}

static void sift_down(struct timeouts *h, uint32_t i, struct timeout_node node)
{
    while (CHILDREN * i + 1 < h->n) {
        uint32_t child = smallest_child(h, CHILDREN * i + 1);
        if (h->heap[child].key >= node.key)
            break;
        put(h, i, h->heap[child]);
        i = child;
    }
    put(h, i, node);
}

static void take_out(struct timeouts *h, struct timeout *t)
{
    uint32_t i = t->place - 1;
    assert(i < h->n && h->heap[i].t == t);
    struct timeout_node last = h->heap[--h->n];
    t->place = 0;
    if (i == h->n)
        return;
    if (last.key < h->heap[i].key)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

static bool make_room(struct timeouts *h)
{
    if (h->n < h->cap)
        return true;
    uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
    struct timeout_node *heap =
        cap > h->cap ? reallocarray(h->heap, cap, sizeof *heap) : NULL; // NULL: 2^32 are enough
    if (!heap)
        return false;
    h->heap = heap;
    h->cap = cap;
    return true;
}

void timeout_init(struct timeout *t, timeout_fn *fn)
{
    *t = (struct timeout){.fn = fn};
}

bool timeout_set(struct loop *l, struct timeout *t, uint64_t ms)
{
    struct timeouts *h = loop_timeouts(l);
    uint64_t now = loop_now(l);
    if (ms == 0)
        ms = 1;
    uint64_t at = ms > UINT64_MAX - now ? UINT64_MAX : now + ms;
    if (!t->place) {
        if (!make_room(h))
            return false;
        sift_up(h, h->n++, (struct timeout_node){at, t});
    } else if (at < h->heap[t->place - 1].key) {
        sift_up(h, t->place - 1, (struct timeout_node){at, t});
    }
    t->at = at;
    t->armed = true;
    return true;
}

void timeout_clear(struct timeout *t)
{
    t->armed = false;
}

void timeout_remove(struct loop *l, struct timeout *t)
{
    t->armed = false;
    if (t->place)
        take_out(loop_timeouts(l), t);
}

bool timeouts_next(const struct timeouts *h, uint64_t *key)
{
    if (!h->n)
        return false;
    *key = h->heap[0].key;
    return true;
}

void timeouts_run(struct timeouts *h, uint64_t now)
{
    while (h->n && h->heap[0].key <= now) {
        struct timeout *t = h->heap[0].t;
        if (t->armed && t->at > h->heap[0].key) { // moved to a later time, perhaps behind others
            sift_down(h, 0, (struct timeout_node){t->at, t});
            continue;
        }
        bool due = t->armed;
        take_out(h, t);
        t->armed = false;
        if (due)
            t->fn(t); // t may be freed by now
    }
}

void timeouts_fini(struct timeouts *h)
{
    free(h->heap);
    *h = (struct timeouts){0};
}

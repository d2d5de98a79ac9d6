// Between loop.c and timeout.c: the heap of timeouts that lives inside a loop.
#ifndef LUNETTE_NET_LOOP_INSIDE_H
#define LUNETTE_NET_LOOP_INSIDE_H

#include "net/timeout.h"

struct timeout_node {
    uint64_t key; // never later than t->at while t is armed
    struct timeout *t;
};

struct timeouts {
    struct timeout_node *heap; // smallest key first, four children a node
    uint32_t n, cap;
};

struct timeouts *loop_timeouts(struct loop *l);

// When the first of them wants to be looked at; false when there is none.
bool timeouts_next(const struct timeouts *h, uint64_t *key);
// Calls those that are due at now.
void timeouts_run(struct timeouts *h, uint64_t now);
// Forgets all of them, untouched: their owners may be gone.
void timeouts_fini(struct timeouts *h);

#endif

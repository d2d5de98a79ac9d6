// Timeouts: calls at a later time, kept in a heap inside the loop.
//
// A struct timeout is embedded by its owner. Setting one that is armed moves it. Moving one to a
// LATER time is free: the heap keeps the earlier time, and when that comes, the loop puts the
// timeout back at its real one; so a deadline that is pushed on by every request costs a store.
// Timeouts run after the watches of a turn, never before loop_now() has reached their time; those
// of the same millisecond in no particular order.
#ifndef LUNETTE_NET_TIMEOUT_H
#define LUNETTE_NET_TIMEOUT_H

#include "net/loop.h"

struct timeout;
typedef void timeout_fn(struct timeout *t);
struct timeout {
    timeout_fn *fn;
    uint64_t at;    // when it is due, in loop_now() milliseconds
    uint32_t place; // index in the heap plus one; 0: not in the heap
    bool armed;
};

void timeout_init(struct timeout *t, timeout_fn *fn);
// Due ms milliseconds after loop_now(); 0 counts as 1, so that a timeout that sets itself again
// cannot hold up the turn. False, with nothing changed, when memory is out (only one that is not in
// the heap needs any).
bool timeout_set(struct loop *l, struct timeout *t, uint64_t ms);
// Not due any more; costs a store. Must be followed by timeout_remove before the struct is freed.
void timeout_clear(struct timeout *t);
// Out of the heap: after this the struct may be freed. Harmless twice.
void timeout_remove(struct loop *l, struct timeout *t);

#endif

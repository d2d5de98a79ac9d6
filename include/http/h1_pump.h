// Private to h1*.c: the body of an answer, pulled from its source into the queue of its stream.
#ifndef LUNETTE_HTTP_H1_PUMP_H
#define LUNETTE_HTTP_H1_PUMP_H

#include "http/h1_exchange.h"
#include "net/loop.h"

// Whose pumping goes on in a later turn, and what this turn has spent; all connections of a worker
// share one.
struct h1_pumps {
    struct h1_conn *first, *last; // linked by pump_next; first goes on first
    struct h1_conn *current;      // the one whose turn it is
    struct deferred go_on;
    uint64_t turn;  // of the loop
    uint64_t spent; // microseconds of it
};

enum h1_pump {
    PUMP_DONE,    // the answer is handed over whole
    PUMP_BLOCKED, // the queue is full, or took its share of this turn: go on when it drains
    PUMP_WAITING, // the source has nothing now
    PUMP_PAUSED,  // the time of this turn is used up: c->later is run when it goes on
    PUMP_FAILED,  // the answer cannot be completed
};
// Pulls the answer's body into the queue, and sends it, as far as it goes in this turn.
enum h1_pump h1_pump(struct h1_exchange *x);
// The connection is closed: nothing is to go on.
void h1_pump_forget(struct h1_conn *c);

#endif

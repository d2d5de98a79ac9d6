// The tally of answers and connections: what was answered, by route, method and status; how long it
// took, by route; how many connections came.
//
// One mapping that is made before the workers are forked, in which each has a slot that it alone
// writes to, without locks. The names of routes are shared: a worker that loads the scripts gets
// for a name the number that another was given for it. Series are bounded: beyond TALLY_ROUTES
// names, all others are one. A slot outlives its worker, so that nothing ever counts down.
#ifndef LUNETTE_HTTP_TALLY_H
#define LUNETTE_HTTP_TALLY_H

#include "base/buf.h"
#include "http/method.h"

enum {
    TALLY_ROUTES = 1000,
    TALLY_NAME_MAX = 240, // bytes; a longer name is counted with the others
};

// Numbers that are no route of the site's: no route at all (404, 405, a bad request); a file; the
// routes that are too many.
enum { TALLY_NO_ROUTE, TALLY_FILE, TALLY_OTHER, TALLY_FIRST };

struct tally_board; // all of it
struct tally;       // one worker's slot

// For workers 0 … workers-1. NULL with errno.
struct tally_board *tally_new(unsigned workers);
void tally_free(struct tally_board *b);
struct tally *tally_of(struct tally_board *b, unsigned worker);

// The number of a route by its pattern; the same for the same text in every worker.
unsigned tally_route(struct tally *t, struct str name);

struct tally_answer {
    unsigned route;
    enum http_method method; // HTTP_METHODS: not known
    unsigned status;
    uint64_t duration_us;
    uint64_t received, sent; // bytes of bodies
};
void tally_answer(struct tally *t, const struct tally_answer *a);

enum tally_event {
    TALLY_ACCEPTED,
    TALLY_REFUSED,        // limits.connections
    TALLY_REFUSED_FOR_IP, // limits.connections_per_ip
    TALLY_EVENTS,
};
void tally_count(struct tally *t, enum tally_event e);

// Appends the text of all workers' together (base/metric.h); false when it does not fit.
bool tally_text(const struct tally_board *b, struct buf *out);

#endif

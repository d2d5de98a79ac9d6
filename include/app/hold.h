// Requests that wait for a reload, for --dev: before each of them is answered the master is asked whether
// something was saved, and says so when nothing is left to be reloaded. So whoever saves a file and
// then asks for a page sees the new one.
#ifndef LUNETTE_APP_HOLD_H
#define LUNETTE_APP_HOLD_H

#include "http/exchange.h"

struct held;

struct hold {
    const struct http_handler *site; // who answers
    void *self;
    bool (*ask)(void *arg); // asks the master; false: it cannot be asked
    void *arg;
    bool asked;
    struct held *first, **last; // the requests that wait
};

// site, self, ask and arg are set already.
void hold_init(struct hold *h);
// The master has answered: those that wait go on.
void hold_release(struct hold *h);

// self is the struct hold.
extern const struct http_handler hold_site;

#endif

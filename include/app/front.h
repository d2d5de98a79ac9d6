// What a server answers by itself, before the site is asked: metrics and health.
//
// Both are asked for on a path of the site's own listeners (front_site, in front of the site's
// handler, whose routes of the same path are then never reached), or on an address of their own
// (front_side): there /metrics is the metrics, and every other path the health, where the address is
// for both or for health; what the address is not for is a 404.
//
//      health   200 "ok", or 503 "starting" until every worker was ready once, 503 "stopping" from
//               the signal to stop on
//      metrics  200 and Prometheus's text
//
// GET and HEAD only; never cached.
#ifndef LUNETTE_APP_FRONT_H
#define LUNETTE_APP_FRONT_H

#include "app/figures.h"
#include "app/worker.h"

struct front {
    const struct http_handler *site; // whom all other requests go to
    void *self;
    const char *metrics_path, *health_path; // NULL: not there
    const struct worker_shared *shared;
    const struct figures *figures;
    const struct places *places;
    struct cache *cache;
    bool stopping;    // set from outside
    bool all_refused; // while stopping, requests of the site's are answered with a 503
    struct exchange_route metrics_route, health_route;
    struct buf text; // scratch
    struct fields fields;
};
void front_init(struct front *f);
void front_fini(struct front *f);

// self is the struct front.
extern const struct http_handler front_site;

struct front_side {
    struct front *front;
    bool metrics, health; // what the address is for
};
// self is the struct front_side.
extern const struct http_handler front_side;

#endif

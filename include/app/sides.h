// The addresses of metrics and health in one worker: servers beside the site's, whose connections are
// not counted among the site's and whose requests are in no access log; and the front (app/front.h),
// which both they and the site's own listeners answer through.
#ifndef LUNETTE_APP_SIDES_H
#define LUNETTE_APP_SIDES_H

#include "app/front.h"
#include "script/handler.h"

struct side {
    struct front_side handler;
    struct places places;
    struct server_options options;
    struct server *server; // NULL: not there
};

struct sides {
    struct front front;
    struct side side[CONFIG_SIDES];
};

// Zeroes first. 0 or −errno; sides_close is due in any case.
int sides_open(struct sides *s, const struct worker_job *job, struct loop *l, struct handler *site);
void sides_stop_listening(struct sides *s);
// Harmless for what is all zeroes.
void sides_close(struct sides *s);

#endif

// The addresses of metrics and health in one worker: see the header.
#include "app/sides.h"

#include <errno.h>

enum {
    CONNECTIONS = 64,  // of each worker, on one address
    HEAD_BYTES = 8192, // of a request
    FIELDS = 64,
    STEP_MS = 5000, // for each step of a request
    IDLE_MS = 60000,
    BODY_RATE = 500,
};

static struct exchange_route own_route(const struct worker_job *job, const char *path)
{
    struct figures *f = path ? job->figures : NULL;
    struct str text = str_z(path);
    return (struct exchange_route){text, f ? tally_route(figures_tally(f, job->place), text)
                                           : TALLY_OTHER};
}

static void make_front(struct front *f, const struct worker_job *job, struct handler *site)
{
    const struct config *c = job->config;
    *f = (struct front){
        .site = &handler_http,
        .self = site,
        .metrics_path = c->metrics.path,
        .health_path = c->health.path,
        .metrics_route = own_route(job, c->metrics.path),
        .health_route = own_route(job, c->health.path),
        .shared = job->shared,
        .figures = job->figures,
        .places = job->places,
        .cache = job->cache,
        .all_refused = c->health.path != NULL,
    };
    front_init(f);
}

static int open_side(struct side *s, const struct worker_job *job, struct loop *l,
                     struct front *front, int at)
{
    const struct config *c = job->config;
    s->handler = (struct front_side){
        .front = front, .metrics = c->metrics.listen == at, .health = c->health.listen == at};
    s->options = (struct server_options){
        .head = {.head_bytes = HEAD_BYTES, .uri_bytes = HEAD_BYTES / 2, .fields = FIELDS},
        .spool = {.folder = "/"}, // no body is ever kept
        .header_ms = STEP_MS,
        .body_ms = STEP_MS,
        .idle_ms = IDLE_MS,
        .send_ms = STEP_MS,
        .linger_ms = STEP_MS,
        .body_rate = BODY_RATE,
        .quiet = true,
    };
    int rc = places_init(&s->places, 1, CONNECTIONS, 0);
    if (rc < 0)
        return rc;
    s->server = server_new(l, &s->options, &s->places, 0, &front_side, &s->handler);
    return s->server ? server_listen(s->server, job->sockets[at]) : -ENOMEM;
}

int sides_open(struct sides *s, const struct worker_job *job, struct loop *l, struct handler *site)
{
    const struct config *c = job->config;
    *s = (struct sides){.side = {{.server = NULL}}};
    make_front(&s->front, job, site);
    for (unsigned i = 0; i < c->side_addrs; i++) {
        int rc = open_side(&s->side[i], job, l, &s->front, (int)(c->listen_addrs + i));
        if (rc < 0)
            return rc;
    }
    return 0;
}

void sides_stop_listening(struct sides *s)
{
    for (unsigned i = 0; i < CONFIG_SIDES; i++)
        if (s->side[i].server)
            server_stop_listening(s->side[i].server);
}

void sides_close(struct sides *s)
{
    for (unsigned i = 0; i < CONFIG_SIDES; i++) {
        if (s->side[i].server)
            server_free(s->side[i].server);
        places_fini(&s->side[i].places);
    }
    front_fini(&s->front);
}

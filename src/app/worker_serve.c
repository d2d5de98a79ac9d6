// What a worker serves with: its scripts are loaded, or not.
#include "app/changes.h"
#include "app/report.h"
#include "app/serving.h"
#include "app/worker_inside.h"
#include "base/log.h"
#include "script/handler.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct tally *worker_tally(const struct worker *w)
{
    struct figures *f = w->job->figures;
    return f ? figures_tally(f, w->job->place) : NULL;
}

static void fill_options(struct worker *w, const struct config *c)
{
    w->server_options = serving_options(c, w->job->temp);
    w->server_options.tally = worker_tally(w);
    w->server_options.flights = &w->job->shared->flights[w->job->place];
    w->server_options.stays_open = c->health.path != NULL;
}

static bool is_in_front(const struct worker *w)
{
    return w->job->config->metrics.path || w->job->config->health.path;
}

// The generation answers from the next request on.
void worker_serve_with(struct worker *w, const struct generation *g)
{
    fill_options(w, g->config);
    log_set_level((enum log_level)log_level_parse(str_z(g->config->log.level)));
    w->hold.site = &handler_http;
    w->hold.self = g->handler;
    w->live.scripts = g->handler;
    if (!w->job->config->dev)
        w->sides.front.self = g->handler;
    if (!w->job->config->dev && !is_in_front(w))
        server_use(w->server, g->handler);
}

static bool ask_master(void *arg)
{
    return worker_say(arg, WORKER_ASKS, 0, "");
}

// With --dev every request waits until what was saved before it is loaded. Until there are scripts that
// can be, why not is the answer.
static void hold_requests(struct worker *w)
{
    w->hold =
        (struct hold){.site = &live_failed_site, .self = &w->live, .ask = ask_master, .arg = w};
    hold_init(&w->hold);
    w->live.site = &hold_site;
    w->live.self = &w->hold;
    w->sides.front.site = &live_site;
    w->sides.front.self = &w->live;
}

// g: NULL when its scripts cannot be loaded.
static bool make_server(struct worker *w, const struct generation *g)
{
    const struct config *c = w->job->config;
    if (c->dev)
        hold_requests(w);
    fill_options(w, g ? g->config : c);
    w->server = server_new(w->loop, &w->server_options, w->job->places, w->job->place,
                           is_in_front(w) ? &front_site : w->sides.front.site,
                           is_in_front(w) ? (void *)&w->sides.front : w->sides.front.self);
    if (!w->server)
        return worker_fail(w, "the server", ENOMEM);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        int rc = server_listen(w->server, w->job->sockets[i]);
        if (rc < 0)
            return worker_fail(w, "a listening socket", -rc);
    }
    if (g)
        worker_serve_with(w, g);
    return true;
}

// For the first lines of --dev: what these scripts declare.
static const char *declared(const struct worker *w, const struct generation *g,
                            char text[static CHANGES_TEXT])
{
    struct handler_declared d = handler_declared(g->handler);
    if (!w->job->config->dev)
        return "";
    changes_count(g->scripts, d.routes, d.middleware, text);
    return text;
}

// What the master is to hear.
static void say_ready(struct worker *w, unsigned number)
{
    char text[CHANGES_TEXT];
    if (!worker_say(w, WORKER_READY, number, declared(w, w->generations.current, text)))
        worker_fail(w, "the channel to the master", errno);
}

// It serves all the same, and says why.
static void stay(struct worker *w, unsigned number, const char *error)
{
    log_write(LOG_ERROR, "%s", error);
    live_start_failed(&w->live, w->generations.report, error);
    if (make_server(w, NULL) && !worker_say(w, WORKER_BARE, number, error))
        worker_fail(w, "the channel to the master", errno);
}

// For who shows it. The first that fails writes it.
static void write_report(const struct worker *w, int report, const char *error)
{
    int rc = 0;
    if (report >= 0 && lseek(report, 0, SEEK_END) == 0)
        rc = report_write(report, w->generations.report, str_z(error));
    if (rc < 0)
        log_write(LOG_WARN, "why the scripts cannot be loaded cannot be shown: %s", strerror(-rc));
}

// The first scripts are loaded, or not.
static void begin(struct worker *w, unsigned number, const char *error)
{
    if (error)
        write_report(w, w->job->report, error);
    if (error && w->job->stays)
        stay(w, number, error);
    else if (error)
        worker_tell(w, error);
    else if (w->job->checks)
        worker_say(w, WORKER_LOADED, number, "");
    else if (generations_commit(&w->generations, number) && make_server(w, w->generations.current))
        say_ready(w, number);
    if (w->status != 0 || w->job->checks)
        loop_stop(w->loop);
}

void worker_on_loaded(void *arg, unsigned number, const char *error)
{
    struct worker *w = arg;
    if (!w->server) {
        begin(w, number, error);
        return;
    }
    if (error) {
        log_write(LOG_ERROR, "%s", error);
        write_report(w, w->report, error);
    }
    worker_say(w, error ? WORKER_REFUSES : WORKER_LOADED, number, error ? error : "");
}

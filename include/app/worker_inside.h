// Private to worker*.c: the state of a worker, and what its files call of each other.
//
//      worker.c        what it hears, from signals and from the master; the end of each turn
//      worker_start.c  the steps of its start, and of its end
//      worker_serve.c  scripts are loaded: what serves with them, and what the master is told
#ifndef LUNETTE_APP_WORKER_INSIDE_H
#define LUNETTE_APP_WORKER_INSIDE_H

#include "app/background.h"
#include "app/channel.h"
#include "app/generations.h"
#include "app/hold.h"
#include "app/live.h"
#include "app/serving.h"
#include "app/sides.h"
#include "app/worker.h"
#include "net/loop.h"
#include "net/timeout.h"

struct worker {
    struct watch signals; // first: the watch's function finds the worker by it
    struct watch channel; // from the master
    struct channel_spares spares;
    uint32_t missed; // messages that it has no room for: a bit for each enum channel_kind
    const struct worker_job *job;
    struct serving_sandbox sandbox;
    struct loop *loop;
    struct pool *pool, *slow_pool, *sql_pool;
    struct watchdog *watchdog;
    struct cache_client *shared_cache;
    struct generations generations;
    struct background background;
    struct timeout trim;      // of the file cache; armed while it keeps descriptors
    struct timeout unwritten; // access lines that the log did not take in their turn
    struct forms *forms;      // coded ones, of files
    struct sides sides;       // metrics and health
    struct hold hold;         // with --dev
    struct live live;         // the same
    struct server *server;
    struct server_options server_options;
    int signal_fd;
    int report; // where to write why the scripts of the reload under way cannot be loaded; −1: nowhere
    int status;
};

// worker.c
// False when the master does not listen any more.
bool worker_say(const struct worker *w, enum worker_says what, unsigned number, const char *text);
// It ends with status 1, for that reason.
void worker_tell(struct worker *w, const char *message);
bool worker_fail(struct worker *w, const char *what,
                 int err); // the same: "a worker cannot start: …"; false
void worker_on_signal(struct watch *watch, uint32_t events);
void worker_on_channel(struct watch *watch, uint32_t events);
void worker_on_rest(void *arg);
void worker_end_turn(void *arg);

// worker_start.c
bool worker_start(struct worker *w); // false: the reason was told
void worker_take_down(struct worker *w);

// worker_serve.c
struct tally *worker_tally(const struct worker *w); // its own; NULL: nothing is counted
// The generation answers from the next request on.
void worker_serve_with(struct worker *w, const struct generation *g);
// Of struct generations.
void worker_on_loaded(void *arg, unsigned number, const char *error);

#endif

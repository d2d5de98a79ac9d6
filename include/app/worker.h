// A worker: one process, one loop, one Lua state. The one place where the layers join.
#ifndef LUNETTE_APP_WORKER_H
#define LUNETTE_APP_WORKER_H

#include "app/config.h"
#include "content/cache.h"
#include "http/server.h"
#include "net/watchdog.h"
#include "script/lua_timer.h"

#include <stdatomic.h>

struct figures;

// What all processes of a server share: a mapping made before the first fork.
struct worker_shared {
    _Atomic bool starting; // until every worker was ready once: then only the first error is told
    _Atomic bool told;
    uint64_t server;                            // with --dev: another with each start
    struct flights flights[PLACES_WORKERS_MAX]; // what each has under way
    struct timers_marks background;
};

// What a worker says to the master, on its channel.
enum worker_says {
    WORKER_READY, // it serves; with --dev text says what the site declares
    WORKER_BARE, // the same, with --dev, but without the scripts that it was to load: text says why
    WORKER_LOST, // its Lua does not come back: text says where it is
    WORKER_LOADED,  // the scripts of reload `number` are loaded, and wait
    WORKER_REFUSES, // they could not be: text says why
    WORKER_RESTS,   // its background work is over, and it does none any more
    WORKER_ASKS,    // with --dev: CHANNEL_CURRENT is wanted when nothing is left to be reloaded
    WORKER_MISSED, // descriptors of a message came when it had no room for them: number is the kind
};
enum { WORKER_TEXT = 1024 };
struct worker_word {
    enum worker_says says;
    uint32_t number;
    char text[WORKER_TEXT];
};

struct worker_job {
    const struct config *config;
    const int *sockets; // config->listen_addrs of them, then config->side_addrs
    struct worker_shared *shared;
    struct places *places;
    struct figures *figures;         // of metrics; NULL: nobody asks
    const _Atomic bool *owns_socket; // by number of sockets: it is this server's alone
    struct cache *cache;
    const char
        *temp;   // absolute path of the folder where large bodies wait, in files without a name
    int scripts; // a snapshot of them (base/snapshot.h)
    int settings; // of config.lua, when they were reloaded last: a file's descriptor; −1: as in config
    int report; // where a checker writes why the scripts cannot be loaded (app/live.h); −1: nowhere
    uint32_t saves;  // of site/ so far, with --dev
    bool stays;      // with --dev: scripts that cannot be loaded are its answer, not its end
    uint32_t number; // of the last reload
    unsigned place;  // which of the workers this is: its number in places and cache
    bool checks; // loads the scripts for a reload, says whether that went well, and ends: place is
                 // none of a worker's, and settings are for it to write
    int channel; // to the master (app/channel.h)
    pid_t master;
};

// The bounds of a worker that cannot be set, for people. Ends with a NULL name.
struct worker_bound {
    const char *name;
    uint64_t value;
    const char *unit; // "B", "B/s", "ms", or ""
};
extern const struct worker_bound worker_bounds[];

// Serves until it is told to stop: TERM drains, QUIT stops at once. Signals are blocked as the
// master blocks them when this is called. Returns the exit status: 0, or 1 when it could not start
// (the reason is in the log).
int worker_run(const struct worker_job *job);

#endif

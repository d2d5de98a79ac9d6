// The generations of one worker: the one that serves, older ones whose requests are not over, and the
// one that a reload makes.
//
//      generations_load ──> next ──generations_commit──> current ──the next commit──> older ──> freed
//                             └─────generations_abort──> freed
//
// An older one goes when its requests and tasks are over, or tasks alone are left and TASKS_MS have
// passed; and when there would be more than limits.generations: its answers under way are then broken
// off, and requests that have none yet get a 503. Before that they get CROWDED_MS (generations.c), in
// which the reload waits: whoever reloads again and again loses streams that do not end, and no request
// that comes to its answer by then.
#ifndef LUNETTE_APP_GENERATIONS_H
#define LUNETTE_APP_GENERATIONS_H

#include "app/generation.h"
#include "net/timeout.h"

struct generations {
    struct generation_host host;
    const struct config *start; // what config_load gave
    struct generation *current; // its elders behind it
    struct generation *next;    // NULL: none is made
    struct generation *dropped; // linked by older; to be freed from the loop
    struct timeout sweep;
    struct timeout crowd; // armed while next waits for the oldest to be over
    uint64_t crowded_since;
    // Called when the scripts of next are loaded (error NULL) or not; next is then dropped.
    void (*loaded)(void *arg, unsigned number, const char *error);
    struct str report; // during that call: handler_report of what failed
    void *arg;
};

// host, start, loaded and arg are set already.
void generations_init(struct generations *g);
void generations_fini(struct generations *g);

// Makes next, in place of one that is there, and loads its scripts. scripts: of a snapshot; settings:
// of a file with those of a reload, −1: as at the start. Both stay the caller's.
void generations_load(struct generations *g, unsigned number, int scripts, int settings);
// next, whose scripts are loaded, becomes current. False when that is not its number.
bool generations_commit(struct generations *g, unsigned number);
void generations_abort(struct generations *g, unsigned number);

// The id of the request whose Lua runs, for log_ask_for_id; arg is the struct generations.
struct str generations_running_id(void *arg);
// Of all of them.
uint64_t generations_memory(const struct generations *g);
uint64_t generations_coroutines(const struct generations *g);

#endif

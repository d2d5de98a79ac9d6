// A generation of a worker: the site's scripts as they were at one moment, with the settings of that
// moment, in a Lua state of their own.
//
// A worker serves with one. Another is made beside it by a reload, and takes over when every worker
// has one; requests end on the generation that they began with.
#ifndef LUNETTE_APP_GENERATION_H
#define LUNETTE_APP_GENERATION_H

#include "app/config.h"
#include "content/forms.h"
#include "net/pool.h"
#include "script/handler.h"

enum {
    GENERATION_WHY_MAX = 512,
    // The file cache of each:
    GENERATION_FILES = 1000,      // small files
    GENERATION_BYTES = 16 << 20,  // and the memory for them
    GENERATION_DESCRIPTORS = 256, // larger files, kept open
};

// What all generations of a worker share; must outlive them.
struct generation_host {
    struct loop *loop;
    struct pool *pool, *slow_pool, *sql_pool;
    struct watchdog *watchdog;
    struct cache_client *cache;
    struct forms *forms;              // coded ones, of files
    struct tally *tally;              // NULL: nothing is counted
    const struct reach *reach;        // NULL: no Landlock
    bool no_programs;                 // seccomp refuses every program
    const struct inject_server *live; // pages are to hear of saves; NULL: without --dev
};

struct generation {
    uint64_t idle_since;      // loop_now() since when its requests are over; 0: they are not
    unsigned number;          // of the reload that made it; 0 at the start
    struct generation *older; // the worker's list
    struct generations *list; // that is told when its scripts are loaded
    bool waited;              // once dropped: its last answers had a turn to be handed over
    const struct config *config;
    struct config *own_config; // the same where it is this generation's to free; else NULL
    struct snapshot *scripts;
    struct vm *vm;
    struct handler *handler;
    struct file_root *files; // the site's public files; NULL: none
    struct filecache *cache;
    struct str *types;       // gzip.types as slices; NULL: the built-in list
    struct inject_mark mark; // of its pages, with host->live
    struct vm_options vm_options;
    struct handler_options handler_options;
};

// Makes one whose scripts are not loaded yet. scripts: a descriptor of a snapshot, which stays the
// caller's. NULL with a sentence in why.
struct generation *generation_new(const struct generation_host *host, const struct config *c,
                                  int scripts, char why[static GENERATION_WHY_MAX]);
// The same with the settings of a reload (config_renew): they become its own.
struct generation *generation_renew(const struct generation_host *host, const struct config *start,
                                    struct str settings, int scripts,
                                    char why[static GENERATION_WHY_MAX]);
// Nothing of it may be under way but what only waits: tasks are dropped, their __close runs. NULL is
// fine.
void generation_free(struct generation *g);

// Whether its requests are over; tasks may be left.
bool generation_is_idle(const struct generation *g);
// Whether tasks are over as well.
bool generation_is_over(const struct generation *g);

#endif

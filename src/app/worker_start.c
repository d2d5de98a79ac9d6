// The steps of a worker's start, from below to above; it is taken down the other way:
//
//      sandbox → loop → signals → pools → watchdog → caches → the first generation
//      → (its scripts load) → server → sockets → ready
#include "app/crash.h"
#include "app/sandbox.h"
#include "app/serving.h"
#include "app/signals.h"
#include "app/worker_inside.h"
#include "base/library.h"
#include "base/log.h"
#include "content/cache_client.h"
#include "content/coding.h"
#include "content/forms.h"
#include "net/pool.h"
#include "script/cut.h"
#include "script/lua_sqlite.h"
#include "script/sqlite_db.h"
#include "script/sqlite_function.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    KEPT_FORMS = 16 << 20, // memory for coded forms of files
    LOG_PATIENCE = 500,    // milliseconds that it gets at the end
    POOL_THREADS = 4,      // of each worker, for calls that would block
    POOL_WAITING = 1024,   // such calls that have no thread yet; one more is a 503
    SLOW_THREADS = 2,      // the same for password hashes, which keep a core busy for 100 ms:
    SLOW_WAITING = 64,     // nothing else queues behind them
    SQL_THREADS = 4,       // the same for databases: of one with its three readers and its writer
    SQL_WAITING = 1024,
};

const struct worker_bound worker_bounds[] = {
    {"slowest request body", SERVING_BODY_RATE, "B/s"},
    {"threads of the pool", POOL_THREADS, ""},
    {"calls that wait for one", POOL_WAITING, ""},
    {"threads for password hashes", SLOW_THREADS, ""},
    {"hashes that wait for one", SLOW_WAITING, ""},
    {"threads for databases", SQL_THREADS, ""},
    {"statements that wait for one", SQL_WAITING, ""},
    {"small files in memory", GENERATION_FILES, ""},
    {"memory for them", GENERATION_BYTES, "B"},
    {"large files kept open", GENERATION_DESCRIPTORS, ""},
    {"memory for coded files", KEPT_FORMS, "B"},
    {"databases that are open", DATABASES_MAX, ""},
    {"memory for all of them", MEMORY_BYTES_MAX, "B"},
    {"a value in a database", VALUE_BYTES_MAX, "B"},
    {"a text of SQL", SQL_BYTES_MAX, "B"},
    {"values of one call of SQL", VALUES_MAX, ""},
    {"bytes of one such call", CALL_BYTES_MAX, "B"},
    {"bytes of all under way", CALLS_BYTES_MAX, "B"},
    {"a pattern of LIKE or GLOB", LIKE_BYTES_MAX, "B"},
    {"the set of trim(x, set)", TRIM_BYTES_MAX, "B"},
    {"depth of an expression", EXPRESSION_DEPTH_MAX, ""},
    {"SELECTs of a compound one", COMPOUND_MAX, ""},
    {"instructions of a statement", INSTRUCTIONS_MAX, ""},
    {"arguments of a SQL function", ARGUMENTS_MAX, ""},
    {"triggers set off by triggers", TRIGGER_DEPTH_MAX, ""},
    {"pieces of background work", TIMERS_MAX, ""},
    {"app.at_start of the server", TIMERS_STARTS, ""},
    {"a run's end, after a reload", BACKGROUND_PATIENCE_MS, "ms"},
    {NULL, 0, NULL},
};

static bool make_pool(struct worker *w)
{
    w->pool = pool_new(w->loop, POOL_THREADS, POOL_WAITING);
    w->slow_pool = pool_new(w->loop, SLOW_THREADS, SLOW_WAITING);
    w->sql_pool = pool_new(w->loop, SQL_THREADS, SQL_WAITING);
    return (w->pool && w->slow_pool && w->sql_pool) || worker_fail(w, "the thread pool", errno);
}

// Called in the watchdog's thread. The master ends this process; where that is gone nobody else
// would, and the next server could not listen where this one does.
static bool tell_lost(void *arg, const char *text)
{
    const struct worker *w = arg;
    if (getppid() != w->job->master)
        _exit(1);
    return worker_say(w, WORKER_LOST, 0, *text ? text : "somewhere");
}

static bool start_watchdog(struct worker *w)
{
    struct watchdog_options o = {
        .limit_ms = w->job->config->timeouts.cpu,
        .interrupt = cut_interrupt,
        .lost = tell_lost,
        .arg = w,
    };
    w->watchdog = watchdog_start(&o);
    if (!w->watchdog)
        return worker_fail(w, "the watchdog", errno);
    if (!w->job->checks) // whose place is none
        crash_watch(&w->job->shared->flights[w->job->place], w->watchdog);
    return true;
}

// TERM and QUIT come through the loop. INT and HUP, which a terminal sends to the whole group, are
// the master's to pass on.
static bool take_signals(struct worker *w)
{
    // a file that may not grow, and a pipe that nobody reads, are errors of the write
    static const int spared[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ, SIGPIPE};
    for (size_t i = 0; i < sizeof spared / sizeof *spared; i++)
        signals_spare(spared[i]);
    w->signal_fd = signals_catch_end();
    if (w->signal_fd < 0)
        return worker_fail(w, "signals", errno);
    int rc = loop_add(w->loop, &w->signals, w->signal_fd, EPOLLIN, worker_on_signal);
    return rc == 0 || worker_fail(w, "signals", -rc);
}

static bool take_channel(struct worker *w)
{
    if (w->job->checks) // which is told nothing
        return true;
    channel_keep_spares(w->job->channel, &w->spares);
    int rc = loop_add(w->loop, &w->channel, w->job->channel, EPOLLIN, worker_on_channel);
    return rc == 0 || worker_fail(w, "the channel from the master", -rc);
}

static bool open_cache(struct worker *w)
{
    w->shared_cache = cache_client_new(w->job->cache, w->job->place, w->loop);
    w->forms = forms_new(KEPT_FORMS);
    return (w->shared_cache && w->forms) || worker_fail(w, "the caches", errno);
}

static void load(struct worker *w)
{
    w->generations.start = w->job->config;
    w->generations.loaded = worker_on_loaded;
    w->generations.arg = w;
    w->generations.host = (struct generation_host){
        .loop = w->loop,
        .pool = w->pool,
        .slow_pool = w->slow_pool,
        .sql_pool = w->sql_pool,
        .watchdog = w->watchdog,
        .cache = w->shared_cache,
        .forms = w->forms,
        .tally = w->job->checks ? NULL : worker_tally(w),
        .reach = w->sandbox.has_landlock ? &w->sandbox.reach : NULL,
        .no_programs = w->sandbox.has_seccomp && w->job->config->sandbox.exec.n == 0,
        .live = w->job->config->dev ? &w->live.server : NULL,
    };
    if (w->job->config->dev)
        live_init(&w->live, w->loop, w->job->shared->server, w->job->saves, w->job->number);
    generations_init(&w->generations);
    w->background = (struct background){
        .generations = &w->generations,
        .marks = &w->job->shared->background,
        .patience_ms = w->job->config->dev ? BACKGROUND_DEV_MS : BACKGROUND_PATIENCE_MS,
        .rests = worker_on_rest,
        .arg = w,
    };
    background_init(&w->background);
    log_ask_for_id(generations_running_id, &w->generations);
    generations_load(&w->generations, w->job->number, w->job->scripts, w->job->settings);
    close(w->job->scripts); // mapped, and read: kept open they would outlive every reload
    if (w->job->settings >= 0)
        close(w->job->settings);
}

// Before there is a thread, and before anything that a visitor or a script could have a hand in.
static bool enter_sandbox(struct worker *w)
{
    char why[SANDBOX_WHY_MAX], message[SANDBOX_WHY_MAX + 64];
    if (serving_enter_sandbox(w->job->config, w->job->temp, &w->sandbox, why))
        return true;
    snprintf(message, sizeof message, "a worker cannot start: %s", why);
    worker_tell(w, message);
    return false;
}

// Before there is a handler: health says "starting" meanwhile.
static bool open_sides(struct worker *w)
{
    int rc = w->job->checks ? 0 : sides_open(&w->sides, w->job, w->loop, NULL);
    return rc == 0 || worker_fail(w, "the listener of metrics or health", -rc);
}

bool worker_start(struct worker *w)
{
    if (!enter_sandbox(w))
        return false;
    library_keep_descriptor();
    w->loop = loop_new();
    if (!w->loop)
        return worker_fail(w, "the event loop", errno);
    loop_at_turn_end(w->loop, worker_end_turn, w);
    if (!take_signals(w) || !take_channel(w) || !make_pool(w) || !start_watchdog(w) ||
        !open_cache(w) || !open_sides(w))
        return false;
    load(w);
    worker_end_turn(w); // of what was no turn yet
    return w->status == 0;
}

// What it is told from here on changes nothing: the server has turns of the loop to end in, and a
// signal or a word of the master would find parts of it gone.
void worker_take_down(struct worker *w)
{
    if (w->loop) {
        loop_del(w->loop, &w->signals);
        loop_del(w->loop, &w->channel);
    }
    if (w->server)
        server_free(w->server);
    sides_close(&w->sides);
    live_fini(&w->live);
    log_ask_for_id(NULL, NULL); // the answer is in a generation
    background_fini(&w->background);
    generations_fini(&w->generations);
    forms_free(w->forms);
    coding_fini();
    crash_forget();
    watchdog_stop(w->watchdog);
    cache_client_free(w->shared_cache);
    pool_free(w->slow_pool);
    pool_free(w->sql_pool);
    pool_free(w->pool); // its threads may still work for what the vm has left behind
    if (w->signal_fd >= 0)
        signals_forget_end(w->signal_fd);
    if (w->loop) {
        timeout_remove(w->loop, &w->trim);
        timeout_remove(w->loop, &w->unwritten);
        channel_close_spares(&w->spares);
        loop_free(w->loop);
    }
    reach_fini(&w->sandbox.reach);
    log_drain(LOG_PATIENCE);
}

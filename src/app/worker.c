// A worker: see the header. It starts from below to above and is taken down the other way:
//
//      sandbox → loop → signals → pool → watchdog → caches → the first generation → (its scripts load)
//      → server → sockets → ready
#include "app/worker.h"

#include "app/background.h"
#include "app/changes.h"
#include "app/channel.h"
#include "app/crash.h"
#include "app/generations.h"
#include "app/hold.h"
#include "app/live.h"
#include "app/report.h"
#include "app/sandbox.h"
#include "app/serving.h"
#include "app/sides.h"
#include "base/log.h"
#include "content/cache_client.h"
#include "content/coding.h"
#include "content/filecache.h"
#include "content/forms.h"
#include "content/mime_system.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/timeout.h"
#include "script/co.h"
#include "script/cut.h"
#include "script/handler.h"
#include "script/sqlite_db.h"
#include "script/vm.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEPT_FORMS = 16 << 20, // memory for coded forms of files
    TRIM_MS = 10 * 1000,   // between two looks for those that nobody asks for
    UNWRITTEN_MS = 100,    // between two tries to write to an access log that takes nothing
    LEAVE_MS = 3000,       // in which idle connections may have one more request, after a takeover
    LOG_PATIENCE = 500,    // milliseconds that it gets at the end
    POOL_THREADS = 4,      // of each worker, for calls that would block
    POOL_WAITING = 1024,   // such calls that have no thread yet; one more is a 503
    SLOW_THREADS = 2,      // the same for password hashes, which keep a core busy for 100 ms:
    SLOW_WAITING = 64,     // nothing else queues behind them
};

const struct worker_bound worker_bounds[] = {
    {"slowest request body", SERVING_BODY_RATE, "B/s"},
    {"threads of the pool", POOL_THREADS, ""},
    {"calls that wait for one", POOL_WAITING, ""},
    {"threads for password hashes", SLOW_THREADS, ""},
    {"hashes that wait for one", SLOW_WAITING, ""},
    {"small files in memory", GENERATION_FILES, ""},
    {"memory for them", GENERATION_BYTES, "B"},
    {"large files kept open", GENERATION_DESCRIPTORS, ""},
    {"memory for coded files", KEPT_FORMS, "B"},
    {"databases that are open", DATABASES_MAX, ""},
    {"memory for all of them", MEMORY_BYTES_MAX, "B"},
    {"a value in a database", VALUE_BYTES_MAX, "B"},
    {"a text of SQL", SQL_BYTES_MAX, "B"},
    {"pieces of background work", TIMERS_MAX, ""},
    {"app.at_start of the server", TIMERS_STARTS, ""},
    {"a run's end, after a reload", BACKGROUND_PATIENCE_MS, "ms"},
    {NULL, 0, NULL},
};

struct worker {
    struct watch signals; // first: the watch's function finds the worker by it
    struct watch channel; // from the master
    const struct worker_job *job;
    struct reach reach;             // what the sandbox allows; empty where it is off
    bool has_landlock, has_seccomp; // whether the kernel enforces reach, and refuses calls
    struct loop *loop;
    struct pool *pool, *slow_pool;
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
    int status;
};

// False when the master does not listen any more.
static bool say(const struct worker *w, enum worker_says what, unsigned number, const char *text)
{
    struct worker_word word = {.pid = getpid(), .says = what, .number = number};
    stpncpy(word.text, text, sizeof word.text - 1);
    return write(w->job->ready_fd, &word, sizeof word) == sizeof word;
}

// While the server starts, all workers fail for the same reason: the first one tells it. What a checker
// finds is the reason why a reload comes to nothing.
static void tell(struct worker *w, const char *message)
{
    struct worker_shared *shared = w->job->shared;
    w->status = 1;
    if (!shared->starting || !atomic_exchange(&shared->told, true))
        log_write(LOG_ERROR, "%s", message);
    if (w->job->checks) // the last that it does: the master has no patience with it from then on
        say(w, WORKER_REFUSES, w->job->number, message);
}

static bool fail(struct worker *w, const char *what, int err)
{
    char message[PATH_MAX + 128];
    snprintf(message, sizeof message, "a worker cannot start: %s: %s", what, strerror(err));
    tell(w, message);
    return false;
}

// What it does for itself begins no more; the end waits for what still runs.
static void end_background(struct worker *w)
{
    background_end(&w->background);
    server_hold(w->server, !w->background.rested);
}

static void on_rest(void *arg)
{
    struct worker *w = arg;
    server_hold(w->server, false);
    say(w, WORKER_RESTS, 0, "");
}

static void on_signal(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)watch;
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->signal_fd, &info, sizeof info) == sizeof info) {
        w->sides.front.stopping = true;
        if (w->job->config->dev && w->server)
            live_stop(&w->live);
        if (info.ssi_signo != SIGTERM || !w->server) {
            loop_stop(w->loop);
            continue;
        }
        end_background(w);
        server_drain(w->server);
    }
}

// TERM and QUIT come through the loop. INT and HUP, which a terminal sends to the whole group, are
// the master's to pass on.
static bool take_signals(struct worker *w)
{
    sigset_t mine;
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of its write
    sigemptyset(&mine);
    sigaddset(&mine, SIGTERM);
    sigaddset(&mine, SIGQUIT);
    sigprocmask(SIG_SETMASK, &mine, NULL);
    w->signal_fd = signalfd(-1, &mine, SFD_NONBLOCK | SFD_CLOEXEC);
    if (w->signal_fd < 0)
        return fail(w, "signalfd", errno);
    int rc = loop_add(w->loop, &w->signals, w->signal_fd, EPOLLIN, on_signal);
    return rc == 0 || fail(w, "signals", -rc);
}

static struct tally *my_tally(const struct worker *w)
{
    struct figures *f = w->job->shared->figures;
    return f ? figures_tally(f, w->job->place) : NULL;
}

static void fill_options(struct worker *w, const struct config *c)
{
    w->server_options = serving_options(c, w->job->temp);
    w->server_options.tally = my_tally(w);
    w->server_options.flights = &w->job->shared->flights[w->job->place];
    w->server_options.stays_open = c->health.path != NULL;
}

static bool is_in_front(const struct worker *w)
{
    return w->job->config->metrics.path || w->job->config->health.path;
}

// The generation answers from the next request on.
static void serve_with(struct worker *w, const struct generation *g)
{
    fill_options(w, g->config);
    log_set_level((enum log_level)log_level_parse(str_z(g->config->log.level)));
    w->hold.site = &handler_http;
    w->hold.self = g->handler;
    if (!w->job->config->dev)
        w->sides.front.self = g->handler;
    if (!w->job->config->dev && !is_in_front(w))
        server_use(w->server, g->handler);
}

// Another server has the listening sockets now. Nobody is told that this one stops: the site does not.
static void leave(struct worker *w)
{
    sides_stop_listening(&w->sides);
    if (w->job->config->dev && w->server)
        live_stop(&w->live);
    if (!w->server) {
        loop_stop(w->loop);
        return;
    }
    end_background(w);
    server_leave(w->server, LEAVE_MS);
}

static void on_failed(struct worker *w, int report)
{
    int rc = live_failed(&w->live, report);
    if (rc < 0)
        log_write(LOG_WARN, "why the reload failed cannot be shown: %s", strerror(-rc));
    close(report);
}

static void on_commit(struct worker *w, unsigned number)
{
    if (!generations_commit(&w->generations, number))
        return;
    serve_with(w, w->generations.current);
    background_committed(&w->background);
    if (w->job->config->dev)
        live_reloaded(&w->live, number);
}

static void on_message(struct worker *w, struct channel_message *m)
{
    switch (m->kind) {
    case CHANNEL_LOGS:
        log_adopt(m->fds[0], m->fds[1]);
        break;
    case CHANNEL_LOAD:
        generations_load(&w->generations, m->number, m->fds[0], m->fds[1]);
        close(m->fds[0]);
        close(m->fds[1]);
        break;
    case CHANNEL_COMMIT:
        on_commit(w, m->number);
        break;
    case CHANNEL_DUTY:
        background_give(&w->background, (enum timers_share)m->number);
        break;
    case CHANNEL_ABORT:
        generations_abort(&w->generations, m->number);
        break;
    case CHANNEL_CURRENT:
        hold_release(&w->hold);
        break;
    case CHANNEL_LEAVE:
        leave(w);
        break;
    case CHANNEL_SAVED:
        live_saved(&w->live, m->number, str_z(m->text));
        break;
    case CHANNEL_FAILED:
        on_failed(w, m->fds[0]);
        break;
    case CHANNEL_MENDED:
        live_mended(&w->live);
        break;
    }
}

// What it would have done: the address is free at once, whatever this worker has to finish. That it is to
// end comes as a signal.
static void on_master_gone(struct worker *w)
{
    const struct config *c = w->job->config;
    loop_del(w->loop, &w->channel);
    for (unsigned i = 0; i < c->listen_addrs + c->side_addrs; i++)
        shutdown(w->job->sockets[i], SHUT_RDWR);
}

static void on_channel(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)((char *)watch - offsetof(struct worker, channel));
    struct channel_message m;
    int rc;
    (void)events;
    while ((rc = channel_receive(watch->fd, &m)) > 0)
        on_message(w, &m);
    if (rc < 0)
        on_master_gone(w);
}

static bool take_channel(struct worker *w)
{
    if (w->job->channel < 0)
        return true;
    int rc = loop_add(w->loop, &w->channel, w->job->channel, EPOLLIN, on_channel);
    return rc == 0 || fail(w, "the channel from the master", -rc);
}

static void tell_figures(struct worker *w)
{
    struct figures_now now = {.log_lost = log_lost()};
    if (w->generations.current) {
        now.lua_memory = generations_memory(&w->generations);
        now.coroutines = generations_coroutines(&w->generations);
        now.pool = pool_queued(w->pool);
        now.slow_pool = pool_queued(w->slow_pool);
    }
    figures_tell(w->job->shared->figures, w->job->place, &now);
}

// Without a turn nobody asks for a file, so that no other moment can be the first to keep one.
static void end_turn(void *arg)
{
    struct worker *w = arg;
    if (w->job->shared->figures && !w->job->checks)
        tell_figures(w);
    if (!log_flush() && !w->unwritten.armed)
        timeout_set(w->loop, &w->unwritten, UNWRITTEN_MS);
    const struct generation *g = w->generations.current;
    if (g && !w->trim.armed && filecache_descriptors(g->cache) > 0)
        timeout_set(w->loop, &w->trim, TRIM_MS);
}

// A turn was all that was wanted: its end writes.
static void on_unwritten(struct timeout *t)
{
    (void)t;
}

static void on_trim(struct timeout *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, trim));
    filecache_trim(w->generations.current->cache, loop_wall(w->loop));
}

// Where there is none, or none to be used, the built-in table is all.
static void load_media_types(void)
{
    int rc = mime_system_load(MIME_SYSTEM_FILE);
    if (rc < 0 && rc != -ENOENT)
        log_write(LOG_WARN, MIME_SYSTEM_FILE " is not used: %s", strerror(-rc));
}

static bool make_pool(struct worker *w)
{
    w->pool = pool_new(w->loop, POOL_THREADS, POOL_WAITING);
    w->slow_pool = pool_new(w->loop, SLOW_THREADS, SLOW_WAITING);
    return (w->pool && w->slow_pool) || fail(w, "the thread pool", errno);
}

// Called in the watchdog's thread. The master ends this process; where that is gone nobody else would, and
// the next server could not listen where this one does.
static bool tell_lost(void *arg, const char *text)
{
    const struct worker *w = arg;
    if (getppid() != w->job->master)
        _exit(1);
    return say(w, WORKER_LOST, 0, *text ? text : "somewhere");
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
        return fail(w, "the watchdog", errno);
    if (!w->job->checks) // whose place is none
        crash_watch(&w->job->shared->flights[w->job->place], w->watchdog);
    return true;
}

static bool ask_master(void *arg)
{
    return say(arg, WORKER_ASKS, 0, "");
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
    w->server = server_new(w->loop, &w->server_options, &w->job->shared->places, w->job->place,
                           is_in_front(w) ? &front_site : w->sides.front.site,
                           is_in_front(w) ? (void *)&w->sides.front : w->sides.front.self);
    if (!w->server)
        return fail(w, "the server", ENOMEM);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        int rc = server_listen(w->server, w->job->sockets[i]);
        if (rc < 0)
            return fail(w, "a listening socket", -rc);
    }
    if (g)
        serve_with(w, g);
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
    if (!say(w, WORKER_READY, number, declared(w, w->generations.current, text)))
        fail(w, "the pipe to the master", errno);
}

// It serves all the same, and says why.
static void stay(struct worker *w, unsigned number, const char *error)
{
    log_write(LOG_ERROR, "%s", error);
    live_start_failed(&w->live, w->generations.report, error);
    if (make_server(w, NULL) && !say(w, WORKER_BARE, number, error))
        fail(w, "the pipe to the master", errno);
}

// The first scripts are loaded, or not.
static void begin(struct worker *w, unsigned number, const char *error)
{
    int rc = error && w->job->report >= 0
                 ? report_write(w->job->report, w->generations.report, str_z(error))
                 : 0;
    if (rc < 0)
        log_write(LOG_WARN, "why the scripts cannot be loaded cannot be shown: %s", strerror(-rc));
    if (error && w->job->stays)
        stay(w, number, error);
    else if (error)
        tell(w, error);
    else if (w->job->checks)
        say(w, WORKER_LOADED, number, "");
    else if (generations_commit(&w->generations, number) && make_server(w, w->generations.current))
        say_ready(w, number);
    if (w->status != 0 || w->job->checks)
        loop_stop(w->loop);
}

static void on_loaded(void *arg, unsigned number, const char *error)
{
    struct worker *w = arg;
    if (!w->server) {
        begin(w, number, error);
        return;
    }
    if (error)
        log_write(LOG_ERROR, "%s", error);
    say(w, error ? WORKER_REFUSES : WORKER_LOADED, number, error ? error : "");
}

static bool open_cache(struct worker *w)
{
    w->shared_cache = cache_client_new(w->job->cache, w->job->place, w->loop);
    w->forms = forms_new(KEPT_FORMS);
    return (w->shared_cache && w->forms) || fail(w, "the caches", errno);
}

static void load(struct worker *w)
{
    w->generations.start = w->job->config;
    w->generations.loaded = on_loaded;
    w->generations.arg = w;
    w->generations.host = (struct generation_host){
        .loop = w->loop,
        .pool = w->pool,
        .slow_pool = w->slow_pool,
        .watchdog = w->watchdog,
        .cache = w->shared_cache,
        .forms = w->forms,
        .tally = w->job->checks ? NULL : my_tally(w),
        .reach = w->has_landlock ? &w->reach : NULL,
        .no_programs = w->has_seccomp && w->job->config->sandbox.exec.n == 0,
        .live = w->job->config->dev ? &w->live.server : NULL,
    };
    if (w->job->config->dev)
        live_init(&w->live, w->loop, w->job->shared->server, w->job->saves, w->job->number);
    generations_init(&w->generations);
    w->background = (struct background){
        .generations = &w->generations,
        .marks = &w->job->shared->background,
        .patience_ms = w->job->config->dev ? BACKGROUND_DEV_MS : BACKGROUND_PATIENCE_MS,
        .rests = on_rest,
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
    const struct config *c = w->job->config;
    char why[SANDBOX_WHY_MAX], message[SANDBOX_WHY_MAX + 64];
    struct sandbox_options o = {
        .site = c->site,
        .data = c->data,
        .temp = w->job->temp,
        .library = getenv("LUNETTE_LUA"),
        .read = c->sandbox.read.item,
        .write = c->sandbox.write.item,
        .exec = c->sandbox.exec.item,
    };
    if (!c->sandbox.on)
        return true;
    struct sandbox_kernel kernel = sandbox_kernel();
    w->has_landlock = kernel.landlock > 0;
    w->has_seccomp = kernel.seccomp;
    if (sandbox_list(&o, &w->reach, why) &&
        sandbox_enter(&w->reach, c->sandbox.exec.n > 0, kernel, why))
        return true;
    snprintf(message, sizeof message, "a worker cannot start: %s", why);
    tell(w, message);
    return false;
}

// Before there is a handler: health says "starting" meanwhile.
static bool open_sides(struct worker *w)
{
    int rc = w->job->checks ? 0 : sides_open(&w->sides, w->job, w->loop, NULL);
    return rc == 0 || fail(w, "the listener of metrics or health", -rc);
}

static bool start(struct worker *w)
{
    if (!enter_sandbox(w))
        return false;
    w->loop = loop_new();
    if (!w->loop)
        return fail(w, "the event loop", errno);
    loop_at_turn_end(w->loop, end_turn, w);
    load_media_types(); // before there are threads
    if (!take_signals(w) || !take_channel(w) || !make_pool(w) || !start_watchdog(w) ||
        !open_cache(w) || !open_sides(w))
        return false;
    load(w);
    end_turn(w); // of what was no turn yet
    return w->status == 0;
}

static void take_down(struct worker *w)
{
    if (w->server)
        server_free(w->server);
    sides_close(&w->sides);
    live_fini(&w->live);
    log_ask_for_id(NULL, NULL); // the answer is in a generation
    background_fini(&w->background);
    generations_fini(&w->generations);
    forms_free(w->forms);
    coding_fini();
    mime_system_unload();
    crash_forget();
    watchdog_stop(w->watchdog);
    cache_client_free(w->shared_cache);
    pool_free(w->slow_pool);
    pool_free(w->pool); // its threads may still work for what the vm has left behind
    if (w->signal_fd >= 0) {
        loop_del(w->loop, &w->signals);
        close(w->signal_fd);
    }
    if (w->loop) {
        timeout_remove(w->loop, &w->trim);
        timeout_remove(w->loop, &w->unwritten);
        loop_del(w->loop, &w->channel);
        loop_free(w->loop);
    }
    reach_fini(&w->reach);
    log_drain(LOG_PATIENCE);
}

int worker_run(const struct worker_job *job)
{
    struct worker w = {.job = job, .signals = {.fd = -1}, .channel = {.fd = -1}, .signal_fd = -1};
    timeout_init(&w.trim, on_trim);
    timeout_init(&w.unwritten, on_unwritten);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != job->master) // it died before it could be watched
        return 1;
    if (start(&w)) {
        int rc = loop_run(w.loop);
        if (rc < 0)
            fail(&w, "the event loop", -rc);
    }
    take_down(&w);
    return w.status;
}

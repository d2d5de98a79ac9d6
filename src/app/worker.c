// A worker: see the header. It starts from below to above and is taken down the other way:
//
//      sandbox → loop → signals → pool → watchdog → vm → files → handler → (the site's scripts load)
//      → server → sockets → ready
#include "app/worker.h"

#include "app/channel.h"
#include "app/sandbox.h"
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
#include <unistd.h>

enum {
    BODY_RATE = 500,        // bytes a second that a request body must reach on average
    KEPT_FILES = 1000,      // small files in the file cache
    KEPT_BYTES = 16 << 20,  // and the memory for them
    KEPT_DESCRIPTORS = 256, // larger files, kept open
    KEPT_FORMS = 16 << 20,  // memory for coded forms of files
    TRIM_MS = 10 * 1000,    // between two looks for those that nobody asks for
    UNWRITTEN_MS = 100,     // between two tries to write to an access log that takes nothing
    LOG_PATIENCE = 500,     // milliseconds that it gets at the end
    POOL_THREADS = 4,       // of each worker, for calls that would block
    POOL_WAITING = 1024,    // such calls that have no thread yet; one more is a 503
    SLOW_THREADS = 2,       // the same for password hashes, which keep a core busy for 100 ms:
    SLOW_WAITING = 64,      // nothing else queues behind them
};

const struct worker_bound worker_bounds[] = {
    {"slowest request body", BODY_RATE, "B/s"},
    {"threads of the pool", POOL_THREADS, ""},
    {"calls that wait for one", POOL_WAITING, ""},
    {"threads for password hashes", SLOW_THREADS, ""},
    {"hashes that wait for one", SLOW_WAITING, ""},
    {"small files in memory", KEPT_FILES, ""},
    {"memory for them", KEPT_BYTES, "B"},
    {"large files kept open", KEPT_DESCRIPTORS, ""},
    {"memory for coded files", KEPT_FORMS, "B"},
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
    struct vm *vm;
    struct file_root *files;
    struct filecache *cache;
    struct cache_client *shared_cache;
    struct timeout trim;      // of the cache; armed while it keeps descriptors
    struct timeout unwritten; // access lines that the log did not take in their turn
    struct forms *forms;      // coded ones, of files
    struct str *types;        // gzip.types as slices; NULL: the built-in list
    struct handler *handler;
    struct sides sides; // metrics and health
    struct server *server;
    struct vm_options vm_options;
    struct handler_options handler_options;
    struct server_options server_options;
    int signal_fd;
    int status;
};

// While the server starts, all workers fail for the same reason: the first one tells it.
static void tell(struct worker *w, const char *message)
{
    struct worker_shared *shared = w->job->shared;
    w->status = 1;
    if (!shared->starting || !atomic_exchange(&shared->told, true))
        log_write(LOG_ERROR, "%s", message);
}

static bool fail(struct worker *w, const char *what, int err)
{
    char message[PATH_MAX + 128];
    snprintf(message, sizeof message, "a worker cannot start: %s: %s", what, strerror(err));
    tell(w, message);
    return false;
}

static void on_signal(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)watch;
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->signal_fd, &info, sizeof info) == sizeof info) {
        w->sides.front.stopping = true;
        if (info.ssi_signo == SIGTERM && w->server)
            server_drain(w->server);
        else
            loop_stop(w->loop);
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

static void on_channel(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)((char *)watch - offsetof(struct worker, channel));
    struct channel_message m;
    int rc;
    (void)events;
    while ((rc = channel_receive(watch->fd, &m)) > 0)
        if (m.kind == CHANNEL_LOGS)
            log_adopt(m.fds[0], m.fds[1]);
    if (rc < 0) // the master is gone, and tells so by a signal too
        loop_del(w->loop, watch);
}

static bool take_channel(struct worker *w)
{
    int rc = loop_add(w->loop, &w->channel, w->job->channel, EPOLLIN, on_channel);
    return rc == 0 || fail(w, "the channel from the master", -rc);
}

static void tell_figures(struct worker *w)
{
    struct figures_now now = {.log_lost = log_lost()};
    if (w->vm) {
        now.lua_memory = vm_memory(w->vm);
        now.coroutines = co_alive(w->vm);
        now.pool = pool_queued(w->pool);
        now.slow_pool = pool_queued(w->slow_pool);
    }
    figures_tell(w->job->shared->figures, w->job->place, &now);
}

// Without a turn nobody asks for a file, so that no other moment can be the first to keep one.
static void end_turn(void *arg)
{
    struct worker *w = arg;
    if (w->job->shared->figures)
        tell_figures(w);
    if (!log_flush() && !w->unwritten.armed)
        timeout_set(w->loop, &w->unwritten, UNWRITTEN_MS);
    if (w->cache && !w->trim.armed && filecache_descriptors(w->cache) > 0)
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
    filecache_trim(w->cache, loop_wall(w->loop));
}

static bool open_files(struct worker *w)
{
    struct filecache_options kept = {
        .files = KEPT_FILES,
        .bytes = KEPT_BYTES,
        .descriptors = KEPT_DESCRIPTORS,
        .look_always = w->job->config->dev,
    };
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/site", w->job->config->site);
    int rc = file_root_open(path, &w->files);
    if (rc < 0 && rc != -ENOENT)
        return fail(w, path, -rc);
    w->cache = filecache_new(&kept);
    w->forms = forms_new(KEPT_FORMS);
    return (w->cache && w->forms) || fail(w, "the file cache", errno);
}

// Where there is none, or none to be used, the built-in table is all.
static void load_media_types(void)
{
    int rc = mime_system_load(MIME_SYSTEM_FILE);
    if (rc < 0 && rc != -ENOENT)
        log_write(LOG_WARN, MIME_SYSTEM_FILE " is not used: %s", strerror(-rc));
}

static bool read_types(struct worker *w)
{
    const struct config_list *types = &w->job->config->gzip.types;
    if (!types->item)
        return true;
    w->types = calloc(types->n + 1, sizeof *w->types);
    for (unsigned i = 0; w->types && i < types->n; i++)
        w->types[i] = str_z(types->item[i]);
    return w->types || fail(w, "gzip.types", ENOMEM);
}

static bool make_pool(struct worker *w)
{
    w->pool = pool_new(w->loop, POOL_THREADS, POOL_WAITING);
    w->slow_pool = pool_new(w->loop, SLOW_THREADS, SLOW_WAITING);
    return (w->pool && w->slow_pool) || fail(w, "the thread pool", errno);
}

// Called in the watchdog's thread. The master ends this process.
static bool tell_lost(void *arg, const char *text)
{
    const struct worker *w = arg;
    struct worker_word word = {.pid = getpid()};
    stpncpy(word.lost, *text ? text : "somewhere", sizeof word.lost - 1);
    return write(w->job->ready_fd, &word, sizeof word) == sizeof word;
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
    return w->watchdog || fail(w, "the watchdog", errno);
}

static bool make_vm(struct worker *w)
{
    const struct config *c = w->job->config;
    w->shared_cache = cache_client_new(w->job->cache, w->job->place, w->loop);
    if (!w->shared_cache)
        return fail(w, "the cache", errno);
    w->vm_options = (struct vm_options){
        .site = c->site,
        .memory = c->limits.lua_memory,
        .request_memory = c->limits.request_memory,
        .dev = c->dev,
        .loop = w->loop,
        .pool = w->pool,
        .slow_pool = w->slow_pool,
        .secrets = c->secrets.item,
        .secret_count = c->secrets.n,
        .cache = w->shared_cache,
        .reach = w->has_landlock ? &w->reach : NULL,
        .no_programs = w->has_seccomp && c->sandbox.exec.n == 0,
        .watchdog = w->watchdog,
        .cpu_ms = c->timeouts.cpu,
    };
    w->vm = vm_new(&w->vm_options);
    return w->vm || fail(w, "the Lua state", errno);
}

static bool writes_json(const struct config *c)
{
    return strcmp(c->log.format, "json") == 0;
}

static struct tally *my_tally(const struct worker *w)
{
    struct figures *f = w->job->shared->figures;
    return f ? figures_tally(f, w->job->place) : NULL;
}

static bool make_handler(struct worker *w)
{
    const struct config *c = w->job->config;
    struct tally *tally = my_tally(w);
    w->handler_options = (struct handler_options){
        .root = w->files,
        .files = {.max_age = (int64_t)c->static_files.max_age,
                  .index = c->static_files.index.item,
                  .listing = c->static_files.listing,
                  .cache = w->cache},
        .fit = {.codings = {.offered = coding_all(),
                            .level = (int)c->gzip.level,
                            .min_bytes = c->gzip.min_bytes,
                            .types = w->types,
                            .type_count = c->gzip.types.n},
                .forms = w->forms},
        .body_bytes = c->limits.body_bytes,
        .form_fields = c->limits.form_fields,
        .parts = {.parts = c->limits.part_count,
                  .head_bytes = c->limits.header_bytes,
                  .fields = c->limits.headers},
        .handler_ms = c->timeouts.handler,
        .trusted_proxies = {c->trusted, c->trusted_proxies.n},
        .data = c->data,
        .settings = c->settings,
        .tally = tally,
        .names_routes = tally || writes_json(c),
    };
    w->handler = handler_new(w->vm, &w->handler_options);
    return w->handler || fail(w, "the handler", ENOMEM);
}

static bool make_server(struct worker *w)
{
    const struct config *c = w->job->config;
    w->server_options = (struct server_options){
        .head = {.head_bytes = c->limits.header_bytes,
                 .uri_bytes = c->limits.uri_bytes,
                 .fields = c->limits.headers},
        .spool = {.folder = w->job->temp, .memory = c->limits.body_memory},
        .linger_bytes = c->limits.linger_bytes,
        .header_ms = c->timeouts.header,
        .body_ms = c->timeouts.body,
        .idle_ms = c->timeouts.idle,
        .send_ms = c->timeouts.send,
        .linger_ms = c->timeouts.linger,
        .stop_ms = c->timeouts.stop,
        .body_rate = BODY_RATE,
        .access = writes_json(c) ? ACCESS_JSON : ACCESS_COMBINED,
        .tally = my_tally(w),
        .stays_open = c->health.path != NULL,
    };
    bool in_front = c->metrics.path || c->health.path;
    w->server = server_new(w->loop, &w->server_options, &w->job->shared->places, w->job->place,
                           in_front ? &front_site : &handler_http,
                           in_front ? (void *)&w->sides.front : (void *)w->handler);
    if (!w->server)
        return fail(w, "the server", ENOMEM);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        int rc = server_listen(w->server, w->job->sockets[i]);
        if (rc < 0)
            return fail(w, "a listening socket", -rc);
    }
    return true;
}

static bool make_sides(struct worker *w)
{
    int rc = sides_open(&w->sides, w->job, w->loop, w->handler);
    return rc == 0 || fail(w, "the listener of metrics or health", -rc);
}

// The scripts are loaded, or not.
static void on_loaded(void *arg, const char *error)
{
    struct worker *w = arg;
    struct worker_word ready = {.pid = getpid()};
    if (error)
        tell(w, error);
    else if (make_server(w) && write(w->job->ready_fd, &ready, sizeof ready) != sizeof ready)
        fail(w, "the pipe to the master", errno);
    if (w->status != 0)
        loop_stop(w->loop);
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
        !make_vm(w) || !open_files(w) || !read_types(w) || !make_handler(w) || !make_sides(w))
        return false;
    handler_load(w->handler, on_loaded, w);
    end_turn(w); // of what was no turn yet
    return w->status == 0;
}

static void take_down(struct worker *w)
{
    if (w->server)
        server_free(w->server);
    sides_close(&w->sides);
    filecache_free(w->cache);
    forms_free(w->forms);
    coding_fini();
    mime_system_unload();
    free(w->types);
    file_root_close(w->files);
    log_ask_for_id(NULL, NULL); // the answer is in the vm
    if (w->vm)
        vm_free(w->vm);
    watchdog_stop(w->watchdog);
    cache_client_free(w->shared_cache);
    if (w->handler)
        handler_free(w->handler);
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

// A worker: see the header. It starts from below to above and is taken down the other way:
//
//      loop → signals → pool → watchdog → vm → files → handler → (the site's scripts load) → server
//      → sockets → ready
#include "app/worker.h"

#include "base/log.h"
#include "content/cache_client.h"
#include "content/coding.h"
#include "content/filecache.h"
#include "content/forms.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/timeout.h"
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
    POOL_THREADS = 4,       // of each worker, for calls that would block
    POOL_WAITING = 1024,    // such calls that have no thread yet; one more is a 503
    SLOW_THREADS = 2,       // the same for password hashes, which keep a core busy for 100 ms:
    SLOW_WAITING = 64,      // nothing else queues behind them
};

struct worker {
    struct watch signals; // first: the watch's function finds the worker by it
    const struct worker_job *job;
    struct loop *loop;
    struct pool *pool, *slow_pool;
    struct watchdog *watchdog;
    struct vm *vm;
    struct file_root *files;
    struct filecache *cache;
    struct cache_client *shared_cache;
    struct timeout trim; // of the cache; armed while it keeps descriptors
    struct forms *forms; // coded ones, of files
    struct str *types;   // gzip.types as slices; NULL: the built-in list
    struct handler *handler;
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

// Without a turn nobody asks for a file, so that no other moment can be the first to keep one.
static void end_turn(void *arg)
{
    struct worker *w = arg;
    log_flush();
    if (w->cache && !w->trim.armed && filecache_descriptors(w->cache) > 0)
        timeout_set(w->loop, &w->trim, TRIM_MS);
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
        .watchdog = w->watchdog,
        .cpu_ms = c->timeouts.cpu,
    };
    w->vm = vm_new(&w->vm_options);
    return w->vm || fail(w, "the Lua state", errno);
}

static bool make_handler(struct worker *w)
{
    const struct config *c = w->job->config;
    w->handler_options = (struct handler_options){
        .root = w->files,
        .files = {.max_age = (int64_t)c->static_files.max_age,
                  .index = c->static_files.index.item,
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
    };
    w->handler = handler_new(w->vm, &w->handler_options);
    return w->handler || fail(w, "the handler", ENOMEM);
}

// Where large bodies wait: the file has no name there.
static const char *temp_folder(const struct config *c)
{
    if (c->temp)
        return c->temp;
    return access(c->data, W_OK | X_OK) == 0 ? c->data : "/tmp";
}

static bool make_server(struct worker *w)
{
    const struct config *c = w->job->config;
    w->server_options = (struct server_options){
        .head = {.head_bytes = c->limits.header_bytes,
                 .uri_bytes = c->limits.uri_bytes,
                 .fields = c->limits.headers},
        .spool = {.folder = temp_folder(c), .memory = c->limits.body_memory},
        .linger_bytes = c->limits.linger_bytes,
        .header_ms = c->timeouts.header,
        .body_ms = c->timeouts.body,
        .idle_ms = c->timeouts.idle,
        .send_ms = c->timeouts.send,
        .linger_ms = c->timeouts.linger,
        .stop_ms = c->timeouts.stop,
        .body_rate = BODY_RATE,
    };
    w->server = server_new(w->loop, &w->server_options, &w->job->shared->places, w->job->place,
                           &handler_http, w->handler);
    if (!w->server)
        return fail(w, "the server", ENOMEM);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        int rc = server_listen(w->server, w->job->sockets[i]);
        if (rc < 0)
            return fail(w, "a listening socket", -rc);
    }
    return true;
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

static bool start(struct worker *w)
{
    w->loop = loop_new();
    if (!w->loop)
        return fail(w, "the event loop", errno);
    loop_at_turn_end(w->loop, end_turn, w);
    if (!take_signals(w) || !make_pool(w) || !start_watchdog(w) || !make_vm(w) || !open_files(w) ||
        !read_types(w) || !make_handler(w))
        return false;
    handler_load(w->handler, on_loaded, w);
    return w->status == 0;
}

static void take_down(struct worker *w)
{
    if (w->server)
        server_free(w->server);
    filecache_free(w->cache);
    forms_free(w->forms);
    coding_fini();
    free(w->types);
    file_root_close(w->files);
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
        loop_free(w->loop);
    }
    log_flush();
}

int worker_run(const struct worker_job *job)
{
    struct worker w = {.job = job, .signals = {.fd = -1}, .signal_fd = -1};
    timeout_init(&w.trim, on_trim);
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

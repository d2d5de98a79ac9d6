// The steps by which the master starts: as root where root started it.
//
//      sockets → pid file → data/ → logs → become the site's user → its own sockets
//      → control socket → descriptors
//
// and what is said once all workers are ready.
#include "app/figures.h"
#include "app/files.h"
#include "app/inherit.h"
#include "app/logs.h"
#include "app/master_inside.h"
#include "app/sandbox.h"
#include "app/signals.h"
#include "base/libcrypto.h"
#include "base/log.h"
#include "content/mime_system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SPARE_DESCRIPTORS = 64, // of a worker: logs, files, databases
};

// The steps of the start --------------------------------------------------------------------------

static bool open_pid_file(struct master *m)
{
    const char *path = m->config->pid_file;
    pid_t holder = 0;
    if (!path)
        return true;
    m->pid_fd = inherit_take(&m->inherited->pid_file); // to be written once we take over
    if (m->pid_fd < 0)
        m->pid_fd = files_open_pid(path, &holder);
    if (m->pid_fd >= 0)
        return true;
    if (m->pid_fd == -EBUSY && holder > 0)
        return master_complain(m, "the pid file %s is that of a server which runs: process %d",
                               path, (int)holder);
    if (m->pid_fd == -EBUSY)
        return master_complain(m, "the pid file %s is that of a server which just starts", path);
    if (m->pid_fd == -ELOOP)
        return master_complain(
            m,
            "the pid file %s: the way to it leads through a link that another user "
            "could have made",
            path);
    if (m->pid_fd == -EEXIST)
        return master_complain(m, "the pid file %s exists and is not a plain file of its own",
                               path);
    return master_complain(m, "cannot write the pid file %s: %s", path, strerror(-m->pid_fd));
}

// What root has opened once goes on, where its successor has no right to.
static bool adopt_logs(struct master *m, const char *failed, int err)
{
    struct inherited *in = m->inherited;
    if (in->error_log < 0 && in->access_log < 0)
        return false;
    log_adopt(inherit_take(&in->error_log), inherit_take(&in->access_log));
    log_set_level((enum log_level)log_level_parse(str_z(m->config->log.level)));
    log_write(LOG_WARN, "cannot open the log %s: %s. The files that were open before go on", failed,
              strerror(err));
    return true;
}

static bool open_logs(struct master *m)
{
    const struct config *c = m->config;
    const char *failed;
    int err;
    if (logs_open(c, &failed, &err) || adopt_logs(m, failed, err))
        return true;
    return master_complain(m, "cannot open the log %s: %s", failed, strerror(err));
}

static bool make_data(struct master *m)
{
    const struct config *c = m->config;
    int rc = files_make_data(c->site, c->data, &c->become);
    struct stat st;
    if (rc < 0 && stat(c->data, &st) != 0)
        log_write(LOG_WARN, "the folder %s could not be made: %s", c->data, strerror(-rc));
    else if (rc < 0)
        return master_complain(m, "%s is not a folder", c->data);
    return true;
}

static bool become(struct master *m)
{
    const struct config *c = m->config;
    char why[PRIVS_WHY_MAX], blocked[PATH_MAX];
    if (!c->as_root)
        return true;
    if (c->stays_root)
        return privs_drop_capabilities(why) || master_complain(m, "%s", why);
    if (!privs_become(&c->become, why))
        return master_complain(m, "%s", why);
    if (privs_blocked(c->site, R_OK | X_OK, blocked))
        return master_complain(
            m,
            "%s:%s, whom the server became, may not read %s. Give --user with one who "
            "may, change its owner or mode (chown, chmod), or use --dev to serve it to "
            "yourself on loopback",
            c->become.user, c->become.group, blocked);
    return true;
}

// A folder for large bodies that nobody else uses: workers may write all of it.
static bool choose_temp(struct master *m)
{
    const struct config *c = m->config;
    m->temp = c->temp ? c->temp : c->data;
    if (c->temp || access(c->data, W_OK | X_OK) == 0)
        return true;
    int rc = temp_open(&m->own_temp, c->site);
    if (rc == 0)
        m->temp = m->own_temp.path;
    else
        log_write(LOG_WARN,
                  "large request bodies have no folder: %s cannot be written, nor be made in /tmp: "
                  "%s: %s. config.lua's temp can name one",
                  c->data, m->own_temp.path,
                  rc == -EBUSY ? "another process has locked it" : strerror(-rc));
    return true;
}

// A file that root alone can write may name logs and the control socket as root would; another one
// may name what its site can write.
static bool take_places(struct master *m)
{
    const struct config *c = m->config;
    bool early = !c->as_root || c->file_is_roots;
    bool early_control = early && c->control;
    log_share(inherit_take(&m->inherited->out), inherit_take(&m->inherited->err));
    master_place_control(m);
    return master_open_sockets(m) && open_pid_file(m) && make_data(m) && (!early || open_logs(m)) &&
           (!early_control || master_open_control(m)) && become(m) && make_data(m) &&
           (early || open_logs(m)) && master_open_late_sockets(m) &&
           (early_control || master_open_control(m)) && choose_temp(m);
}

static void raise_descriptors(const struct config *c)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < c->limits.connections + SPARE_DESCRIPTORS)
        log_write(
            LOG_WARN,
            "limits.connections is %u, but a process may open %llu files only: raise the hard "
            "limit (ulimit -Hn) or lower limits.connections",
            c->limits.connections, (unsigned long long)l.rlim_cur);
}

// The one of the server that this one replaces, if it is as it would be made now.
static bool share_cache(struct master *m, unsigned workers)
{
    int fd = m->inherited->cache;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size != m->config->cache_bytes ||
        workers > CACHE_WORKERS_MAX / 2)
        return false;
    m->cache = cache_open(fd, workers);
    if (!m->cache)
        return false;
    inherit_take(&m->inherited->cache);
    cache_number_from(m->cache, m->inherited->cache_first);
    m->cache_is_shared = true;
    return true;
}

static bool open_cache(struct master *m)
{
    const struct config *c = m->config;
    unsigned workers = c->workers + 1; // and a checker
    if (share_cache(m, workers))
        return true;
    if (m->inherited->replaces)
        log_write(LOG_WARN, "the cache begins empty: its size or layout is another than before");
    m->inherited->cache_first = 0;
    m->cache = cache_new(c->cache_bytes, workers);
    return m->cache || master_complain(m, "cannot start: a cache of %llu bytes: %s",
                                       (unsigned long long)c->cache_bytes, strerror(errno));
}

static bool prepare(struct master *m)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1); // what a script leaves behind stays known as our kin
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    m->signal_fd = signals_open(&m->signals);
    m->slots = calloc(m->config->workers, sizeof *m->slots);
    void *shared =
        mmap(NULL, sizeof *m->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->shared = shared == MAP_FAILED ? NULL : shared;
    if (m->signal_fd < 0 || !m->slots || !m->shared)
        return master_complain(m, "cannot start: %s", strerror(errno));
    const struct config *c = m->config;
    int rc =
        places_init(&m->places, c->workers, c->limits.connections, c->limits.connections_per_ip);
    if (rc < 0)
        return master_complain(m, "cannot start: %s", strerror(-rc));
    if (!open_cache(m))
        return false;
    m->shared->starting = true;
    if (c->dev && getrandom(&m->shared->server, sizeof m->shared->server, 0) < 0)
        return master_complain(m, "cannot start: %s", strerror(errno));
    char why[SNAPSHOT_WHY_MAX];
    if (!reload_first(m, why))
        return master_complain(m, "%s", why);
    if (c->metrics.text && !(m->figures = figures_new(c->workers)))
        return master_complain(m, "cannot start: memory for the metrics: %s", strerror(errno));
    return true;
}

// Who replaces a server has its rights, and no way to others.
static void warn_of_identity(const struct config *c, const struct inherited *in)
{
    char why[PRIVS_WHY_MAX];
    struct identity now;
    if (!in->replaces || c->as_root || (!c->user && !c->group))
        return;
    if (!privs_choose(c->user, c->group, c->site, &now, why) || now.uid != c->become.uid ||
        now.gid != c->become.gid)
        log_write(
            LOG_WARN,
            "config.lua names another user or group than %s:%s, as whom the server runs since it "
            "gave up root: that takes a start, not a replacement",
            c->become.user, c->become.group);
}

// Before there are workers, which share its pages: each by itself would have 130 KiB of its own,
// and one that comes later another table than the rest. Where there is no file, or none to be used,
// the built-in table is all.
static void load_media_types(void)
{
    int rc = mime_system_load(MIME_SYSTEM_FILE);
    if (rc < 0 && rc != -ENOENT)
        log_write(LOG_WARN, MIME_SYSTEM_FILE " is not used: %s", strerror(-rc));
}

// What the linker writes into it is shared by the workers as well. Where the settings have no
// secret, few sites need it, and --dev's own secret says nothing: who does need it loads it.
static void load_libcrypto(const struct config *c)
{
    const char *why = c->secrets.n > 0 && !c->secret_is_made ? libcrypto_load() : NULL;
    if (why)
        log_write(LOG_WARN, "what takes the secret will fail: %s", why);
}

bool master_start(struct master *m)
{
    if (!take_places(m) || !prepare(m))
        return false;
    inherit_close_rest(m->inherited); // before a worker could have it, too
    raise_descriptors(m->config);
    warn_of_identity(m->config, m->inherited);
    rooms_init(m);
    load_media_types();
    load_libcrypto(m->config);
    // What the start needed once; workers would copy its pages when they use them for something
    // else.
    malloc_trim(0);
    return true;
}

void master_address(const struct master *m, unsigned i, char dst[static ADDR_TEXT_MAX])
{
    struct addr bound = m->config->listen[i];
    socklen_t n = sizeof bound.storage;
    if (addr_port(&bound) == 0 && bound.un.sun_family != AF_UNIX) // the kernel has chosen
        getsockname(m->sockets[i], &bound.sa, &n);
    addr_format(&bound, dst);
}

// A line on stderr, whose reader may be stuck: nobody waits for that.
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[PIPE_BUF];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= (int)sizeof line)
        n = (int)sizeof line - 1;
    if (n > 0)
        log_say(str_of(line, (size_t)n));
}

// "lunette 0.1.0 serves /srv/site on http://127.0.0.1:8080 (2 workers, as www:www), sandbox: on
// (Landlock ABI 7, seccomp)", a line for each address. With --dev it goes on ". 3 routes, 0
// middleware, 1 view; watching scripts/ and site/ (reloads by itself)".
static void say_serving(const struct master *m, const char *declared)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX], sandbox[SANDBOX_TEXT_MAX];
    if (c->quiet)
        return;
    sandbox_describe(c->sandbox.on, sandbox_kernel(), sandbox);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        master_address(m, i, text);
        say("lunette %s serves %s on %s%s (%u worker%s, as %s:%s), sandbox: %s%s%s%s\n",
            LUNETTE_VERSION, c->site, c->listen[i].un.sun_family == AF_UNIX ? "" : "http://", text,
            c->workers, c->workers == 1 ? "" : "s", c->become.user, c->become.group, sandbox,
            c->dev && *declared ? ". " : "", c->dev ? declared : "",
            c->dev ? "; watching scripts/ and site/ (reloads by itself)" : "");
    }
}

// A site of scripts alone whose entry is missing: most likely a slip, and served all the same.
static void warn_if_empty(const struct config *c)
{
    char main_lua[PATH_MAX + 32], files[PATH_MAX + 32];
    snprintf(main_lua, sizeof main_lua, "%s/scripts/main.lua", c->site);
    snprintf(files, sizeof files, "%s/site", c->site);
    if (access(main_lua, F_OK) != 0 && errno == ENOENT && access(files, F_OK) != 0 &&
        errno == ENOENT)
        log_write(LOG_WARN, "scripts/main.lua is not there, nor site/: nothing but 404s");
}

void master_say_start(const struct master *m, const char *declared)
{
    warn_if_empty(m->config);
    say_serving(m, declared);
}

void master_tell_ready(struct master *m)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX];
    master_address(m, 0, text);
    notify_tell(&m->notify, "READY=1\nMAINPID=%d\nSTATUS=serves %s on %s%s, with %u worker%s",
                (int)getpid(), c->site, text, c->listen_addrs > 1 ? " and elsewhere" : "",
                c->workers, c->workers == 1 ? "" : "s");
}

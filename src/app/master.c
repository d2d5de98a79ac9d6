// The master: see the header. First a list of steps, as root where root started it:
//
//      sockets → pid file → logs → data/ → become the site's user → descriptors → workers
//
// then a loop over two descriptors, signals and the pipe on which workers say that they are ready, or
// that their Lua is lost:
//
//      STARTING ──all were ready──> SERVING ──TERM, INT──> STOPPING ──again, QUIT, time──> ENDING
//          └─────── a worker ended ──────────────────────────────────────────────────────────┘
//
// STARTING: the end of a worker ends the start, since the next one would end the same way. SERVING:
// a worker that ended is replaced, at once if it had been ready, else after a pause that doubles.
// HUP begins a reload (reload.c). STOPPING: the workers finish what they have. ENDING: they are told to stop now, and killed a
// second later. The master ends when no worker is left.
#include "app/master.h"
#include "app/master_inside.h"

#include "app/channel.h"
#include "app/figures.h"
#include "app/files.h"
#include "app/logs.h"
#include "app/sandbox.h"
#include "app/worker.h"
#include "base/log.h"
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 4096, // the kernel cuts it to net.core.somaxconn
    PAUSE_FIRST = 100,
    PAUSE_MOST = 5000,
    GRACE = 1000,          // what workers get beyond timeouts.stop, and before they are killed
    SPARE_DESCRIPTORS = 64 // of a worker: logs, files, databases
};

int64_t master_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2))) static bool complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("lunette: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

// The steps of the start --------------------------------------------------------------------------

static bool open_sockets(struct master *m)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX];
    unsigned n = c->listen_addrs + c->side_addrs;
    m->sockets = calloc(n, sizeof *m->sockets);
    m->socket_ids = calloc(n, sizeof *m->socket_ids);
    if (!m->sockets || !m->socket_ids)
        return complain("not enough memory");
    for (unsigned i = 0; i < n; i++) {
        int fd = listener_open(&c->listen[i], BACKLOG);
        if (fd < 0)
            return complain("cannot listen on %s: %s", addr_format(&c->listen[i], text),
                            strerror(-fd));
        m->sockets[m->socket_count++] = fd;
        const char *path = c->listen[i].un.sun_path;
        if (c->listen[i].sa.sa_family != AF_UNIX)
            continue;
        int rc =
            files_own_socket(path, c->as_root && !c->dev ? &c->become : NULL, &m->socket_ids[i]);
        if (rc < 0)
            return complain("cannot hand %s to its user: %s", path, strerror(-rc));
    }
    return true;
}

static bool open_pid_file(struct master *m)
{
    const char *path = m->config->pid_file;
    if (!path)
        return true;
    m->pid_fd = files_open_pid(path);
    if (m->pid_fd >= 0)
        return true;
    if (m->pid_fd == -ELOOP)
        return complain("the pid file %s: the way to it leads through a link that another user "
                        "could have made",
                        path);
    if (m->pid_fd == -EEXIST)
        return complain("the pid file %s exists and is not a plain file of its own", path);
    return complain("cannot write the pid file %s: %s", path, strerror(-m->pid_fd));
}

static bool open_logs(const struct config *c)
{
    const char *failed;
    int err;
    return logs_open(c, &failed, &err) ||
           complain("cannot open the log %s: %s", failed, strerror(err));
}

static bool make_data(const struct config *c)
{
    int rc = files_make_data(c->site, c->data, &c->become);
    struct stat st;
    if (rc < 0 && stat(c->data, &st) != 0)
        log_write(LOG_WARN, "the folder %s could not be made: %s", c->data, strerror(-rc));
    else if (rc < 0)
        return complain("%s is not a folder", c->data);
    return true;
}

static bool become(const struct config *c)
{
    char why[PRIVS_WHY_MAX], blocked[PATH_MAX];
    if (!c->as_root)
        return true;
    if (c->dev)
        return privs_drop_capabilities(why) || complain("%s", why);
    if (!privs_become(&c->become, why))
        return complain("%s", why);
    if (privs_blocked(c->site, R_OK | X_OK, blocked))
        return complain("%s:%s, whom the server became, may not read %s. Give --user with one who "
                        "may, change its owner or mode (chown, chmod), or use --dev to serve it to "
                        "yourself on loopback",
                        c->become.user, c->become.group, blocked);
    return true;
}

// A folder for large bodies that nobody else uses: workers may write all of it.
static bool choose_temp(struct master *m)
{
    static const char pattern[] = "/tmp/lunette-XXXXXX";
    const struct config *c = m->config;
    m->temp = c->temp ? c->temp : c->data;
    if (c->temp || access(c->data, W_OK | X_OK) == 0)
        return true;
    memcpy(m->own_temp, pattern, sizeof pattern);
    if (mkdtemp(m->own_temp)) {
        m->temp = m->own_temp;
        return true;
    }
    m->own_temp[0] = '\0';
    log_write(LOG_WARN, "large request bodies have no folder: neither %s nor /tmp can be written",
              c->data);
    return true;
}

// A file that root alone can write may name logs as root would; another one may name what its site
// can write.
static bool take_places(struct master *m)
{
    const struct config *c = m->config;
    bool early = !c->as_root || c->file_is_roots;
    return open_sockets(m) && open_pid_file(m) && (!early || open_logs(c)) && make_data(c) &&
           become(c) && (early || open_logs(c)) && make_data(c) && choose_temp(m);
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

static bool prepare(struct master *m)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigemptyset(&m->signals);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        sigaddset(&m->signals, handled[i]);
    sigprocmask(SIG_BLOCK, &m->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    m->signal_fd = signalfd(-1, &m->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    m->slots = calloc(m->config->workers, sizeof *m->slots);
    void *shared =
        mmap(NULL, sizeof *m->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->shared = shared == MAP_FAILED ? NULL : shared;
    if (m->signal_fd < 0 || !m->slots || !m->shared ||
        pipe2(m->ready_pipe, O_NONBLOCK | O_CLOEXEC) != 0)
        return complain("cannot start: %s", strerror(errno));
    const struct config *c = m->config;
    int rc = places_init(&m->shared->places, c->workers, c->limits.connections,
                         c->limits.connections_per_ip);
    if (rc < 0)
        return complain("cannot start: %s", strerror(-rc));
    m->cache = cache_new(c->cache_bytes, c->workers + 1); // and a checker
    if (!m->cache)
        return complain("cannot start: a cache of %llu bytes: %s",
                        (unsigned long long)c->cache_bytes, strerror(errno));
    m->shared->starting = true;
    char why[SNAPSHOT_WHY_MAX];
    if (!reload_first(m, why))
        return complain("%s", why);
    if (c->metrics.text && !(m->shared->figures = figures_new(c->workers)))
        return complain("cannot start: memory for the metrics: %s", strerror(errno));
    return true;
}

// Workers -----------------------------------------------------------------------------------------

static void close_others(const struct told *t, const struct told *mine)
{
    if (t->scripts >= 0 && t->scripts != mine->scripts)
        close(t->scripts);
    if (t->settings >= 0 && t->settings != mine->settings)
        close(t->settings);
}

void master_leave(const struct master *m, const struct told *mine, struct worker_job *job)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            close(m->slots[i].channel);
    close(m->signal_fd);
    close(m->ready_pipe[0]);
    if (m->pid_fd >= 0)
        close(m->pid_fd);
    close_others(&m->told, mine);
    close_others(&m->reload.new, mine);
    *job = (struct worker_job){
        .config = m->config,
        .sockets = m->sockets,
        .shared = m->shared,
        .cache = m->cache,
        .temp = m->temp,
        .channel = -1,
        .ready_fd = m->ready_pipe[1],
        .number = mine->number,
        .scripts = mine->scripts,
        .settings = mine->settings,
    };
}

// In the new process: serves, and ends it.
static _Noreturn void be_worker(struct master *m, unsigned place, pid_t master, int channel)
{
    struct worker_job job;
    master_leave(m, &m->told, &job);
    job.place = place;
    job.channel = channel;
    job.master = master;
    exit(worker_run(&job));
}

static const char *describe_end(int status, char dst[static 64])
{
    if (WIFSIGNALED(status))
        snprintf(dst, 64, "was killed by signal %d (SIG%s)", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(dst, 64, "ended with status %d", WEXITSTATUS(status));
    return dst;
}

static void pause_slot(struct slot *s, int64_t now)
{
    s->pause = s->pause == 0 ? PAUSE_FIRST : s->pause * 2 < PAUSE_MOST ? s->pause * 2 : PAUSE_MOST;
    s->start_at = now + s->pause;
}

static void start_worker(struct master *m, struct slot *s)
{
    char end[64];
    int ends[2] = {-1, -1}, rc = channel_open(ends);
    pid_t master = getpid(), pid = -1;
    log_flush(); // nothing buffered may be written twice
    fflush(NULL);
    if (rc == 0 && (pid = fork()) < 0)
        rc = -errno;
    if (pid == 0) {
        close(ends[0]);
        be_worker(m, (unsigned)(s - m->slots), master, ends[1]);
    }
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        log_write(LOG_ERROR, "a worker could not be started: %s", strerror(-rc));
        pause_slot(s, master_now());
        return;
    }
    s->channel = ends[0];
    if (s->replaces)
        log_write(LOG_WARN, "worker %d %s%s; started %d", (int)s->replaces,
                  describe_end(s->status, end), s->held, (int)pid);
    s->pid = pid;
    s->ready = false;
}

static void start_due(struct master *m)
{
    int64_t now = master_now();
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (s->pid == 0 && m->state <= SERVING && s->start_at <= now)
            start_worker(m, s);
    }
}

struct slot *master_slot(struct master *m, pid_t pid)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid == pid)
            return &m->slots[i];
    return NULL;
}

static unsigned count_workers(const struct master *m)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < m->config->workers; i++)
        n += m->slots[i].pid != 0;
    return n;
}

static void signal_workers(const struct master *m, int signo)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            kill(m->slots[i].pid, signo);
}

// No further connection on the first n sockets: neither for the workers, nor in the queue of a
// socket that nobody empties.
static void stop_listening(const struct master *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct addr *a = &m->config->listen[i];
        shutdown(m->sockets[i], SHUT_RDWR);
        if (a->sa.sa_family == AF_UNIX)
            files_remove_socket(a->un.sun_path, &m->socket_ids[i]);
    }
}

static void stop(struct master *m, enum master_state next, int64_t within)
{
    if (m->state == ENDING) // impatience must not move the deadline
        return;
    m->state = next;
    m->deadline = master_now() + within;
    reload_stop(m);
    signal_workers(m, next == STOPPING ? SIGTERM : SIGQUIT);
    if (next == ENDING)
        stop_listening(m, m->socket_count);
    else if (!m->config->health.path)               // which is to be asked still
        stop_listening(m, m->config->listen_addrs); // after the workers know why
}

static void on_end(struct master *m, struct slot *s, int status)
{
    char end[64];
    pid_t pid = s->pid;
    s->pid = 0;
    close(s->channel);
    places_reset(&m->shared->places, (unsigned)(s - m->slots)); // they went with it
    flights_describe(&m->shared->flights[s - m->slots], s->held);
    flights_reset(&m->shared->flights[s - m->slots]);
    cache_worker_died(m->cache, (unsigned)(s - m->slots));
    if (m->shared->figures)
        figures_worker_ended(m->shared->figures, (unsigned)(s - m->slots), m->state == SERVING);
    if (m->state >= STOPPING) {
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
            log_write(LOG_ERROR, "worker %d %s while it stopped%s", (int)pid,
                      describe_end(status, end), s->held);
        return;
    }
    if (m->state == STARTING) {
        if (!m->shared->told)
            log_write(LOG_ERROR, "worker %d %s before it was ready", (int)pid,
                      describe_end(status, end));
        m->status = 1;
        stop(m, ENDING, GRACE);
        return;
    }
    reload_on_worker_end(m);
    s->replaces = pid;
    s->status = status;
    if (s->ready)
        s->pause = 0, s->start_at = 0;
    else
        pause_slot(s, master_now());
}

static void reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid < 0)
            continue;
        struct slot *s = master_slot(m, pid);
        if (s)
            on_end(m, s, status);
        else
            reload_on_end(m, pid);
    }
}

// "lunette 0.1.0 serves /srv/site on http://127.0.0.1:8080 (2 workers, as www:www), sandbox: on
// (Landlock ABI 7, seccomp)", a line for each address.
static void say_start(const struct master *m)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX], sandbox[SANDBOX_TEXT_MAX];
    if (c->quiet)
        return;
    sandbox_describe(c->sandbox.on, sandbox_kernel(), sandbox);
    for (unsigned i = 0; i < c->listen_addrs; i++) {
        struct addr bound = c->listen[i];
        socklen_t n = sizeof bound.storage;
        if (addr_port(&bound) == 0 && bound.un.sun_family != AF_UNIX) // the kernel has chosen
            getsockname(m->sockets[i], &bound.sa, &n);
        fprintf(stderr, "lunette %s serves %s on %s%s (%u worker%s, as %s:%s), sandbox: %s\n",
                LUNETTE_VERSION, c->site, c->listen[i].un.sun_family == AF_UNIX ? "" : "http://",
                addr_format(&bound, text), c->workers, c->workers == 1 ? "" : "s", c->become.user,
                c->become.group, sandbox);
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

bool master_all_ready(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (!m->slots[i].pid || !m->slots[i].ready)
            return false;
    return true;
}

// Its Lua is where Lua itself cannot end it: what else it had to do goes with it.
static void end_lost(const struct master *m, const struct slot *s, const char *words)
{
    log_write(LOG_ERROR,
              "worker %d is ended: its Lua does not come back and has passed timeouts.cpu (%g s): "
              "%s",
              (int)s->pid, m->config->timeouts.cpu / 1000.0, words);
    kill(s->pid, SIGKILL);
}

static void on_ready(struct master *m, struct slot *s)
{
    s->ready = true;
    s->pause = 0;
    if (m->state != STARTING || !master_all_ready(m))
        return;
    m->state = SERVING;
    m->shared->starting = false;
    warn_if_empty(m->config);
    say_start(m);
}

static void on_words(struct master *m)
{
    struct worker_word word;
    ssize_t n;
    while ((n = read(m->ready_pipe[0], &word, sizeof word)) == sizeof word ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        struct slot *s = master_slot(m, word.pid);
        if (!s)
            reload_on_checker_word(m, &word);
        else if (word.says == WORKER_READY)
            on_ready(m, s);
        else if (word.says == WORKER_LOST)
            end_lost(m, s, word.text);
        else
            reload_on_word(m, s, &word);
    }
}

// The logs were rotated: the master, which may have the rights, opens them for everybody.
static void reopen_logs(const struct master *m)
{
    struct channel_message message = {.kind = CHANNEL_LOGS, .fds = {-1, -1, -1, -1}};
    logs_reopen(m->config, &message.fds[0], &message.fds[1]);
    if (message.fds[0] < 0 && message.fds[1] < 0)
        return;
    for (uint32_t i = 0; i < m->config->workers; i++) {
        int rc = m->slots[i].pid ? channel_send(m->slots[i].channel, &message) : 0;
        if (rc < 0)
            log_write(LOG_ERROR, "worker %d did not get the new logs: %s", (int)m->slots[i].pid,
                      strerror(-rc));
    }
    log_adopt(message.fds[0], message.fds[1]);
    log_write(LOG_INFO, "the logs were opened again");
}

// The loop ----------------------------------------------------------------------------------------

static void on_signal(struct master *m, int signo)
{
    switch (signo) {
    case SIGCHLD:
        reap(m);
        break;
    case SIGTERM:
    case SIGINT:
        if (m->state < STOPPING)
            stop(m, STOPPING, (int64_t)m->stop_ms + GRACE);
        else
            stop(m, ENDING, GRACE);
        break;
    case SIGQUIT:
        stop(m, ENDING, GRACE);
        break;
    case SIGHUP:
        reload_ask(m);
        break;
    case SIGUSR1:
        reopen_logs(m);
        break;
    default:
        log_write(LOG_WARN, "SIGUSR2: replacing the program is not in this version of lunette yet");
    }
}

// The workers had their time.
static void on_deadline(struct master *m)
{
    if (m->state == STOPPING)
        log_write(LOG_WARN, "requests are still under way after timeouts.stop: cutting them off");
    signal_workers(m, SIGKILL);
    m->state = ENDING;
    m->deadline = master_now() + GRACE;
}

// Milliseconds until something is due; -1 for nothing.
static int next_due(const struct master *m)
{
    int64_t at = m->state >= STOPPING ? m->deadline : INT64_MAX, now = master_now();
    for (uint32_t i = 0; i < m->config->workers && m->state <= SERVING; i++)
        if (m->slots[i].pid == 0 && m->slots[i].start_at < at)
            at = m->slots[i].start_at;
    if (reload_due(m) < at)
        at = reload_due(m);
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : at - now < 60000 ? (int)(at - now) : 60000;
}

static void turn(struct master *m)
{
    struct pollfd p[] = {{.fd = m->signal_fd, .events = POLLIN},
                         {.fd = m->ready_pipe[0], .events = POLLIN}};
    struct signalfd_siginfo info;
    if (poll(p, 2, next_due(m)) < 0)
        return;  // EINTR, by a debugger: the signals are blocked
    on_words(m); // before the ends, so that one that was ready is known as such
    while (read(m->signal_fd, &info, sizeof info) == sizeof info)
        on_signal(m, (int)info.ssi_signo);
    if (m->state >= STOPPING && master_now() >= m->deadline)
        on_deadline(m);
    start_due(m);
    reload_on_turn(m);
}

static void give_back(struct master *m)
{
    stop_listening(m, m->socket_count);
    for (unsigned i = 0; i < m->socket_count; i++)
        close(m->sockets[i]);
    if (m->pid_fd >= 0)
        files_close_pid(m->config->pid_file, m->pid_fd);
    if (m->signal_fd >= 0)
        close(m->signal_fd);
    if (m->ready_pipe[0] >= 0)
        close(m->ready_pipe[0]), close(m->ready_pipe[1]);
    reload_give_back(m);
    cache_free(m->cache);
    if (m->shared) {
        figures_free(m->shared->figures);
        places_fini(&m->shared->places);
        munmap(m->shared, sizeof *m->shared);
    }
    if (m->own_temp[0] && rmdir(m->own_temp) != 0)
        log_write(LOG_WARN, "%s could not be removed: %s", m->own_temp, strerror(errno));
    free(m->sockets);
    free(m->socket_ids);
    free(m->slots);
    log_close();
}

int master_run(const struct config *c)
{
    struct master m = {.config = c, .pid_fd = -1, .signal_fd = -1, .ready_pipe = {-1, -1}};
    m.told.scripts = m.told.settings = m.reload.new.scripts = m.reload.new.settings = -1;
    m.stop_ms = c->timeouts.stop;
    if (!take_places(&m) || !prepare(&m)) {
        m.status = 1;
    } else {
        raise_descriptors(c);
        start_due(&m);
        while (m.state <= SERVING || count_workers(&m) > 0)
            turn(&m);
    }
    give_back(&m);
    return m.status;
}

// The master: see the header. First the steps of master_start.c, then workers, and a loop over a few
// descriptors: signals, the channels on which workers say that they are ready, or that their Lua is
// lost, and the control socket:
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
#include "app/kin.h"
#include "app/logs.h"
#include "app/sandbox.h"
#include "app/worker.h"
#include "base/log.h"
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
    PAUSE_FIRST = 100,
    PAUSE_MOST = 5000,
    GRACE = 1000,   // what workers get beyond timeouts.stop, and before they are killed
    WORDS = 16,     // of one worker in a turn: others are to be heard as well
    AGAIN_MS = 100, // between two tries to give a worker the new logs
};

int64_t master_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool master_complain(const struct master *m, const char *format, ...)
{
    char why[2 * PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    replace_fail_start(m->inherited, why);
    return false;
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
    if (m->reload.line >= 0)
        close(m->reload.line);
    if (m->pid_fd >= 0)
        close(m->pid_fd);
    if (m->own_temp.fd >= 0)
        close(m->own_temp.fd);
    control_leave(m->control);
    if (m->control_fd >= 0)
        close(m->control_fd);
    if (m->replace.line >= 0)
        close(m->replace.line);
    if (m->inherited->line >= 0)
        close(m->inherited->line);
    if (m->notify.fd >= 0)
        close(m->notify.fd);
    close_others(&m->told, mine);
    close_others(&m->reload.new, mine);
    bool checks = mine == &m->reload.new;
    if (m->reload.report >= 0 && !checks)
        close(m->reload.report);
    if (m->watch)
        close(watch_fd(m->watch));
    if (m->watch_site)
        close(watch_fd(m->watch_site));
    *job = (struct worker_job){
        .config = m->config,
        .sockets = m->sockets,
        .shared = m->shared,
        .places = (struct places *)&m->places,
        .figures = m->figures,
        .owns_socket = m->owns_socket,
        .cache = m->cache,
        .temp = m->temp,
        .channel = -1,
        .number = mine->number,
        .scripts = mine->scripts,
        .settings = mine->settings,
        .report = checks ? m->reload.report : -1,
        .saves = m->saves,
        .stays = m->config->dev && !checks && !(m->state == STARTING && m->inherited->replaces),
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

bool master_tended(enum cache_tended what)
{
    if (what == CACHE_EMPTIED)
        log_write(LOG_ERROR, "the memory of the shared cache was damaged by a worker: the cache "
                             "begins empty");
    return what != CACHE_UNTENDED;
}

static void start_worker(struct master *m, struct slot *s)
{
    char end[64];
    int ends[2] = {-1, -1}, rc = master_tended(cache_tend(m->cache)) ? channel_open(ends) : -errno;
    pid_t master = getpid(), pid = -1;
    log_flush(); // nothing buffered may be written twice
    fflush(NULL);
    if (rc == 0 && (pid = fork()) < 0)
        rc = -errno;
    if (pid == 0) {
        close(ends[0]);
        be_worker(m, (unsigned)(s - m->slots), master, ends[1]);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    if (rc < 0) {
        if (ends[0] >= 0)
            close(ends[0]);
        log_write(LOG_ERROR, "a worker could not be started: %s", strerror(-rc));
        pause_slot(s, master_now());
        return;
    }
    s->channel = ends[0];
    s->deaf = s->logs_due = false;
    if (s->replaces)
        log_write(LOG_WARN, "worker %d %s%s; started %d", (int)s->replaces,
                  describe_end(s->status, end), s->held, (int)pid);
    s->pid = pid;
    s->ready = s->rests = false;
    s->since = master_now();
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
        if (m->socket_shared[i])
            continue; // whoever has it too goes on with it
        shutdown(m->sockets[i], SHUT_RDWR);
        if (a->sa.sa_family == AF_UNIX)
            files_remove_socket(a->un.sun_path, &m->socket_ids[i]);
    }
}

static void stop(struct master *m, enum master_state next, int64_t within)
{
    if (m->state == ENDING) // impatience must not move the deadline
        return;
    if (m->state < STOPPING)
        notify_tell(&m->notify,
                    "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=finishing the requests under way",
                    (long long)(within + 2 * GRACE) * 1000); // whatever TimeoutStopSec says
    m->state = next;
    m->deadline = master_now() + within;
    reload_stop(m);
    replace_stop(m);
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
    s->ends++;
    close(s->channel);
    places_reset(&m->places, (unsigned)(s - m->slots)); // they went with it
    flights_describe(&m->shared->flights[s - m->slots], s->held);
    flights_reset(&m->shared->flights[s - m->slots]);
    master_tended(cache_worker_died(m->cache, (unsigned)(s - m->slots)));
    duty_on_end(m, s);
    if (m->figures)
        figures_worker_ended(m->figures, (unsigned)(s - m->slots), m->state == SERVING);
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

static void hear(struct master *m, struct slot *s, bool ended);

static void reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid < 0)
            continue;
        struct slot *s = master_slot(m, pid);
        if (s)
            hear(m, s, true), on_end(m, s, status);
        else if (!reload_on_end(m, pid))
            replace_on_end(m, pid);
    }
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

static void on_ready(struct master *m, struct slot *s, const struct worker_word *word)
{
    m->bare = word->says == WORKER_BARE;
    s->ready = true;
    s->since = master_now();
    s->pause = 0;
    saves_tell_new(m, s);
    if (m->state != STARTING || !master_all_ready(m))
        return;
    m->state = SERVING;
    m->shared->starting = false;
    master_say_start(m, m->bare ? "" : word->text);
    replace_take_over(m);
    master_tell_ready(m);
}

int master_hear(int channel, struct worker_word *word)
{
    int rc = channel_hear(channel, word, sizeof *word);
    word->text[sizeof word->text - 1] = '\0';
    return rc;
}

// Who says what cannot be understood is not listened to any more. ended: it is gone, and these are its
// last words.
static void hear(struct master *m, struct slot *s, bool ended)
{
    struct worker_word word;
    int rc = 0;
    for (int i = 0; i < WORDS && !s->deaf && (rc = master_hear(s->channel, &word)) > 0; i++) {
        if (word.says == WORKER_READY || word.says == WORKER_BARE)
            on_ready(m, s, &word);
        else if (word.says == WORKER_RESTS)
            duty_on_rest(m, s);
        else if (word.says != WORKER_LOST)
            reload_on_word(m, s, &word);
        else if (!ended)
            end_lost(m, s, word.text);
    }
    if (rc == -EPROTO)
        log_write(LOG_ERROR, "worker %d says what no worker says: it is ended", (int)s->pid);
    if (rc == -EPROTO && !ended)
        kill(s->pid, SIGKILL);
    s->deaf |= rc < 0;
}

static void on_words(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            hear(m, &m->slots[i], false);
    reload_on_checker_word(m);
}

// Gives one worker the logs that the master writes to. One that does not read its channel, because it
// is stuck or stopped, is told once it does.
static void give_logs(struct master *m, struct slot *s)
{
    struct channel_message message = {.kind = CHANNEL_LOGS,
                                      .fds = {m->log_fds[0], m->log_fds[1], -1, -1}};
    int rc = channel_send(s->channel, &message);
    if (rc < 0 && rc != -EPIPE && !s->logs_due)
        log_write(LOG_WARN, "worker %d does not get the new logs yet: %s", (int)s->pid,
                  strerror(-rc));
    s->logs_due = rc < 0 && rc != -EPIPE;
    if (s->logs_due)
        m->logs_due = master_now() + AGAIN_MS;
}

static void give_due_logs(struct master *m)
{
    if (master_now() < m->logs_due)
        return;
    m->logs_due = INT64_MAX;
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid && m->slots[i].logs_due)
            give_logs(m, &m->slots[i]);
}

// The logs were rotated: the master, which may have the rights, opens them for everybody.
static void reopen_logs(struct master *m)
{
    int error, access;
    logs_reopen(m->config, &error, &access);
    if (error < 0 && access < 0)
        return;
    log_adopt(error, access); // whose descriptors they are from here on
    m->log_fds[0] = error < 0 ? m->log_fds[0] : error;
    m->log_fds[1] = access < 0 ? m->log_fds[1] : access;
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            give_logs(m, &m->slots[i]);
    log_write(LOG_INFO, "the logs were opened again");
}

// The loop ----------------------------------------------------------------------------------------

void master_share_socket(struct master *m, unsigned i, bool shared)
{
    m->socket_shared[i] = shared;
    m->owns_socket[i] = !shared;
}

void master_leave_to(struct master *m)
{
    m->state = STOPPING;
    m->deadline = master_now() + m->stop_ms + GRACE;
    reload_stop(m);
}

void master_stop(struct master *m)
{
    if (m->state < STOPPING)
        stop(m, STOPPING, (int64_t)m->stop_ms + GRACE);
}

static void on_signal(struct master *m, int signo)
{
    switch (signo) {
    case SIGCHLD:
        reap(m);
        break;
    case SIGTERM:
    case SIGINT:
        if (m->state < STOPPING)
            master_stop(m);
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
        m->replace.rotated = m->replace.stage == REPLACE_STARTING;
        reopen_logs(m);
        break;
    default:
        replace_ask(m); // USR2
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
    if (replace_due(m) < at)
        at = replace_due(m);
    if (duty_due(m) < at)
        at = duty_due(m);
    if (notify_due(&m->notify) < at)
        at = notify_due(&m->notify);
    if (m->logs_due < at)
        at = m->logs_due;
    if (master_control_due(m) < at)
        at = master_control_due(m);
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : at - now < 60000 ? (int)(at - now) : 60000;
}

static void turn(struct master *m)
{
    bool starts = m->replace.stage == REPLACE_STARTING, serves = m->state == SERVING;
    int own[] = {starts ? m->replace.line : -1,
                 serves ? m->inherited->line : -1,
                 m->signal_fd,
                 m->reload.line,
                 m->control ? control_fd(m->control) : -1,
                 m->watch ? watch_fd(m->watch) : -1,
                 m->watch_site ? watch_fd(m->watch_site) : -1};
    enum { OWN = sizeof own / sizeof *own };
    struct pollfd p[OWN + PLACES_WORKERS_MAX];
    struct signalfd_siginfo info;
    for (uint32_t i = 0; i < OWN + m->config->workers; i++) {
        const struct slot *s = i < OWN ? NULL : &m->slots[i - OWN];
        p[i] = (struct pollfd){.fd = !s                   ? own[i]
                                     : s->pid && !s->deaf ? s->channel
                                                          : -1,
                               .events = POLLIN};
    }
    if (poll(p, OWN + m->config->workers, next_due(m)) < 0)
        return;  // EINTR, by a debugger: the signals are blocked
    on_words(m); // before the ends, so that one that was ready is known as such
    while (read(m->signal_fd, &info, sizeof info) == sizeof info)
        on_signal(m, (int)info.ssi_signo);
    if (m->control)
        control_turn(m->control);
    master_keep_control(m);
    if (m->state >= STOPPING && master_now() >= m->deadline)
        on_deadline(m);
    start_due(m);
    give_due_logs(m);
    reload_on_saved(m);
    reload_on_turn(m);
    replace_on_turn(m);
    duty_on_turn(m);
    notify_turn(&m->notify, master_now());
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
    reload_give_back(m);
    cache_free(m->cache);
    places_fini(
        &m->places); // the figures, whose sizes workers could have written, go with the process
    if (m->shared)
        munmap(m->shared, sizeof *m->shared);
    if (m->owns_socket)
        munmap((void *)m->owns_socket, OWNS_BYTES);
    temp_close(&m->own_temp);
    free(m->sockets);
    free(m->socket_ids);
    free(m->socket_shared);
    free(m->slots);
    log_close();
    master_stopped(m);
    notify_close(&m->notify);
    if (m->replace.line >= 0)
        close(m->replace.line);
}

int master_run(const struct config *c, struct inherited *in)
{
    struct master m = {.config = c,
                       .inherited = in,
                       .control_fd = -1,
                       .own_temp = {.fd = -1},
                       .replace = {.line = -1},
                       .pid_fd = -1,
                       .signal_fd = -1,
                       .log_fds = {-1, -1},
                       .logs_due = INT64_MAX,
                       .reload = {.line = -1}};
    m.told.scripts = m.told.settings = m.reload.new.scripts = m.reload.new.settings = -1;
    m.reload.report = -1;
    m.stop_ms = c->timeouts.stop;
    m.began = master_now();
    m.began_wall = time(NULL);
    notify_open(&m.notify);
    if (!master_start(&m)) {
        m.status = 1;
    } else {
        start_due(&m);
        while (m.state <= SERVING || count_workers(&m) > 0)
            turn(&m);
    }
    pid_t heir = m.replace.stage == REPLACE_LEAVING ? m.replace.pid : 0;
    if (heir)
        kin_become_elder(heir); // before its line to us ends
    give_back(&m);
    if (heir)
        kin_outlast(heir); // while what scripts have started lives
    return m.status;
}

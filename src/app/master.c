// The master: see the header. First the steps of master_start.c, then workers (master_workers.c),
// and a loop over a few descriptors: signals, the channels on which workers say that they are
// ready, or that their Lua is lost, and the control socket:
//
//      STARTING ──all were ready──> SERVING ──TERM, INT──> STOPPING ──again, QUIT, time──> ENDING
//          └─────── a worker ended ──────────────────────────────────────────────────────────┘
//
// STARTING: the end of a worker ends the start, since the next one would end the same way. SERVING:
// a worker that ended is replaced, at once if it had been ready (100 ms later where many end
// soon), else after a pause that doubles.
// HUP begins a reload (reload.c). STOPPING: the workers finish what they have. ENDING: they are
// told to stop now, and killed a second later. The master ends when no worker is left.
#include "app/master.h"
#include "app/master_inside.h"

#include "app/files.h"
#include "app/kin.h"
#include "app/reaper.h"
#include "app/signals.h"
#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GRACE = 1000 }; // what workers get beyond timeouts.stop, and before they are killed

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

// The end -----------------------------------------------------------------------------------------

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
    bool is_ours = m->state != STARTING || !m->inherited->replaces;
    if (m->state < STOPPING && m->pid_fd >= 0 && is_ours)
        files_free_pid(m->pid_fd);
    m->state = next;
    m->deadline = master_now() + within;
    reload_stop(m);
    replace_stop(m, next == STOPPING ? SIGTERM : SIGQUIT);
    master_signal_workers(m, next == STOPPING ? SIGTERM : SIGQUIT);
    if (next == ENDING)
        stop_listening(m, m->socket_count);
    else if (!m->config->health.path)               // which is to be asked still
        stop_listening(m, m->config->listen_addrs); // after the workers know why
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

void master_end(struct master *m)
{
    stop(m, ENDING, GRACE);
}

static void on_signal(struct master *m, int signo)
{
    if (replace_pass_on(m, signo))
        return;
    switch (signo) {
    case SIGCHLD:
        master_reap(m);
        break;
    case SIGTERM:
    case SIGINT:
        if (m->state < STOPPING)
            master_stop(m);
        else if (!replace_ends_anyway(m))
            master_end(m);
        break;
    case SIGQUIT:
        master_end(m);
        break;
    case SIGHUP:
        reload_ask(m);
        break;
    case SIGUSR1:
        m->replace.rotated = m->replace.stage == REPLACE_STARTING;
        master_reopen_logs(m);
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
    master_signal_workers(m, SIGKILL);
    replace_cut(m); // and then kills its workers itself, a moment later
    m->state = ENDING;
    m->deadline = master_now() + (replace_dies(m) ? 2 : 1) * GRACE;
}

// Milliseconds until something is due; -1 for nothing.
static int next_due(const struct master *m)
{
    const int64_t all[] = {
        m->state >= STOPPING ? m->deadline : INT64_MAX,
        master_workers_due(m),
        reload_due(m),
        replace_due(m),
        duty_due(m),
        rooms_due(m),
        notify_due(&m->notify),
        tend_due(m),
        m->logs_due,
        master_control_due(m),
    };
    int64_t at = INT64_MAX, now = master_now();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        at = all[i] < at ? all[i] : at;
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : at - now < 60000 ? (int)(at - now) : 60000;
}

// Waits for a descriptor or for what is due. False: for neither, by a debugger; the signals are
// blocked.
static bool await(const struct master *m)
{
    bool starts = m->replace.stage == REPLACE_STARTING, serves = m->state == SERVING;
    const int own[] = {starts ? m->replace.line : -1,
                       serves ? m->inherited->line : -1,
                       m->signal_fd,
                       m->reload.line,
                       m->control ? control_fd(m->control) : -1,
                       m->watch ? watch_fd(m->watch) : -1,
                       m->watch_site ? watch_fd(m->watch_site) : -1};
    enum { OWN = sizeof own / sizeof *own };
    struct pollfd p[OWN + PLACES_WORKERS_MAX];
    nfds_t n = 0;
    while (n < OWN) {
        p[n] = (struct pollfd){.fd = own[n], .events = POLLIN};
        n++;
    }
    for (uint32_t i = 0; i < m->config->workers; i++) {
        const struct slot *s = &m->slots[i];
        p[n++] = (struct pollfd){.fd = s->pid && !s->deaf ? s->channel : -1, .events = POLLIN};
    }
    return poll(p, n, next_due(m)) >= 0;
}

static void turn(struct master *m)
{
    struct signalfd_siginfo info;
    if (!await(m))
        return;
    master_hear_all(m); // before the ends, so that one that was ready is known as such
    while (read(m->signal_fd, &info, sizeof info) == sizeof info)
        on_signal(m, (int)info.ssi_signo);
    if (m->control)
        control_turn(m->control);
    master_keep_control(m);
    if (m->state >= STOPPING && master_now() >= m->deadline)
        on_deadline(m);
    master_end_unready(m);
    tend_on_turn(m);
    master_start_due(m);
    master_give_due_logs(m);
    reload_on_saved(m);
    rooms_on_turn(m);
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
    rooms_fini(m);
    cache_free(m->cache);
    places_fini(&m->places); // figures go with the process
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

// Another one has taken over, but what scripts have started lives, or this is process 1, which
// stays for good. Where that was a server it is the elder of all, and no other is needed. The exit
// status.
static int outlast(const struct master *m, pid_t heir)
{
    if (m->replace.reaper >= 0)
        return reaper_run(m->replace.reaper, m->replace.pid, m->status);
    if (heir && m->inherited->reaper < 0)
        kin_outlast(heir);
    return m->status;
}

int master_run(const struct config *c, struct inherited *in)
{
    struct master m = {.config = c,
                       .inherited = in,
                       .control_fd = -1,
                       .own_temp = {.fd = -1},
                       .replace = {.line = -1, .reaper = -1},
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
    signals_block(&m.signals);
    notify_open(&m.notify);
    if (!master_start(&m)) {
        m.status = 1;
    } else {
        master_start_due(&m);
        while (m.state <= SERVING || master_count_workers(&m) > 0 || replace_dies(&m))
            turn(&m);
    }
    pid_t heir = m.replace.stage == REPLACE_LEAVING ? m.replace.pid : 0;
    if (heir)
        kin_become_elder(heir); // before its line to us ends
    give_back(&m);
    m.status = outlast(&m, heir);
    return m.status;
}

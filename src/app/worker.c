// A worker: see the header. What it hears, from signals and from the master; its start and its end
// are in worker_start.c, what it serves with in worker_serve.c.
#include "app/worker_inside.h"

#include "app/signals.h"
#include "base/log.h"
#include "content/filecache.h"
#include "net/pool.h"
#include "script/vm.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TRIM_MS = 10 * 1000, // between two looks for files that nobody asks for
    UNWRITTEN_MS = 100,  // between two tries to write to an access log that takes nothing
    LEAVE_MS = 3000,     // in which idle connections may have one more request, after a takeover
};

// False when the master does not listen any more.
bool worker_say(const struct worker *w, enum worker_says what, unsigned number, const char *text)
{
    struct worker_word word = {.says = what, .number = number};
    stpncpy(word.text, text, sizeof word.text - 1);
    return channel_say(w->job->channel, &word, sizeof word) == 0;
}

// While the server starts, all workers fail for the same reason: the first one tells it. What a
// checker finds is the reason why a reload comes to nothing.
void worker_tell(struct worker *w, const char *message)
{
    struct worker_shared *shared = w->job->shared;
    w->status = 1;
    if (!shared->starting || !atomic_exchange(&shared->told, true))
        log_write(LOG_ERROR, "%s", message);
    if (w->job->checks) // the last that it does: the master has no patience with it from then on
        worker_say(w, WORKER_REFUSES, w->job->number, message);
}

bool worker_fail(struct worker *w, const char *what, int err)
{
    char message[PATH_MAX + 128];
    snprintf(message, sizeof message, "a worker cannot start: %s: %s", what, strerror(err));
    worker_tell(w, message);
    return false;
}

// What it does for itself begins no more; the end waits for what still runs.
static void end_background(struct worker *w)
{
    background_end(&w->background);
    server_hold(w->server, !w->background.rested);
}

void worker_on_rest(void *arg)
{
    struct worker *w = arg;
    server_hold(w->server, false);
    worker_say(w, WORKER_RESTS, 0, "");
}

void worker_on_signal(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)watch;
    uint64_t told;
    (void)events;
    while (read(w->signal_fd, &told, sizeof told) == sizeof told) {
        w->sides.front.stopping = true;
        if (w->job->config->dev && w->server)
            live_stop(&w->live);
        if (told >= SIGNALS_AT_ONCE || !w->server) {
            loop_stop(w->loop);
            continue;
        }
        end_background(w);
        server_drain(w->server);
    }
}

// Another server has the listening sockets now. Nobody is told that this one stops: the site does
// not.
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

// −1 gives back the one that there is.
static void keep_report(struct worker *w, int report)
{
    if (w->report >= 0)
        close(w->report);
    w->report = report;
}

static void on_commit(struct worker *w, unsigned number)
{
    if (!generations_commit(&w->generations, number))
        return;
    worker_serve_with(w, w->generations.current);
    background_committed(&w->background);
    if (w->job->config->dev)
        live_reloaded(&w->live, number);
}

// A reload comes to nothing by it; the rest is asked for again.
static void on_lost(struct worker *w, const struct channel_message *m)
{
    char why[128];
    struct rlimit l = {0, 0};
    if (m->kind != CHANNEL_LOAD) {
        w->missed |= 1u << m->kind;
        return;
    }
    getrlimit(RLIMIT_NOFILE, &l);
    snprintf(why, sizeof why,
             "a worker has as many descriptors open as it may (RLIMIT_NOFILE: %llu), and none left "
             "for the new scripts",
             (unsigned long long)l.rlim_cur);
    worker_say(w, WORKER_REFUSES, m->number, why);
}

// Once there is room for them. The master may have too much to hear already: then in a later turn.
static void ask_again(struct worker *w)
{
    bool room = channel_keep_spares(w->channel.fd, &w->spares);
    for (unsigned kind = 0; room && w->missed >> kind; kind++)
        if (w->missed >> kind & 1 && worker_say(w, WORKER_MISSED, kind, ""))
            w->missed &= ~(1u << kind);
}

static void on_message(struct worker *w, struct channel_message *m)
{
    switch (m->kind) {
    case CHANNEL_LOGS:
        log_adopt(m->fds[0], m->fds[1]);
        break;
    case CHANNEL_LOAD:
        keep_report(w, m->fds[2]);
        generations_load(&w->generations, m->number, m->fds[0], m->fds[1]);
        close(m->fds[0]);
        close(m->fds[1]);
        break;
    case CHANNEL_COMMIT:
        keep_report(w, -1);
        on_commit(w, m->number);
        break;
    case CHANNEL_DUTY:
        background_give(&w->background, (enum timers_share)m->number);
        break;
    case CHANNEL_ABORT:
        keep_report(w, -1);
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

// What it would have done: the address is free at once, whatever this worker has to finish. That it
// is to end comes as a signal. A socket that another server has too (systemd's, or the one of USR2)
// stays as it is: shut down here it would be dead for that one as well.
static void on_master_gone(struct worker *w)
{
    const struct config *c = w->job->config;
    loop_del(w->loop, &w->channel);
    channel_close_spares(&w->spares);
    for (unsigned i = 0; i < c->listen_addrs + c->side_addrs; i++)
        if (w->job->owns_socket[i])
            shutdown(w->job->sockets[i], SHUT_RDWR);
}

void worker_on_channel(struct watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)((char *)watch - offsetof(struct worker, channel));
    struct channel_message m;
    int rc;
    (void)events;
    do {
        channel_make_room(watch->fd, &w->spares);
        rc = channel_receive(watch->fd, &m);
        if (rc == CHANNEL_LOST)
            on_lost(w, &m);
        else if (rc > 0)
            on_message(w, &m);
        channel_keep_spares(watch->fd, &w->spares);
    } while (rc > 0);
    if (rc < 0)
        on_master_gone(w);
}

static void tell_figures(struct worker *w)
{
    struct figures_now now = {.log_lost = log_lost()};
    if (w->generations.current) {
        now.lua_memory = generations_memory(&w->generations);
        now.coroutines = generations_coroutines(&w->generations);
        now.pool = pool_queued(w->pool);
        now.slow_pool = pool_queued(w->slow_pool);
        now.sql_pool = pool_queued(w->sql_pool);
    }
    figures_tell(w->job->figures, w->job->place, &now);
}

// Without a turn nobody asks for a file, so that no other moment can be the first to keep one.
void worker_end_turn(void *arg)
{
    struct worker *w = arg;
    if (w->job->figures && !w->job->checks)
        tell_figures(w);
    if (w->missed)
        ask_again(w);
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

int worker_run(const struct worker_job *job)
{
    // Not on the stack, where making them zeroes would touch 16 KiB that only --dev uses.
    static struct worker w;
    w.job = job;
    w.signals.fd = w.channel.fd = w.signal_fd = w.report = -1;
    w.spares = CHANNEL_NO_SPARES;
    timeout_init(&w.trim, on_trim);
    timeout_init(&w.unwritten, on_unwritten);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != job->master) // it died before it could be watched
        return 1;
    if (worker_start(&w)) {
        int rc = loop_run(w.loop);
        if (rc < 0)
            worker_fail(&w, "the event loop", -rc);
    }
    worker_take_down(&w);
    return w.status;
}

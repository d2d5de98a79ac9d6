// The master's workers: they are started, heard and replaced here. See master.c for what the states
// mean.
#include "app/channel.h"
#include "app/figures.h"
#include "app/master_inside.h"
#include "app/signals.h"
#include "app/worker.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAUSE_FIRST = 100,
    PAUSE_MOST = 5000,
    SOON_MS = 1000,       // a worker that ends so soon after it was ready may be one of many
    READY_MS = 90 * 1000, // that a worker in place of another one has for its start
    WORDS = 16,           // of one worker in a turn: others are to be heard as well
};

static void close_others(const struct told *t, const struct told *mine)
{
    if (t->scripts >= 0 && t->scripts != mine->scripts)
        close(t->scripts);
    if (t->settings >= 0 && t->settings != mine->settings)
        close(t->settings);
}

// What is the master's alone.
static void close_own(const struct master *m)
{
    const int own[] = {
        m->signal_fd,
        m->reload.line,
        m->pid_fd,
        m->own_temp.fd,
        m->control_fd,
        m->replace.line,
        m->replace.reaper,
        m->inherited->line,
        m->inherited->reaper,
        m->notify.fd,
        m->watch ? watch_fd(m->watch) : -1,
        m->watch_site ? watch_fd(m->watch_site) : -1,
    };
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            close(m->slots[i].channel);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0)
            close(own[i]);
    control_leave(m->control);
}

void master_leave(const struct master *m, const struct told *mine, struct worker_job *job)
{
    close_own(m);
    close_others(&m->told, mine);
    close_others(&m->reload.new, mine);
    bool checks = mine == &m->reload.new;
    if (m->reload.report >= 0 && !checks)
        close(m->reload.report);
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

// One that was ready is replaced at once. Those that end soon after, one behind another, would keep
// a processor and the log busy for as long as the server runs; a longer pause than the first would
// help whoever ends them by what they ask for.
static void start_again(struct slot *s, int64_t now)
{
    bool soon = now - s->since < SOON_MS;
    s->start_at = soon && s->ended_soon ? now + PAUSE_FIRST : 0;
    s->ended_soon = soon;
    s->pause = 0;
}

static void start_worker(struct master *m, struct slot *s)
{
    char end[64];
    int ends[2] = {-1, -1}, rc = channel_open(ends);
    rooms_on_start(m, s);
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

void master_start_due(struct master *m)
{
    int64_t now = master_now();
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (s->pid == 0 && m->state <= SERVING && s->start_at <= now && !tend_holds_start(m))
            start_worker(m, s);
    }
}

static int64_t unready_at(const struct master *m, const struct slot *s)
{
    return m->state == SERVING && s->pid && !s->ready ? s->since + READY_MS : INT64_MAX;
}

// Its place would be empty for good, and every reload would wait for it in vain. While the server
// starts nobody is ended for this: scripts may have much to do the first time.
void master_end_unready(struct master *m)
{
    int64_t now = master_now();
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (now < unready_at(m, s))
            continue;
        log_write(LOG_ERROR, "worker %d is ended: it was not ready within %d s", (int)s->pid,
                  READY_MS / 1000);
        kill(s->pid, SIGKILL);
        s->since = now; // it was told
    }
}

int64_t master_workers_due(const struct master *m)
{
    int64_t at = INT64_MAX;
    for (uint32_t i = 0; i < m->config->workers && m->state <= SERVING; i++) {
        const struct slot *s = &m->slots[i];
        int64_t due = s->pid ? unready_at(m, s) : tend_holds_start(m) ? INT64_MAX : s->start_at;
        at = due < at ? due : at;
    }
    return at;
}

struct slot *master_slot(const struct master *m, pid_t pid)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid == pid)
            return &m->slots[i];
    return NULL;
}

unsigned master_count_workers(const struct master *m)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < m->config->workers; i++)
        n += m->slots[i].pid != 0;
    return n;
}

void master_signal_workers(const struct master *m, int signo)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            signals_tell_worker(m->slots[i].pid, signo);
}

// What it had goes with it.
static void clear_slot(struct master *m, struct slot *s)
{
    unsigned place = (unsigned)(s - m->slots);
    s->pid = 0;
    s->ends++;
    close(s->channel);
    places_reset(&m->places, place);
    flights_describe(&m->shared->flights[place], s->held);
    flights_reset(&m->shared->flights[place]);
    cache_note_death(m->cache, place);
    duty_on_end(m, s);
}

static void tell_late_end(const struct slot *s, pid_t pid, int status)
{
    char end[64];
    if (WIFSIGNALED(status) && (WTERMSIG(status) != SIGKILL || *s->held)) // what no log has
        log_write(LOG_ERROR, "worker %d %s while it stopped%s", (int)pid, describe_end(status, end),
                  s->held);
}

static void fail_start(struct master *m, pid_t pid, int status)
{
    char end[64];
    if (!m->shared->told)
        log_write(LOG_ERROR, "worker %d %s before it was ready", (int)pid,
                  describe_end(status, end));
    m->status = 1;
    master_end(m);
}

// left: it was told to, and another one takes its place at once.
static void replace_worker(struct master *m, struct slot *s, pid_t pid, int status, bool left)
{
    reload_on_worker_end(m);
    s->replaces = left ? 0 : pid;
    s->status = status;
    if (left)
        s->start_at = 0;
    else if (s->ready)
        start_again(s, master_now());
    else
        pause_slot(s, master_now());
}

static void on_end(struct master *m, struct slot *s, int status)
{
    pid_t pid = s->pid;
    clear_slot(m, s);
    bool left = rooms_on_end(m, s, pid, status);
    if (m->figures)
        figures_worker_ended(m->figures, (unsigned)(s - m->slots), m->state == SERVING && !left);
    if (m->state >= STOPPING)
        tell_late_end(s, pid, status);
    else if (m->state == STARTING)
        fail_start(m, pid, status);
    else
        replace_worker(m, s, pid, status, left);
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

// Who says what cannot be understood is not listened to any more. ended: it is gone, and these are
// its last words.
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

void master_reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid < 0)
            continue;
        struct slot *s = master_slot(m, pid);
        if (s)
            hear(m, s, true), on_end(m, s, status);
        else if (!tend_on_end(m, pid, status) && !reload_on_end(m, pid))
            replace_on_end(m, pid, status);
    }
}

void master_hear_all(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            hear(m, &m->slots[i], false);
    reload_on_checker_word(m);
}

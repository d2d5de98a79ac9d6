// The program replaces itself: see the header. First the old master's side, then the new one's.
#include "app/replace.h"

#include "app/channel.h"
#include "app/master_inside.h"
#include "app/reaper.h"
#include "app/signals.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    START_MS = 90 * 1000, // that a new one gets: config.lua alone may take 50 s
    WAKE_MS = 50,         // between two looks of workers for fills of the other server
    SOCKETS_TEXT = INHERIT_MAX * (ADDR_TEXT_MAX + 16),
};

static const char READY[] = "ready";

// The old one: begins -----------------------------------------------------------------------------

void replace_ask(struct master *m)
{
    if (m->state > SERVING || m->replace.stage == REPLACE_LEAVING)
        return;
    if (m->replace.stage == REPLACE_STARTING || m->inherited->line >= 0 || m->state == STARTING)
        log_write(LOG_INFO, "the program is replaced later: a start or another replacement is not "
                            "over yet");
    m->replace.asked = true; // begun by replace_on_turn
}

static void keep_open(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, 0);
}

// The names of descriptors, for inherit.c.
static void set_environment(const struct master *m, int line, int reaper)
{
    static char sockets[SOCKETS_TEXT], handover[512];
    char text[ADDR_TEXT_MAX];
    int error, access, out, err, cache = cache_fd(m->cache);
    if (m->config->workers + 1 > CACHE_WORKERS_MAX / 2)
        cache = -1; // two such servers have no room beside one another
    unsigned first = m->inherited->cache_first ? 0 : CACHE_WORKERS_MAX / 2;
    int control = m->control ? control_listener(m->control) : -1;
    for (unsigned i = 0; i < m->socket_count; i++) {
        inherit_note(sockets, sizeof sockets, m->sockets[i], m->socket_shared[i],
                     addr_format(&m->config->listen[i], text));
        keep_open(m->sockets[i]);
    }
    setenv("LUNETTE_SOCKETS", sockets, 1);
    log_files(&error, &access);
    log_standard(&out, &err);
    const struct {
        const char *name;
        int fd;
    } fds[] = {{"line", line},   {"pid_file", m->pid_fd}, {"control", control}, {"cache", cache},
               {"error", error}, {"access", access},      {"reaper", reaper},   {"out", out},
               {"err", err}};
    int n = snprintf(handover, sizeof handover, "first=%u inode=%llu", first,
                     (unsigned long long)m->control_id.inode);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i].fd >= 0)
            n += snprintf(handover + n, sizeof handover - (size_t)n, " %s=%d", fds[i].name,
                          fds[i].fd);
        keep_open(fds[i].fd);
    }
    setenv("LUNETTE_HANDOVER", handover, 1);
    notify_pass_on(&m->notify, (int)getpid());
}

// In the new process.
static _Noreturn void execute(const struct master *m, int line, int reaper)
{
    char why[REPLACE_WHY_MAX];
    set_environment(m, line, reaper);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signals_release_for_heir();
    execv(m->inherited->program, m->inherited->argv);
    int n = snprintf(why, sizeof why, "%.900s cannot be executed: %s", m->inherited->program,
                     strerror(errno));
    send(line, why, (size_t)n, MSG_NOSIGNAL);
    _exit(1);
}

// Workers whose master is killed close the server's sockets for all who have them: not while
// another program may be about to go on with them.
static void spare_sockets(struct master *m, bool spared)
{
    for (unsigned i = 0; i < m->socket_count; i++)
        m->owns_socket[i] = !spared && !m->socket_shared[i];
}

// signo is for the new one, if it is there.
static void fail(struct master *m, const char *why, int signo)
{
    struct replace *r = &m->replace;
    log_write(LOG_ERROR, "the program was not replaced: %s%s", why,
              m->state <= SERVING ? ". The one that ran before goes on" : "");
    if (r->pid)
        kill(r->pid, signo);
    spare_sockets(m, false);
    if (r->line >= 0)
        close(inherit_take(&r->line));
    if (r->reaper >= 0)
        close(inherit_take(&r->reaper));
    r->stage = REPLACE_NONE;
}

// The end of the line to the reaper that the new one gets; −1: there is none to be. False with
// errno.
static bool open_reaper(struct master *m, int *theirs)
{
    int ends[2];
    *theirs = m->inherited->reaper;
    if (getpid() != 1)
        return true;
    if (reaper_open(ends) != 0)
        return false;
    m->replace.reaper = ends[0];
    *theirs = ends[1];
    return true;
}

static void begin(struct master *m)
{
    struct replace *r = &m->replace;
    int ends[2] = {-1, -1}, reaper = -1;
    r->asked = r->rotated = false;
    r->why[0] = '\0';
    log_flush(); // nothing buffered may be written twice
    fflush(NULL);
    bool ok = m->inherited->program[0] &&
              socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0 &&
              open_reaper(m, &reaper);
    spare_sockets(m, true); // before it is there: this one may be killed at any time
    pid_t pid = ok ? fork() : -1;
    int err = errno;
    if (pid == 0)
        execute(m, ends[1], reaper);
    if (ends[1] >= 0)
        close(ends[1]);
    if (m->replace.reaper >= 0)
        close(reaper);
    r->line = ends[0];
    r->pid = pid > 0 ? pid : 0;
    if (pid < 0) {
        fail(m, m->inherited->program[0] ? strerror(err) : "its file is not known", 0);
        return;
    }
    r->stage = REPLACE_STARTING;
    r->deadline = master_now() + START_MS;
    log_write(LOG_INFO, "replacing the program: %s starts as %d", m->inherited->program, (int)pid);
}

// The old one: ends -------------------------------------------------------------------------------

// What was asked of this one while the other started: that one may have read its files before.
static void pass_signals_on(const struct master *m)
{
    if (m->reload.again)
        kill(m->replace.pid, SIGHUP);
    if (m->replace.rotated)
        kill(m->replace.pid, SIGUSR1);
    if (m->replace.asked) // it waits for the end of this one
        kill(m->replace.pid, SIGUSR2);
}

static void leave(struct master *m)
{
    struct channel_message message = {.kind = CHANNEL_LEAVE, .fds = {-1, -1, -1, -1}};
    struct replace *r = &m->replace;
    r->stage = REPLACE_LEAVING;
    log_write(LOG_INFO, "process %d has taken over; this one ends when its requests are over%s",
              (int)r->pid, r->reaper >= 0 ? ", but for what process 1 is to do" : "");
    notify_tell(&m->notify, "READY=1\nMAINPID=%d\nSTATUS=replaced by process %d", (int)r->pid,
                (int)r->pid);
    m->notify.every = 0;
    for (unsigned i = 0; i < m->socket_count; i++)
        master_share_socket(m, i, true);
    m->control_id = (struct file_id){0, 0}; // its file is the new one's
    control_send_on(m->control);            // the new one listens already
    control_free(m->control);
    m->control = NULL;
    pass_signals_on(m);
    master_leave_to(m);
    for (uint32_t i = 0; i < m->config->workers; i++) {
        const struct slot *s = &m->slots[i];
        if (s->pid && channel_send(s->channel, &message) < 0)
            kill(s->pid, SIGTERM);
    }
    if (!m->duty.holder)
        replace_say_rest(m);
}

void replace_say_rest(struct master *m)
{
    char text[DUTY_TEXT];
    if (m->replace.stage != REPLACE_LEAVING || m->replace.line < 0)
        return;
    duty_say_rest(m, text);
    send(m->replace.line, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// What the new one has said. Its end is told by reap.
static void listen_to(struct master *m)
{
    struct replace *r = &m->replace;
    char text[REPLACE_WHY_MAX];
    ssize_t n = recv(r->line, text, sizeof text - 1, MSG_DONTWAIT);
    if (n <= 0)
        return;
    text[n] = '\0';
    if (strcmp(text, READY) == 0)
        leave(m);
    else
        snprintf(r->why, sizeof r->why, "%s", text);
}

// Process 1 was a server.
static bool is_in_container(const struct master *m)
{
    return m->replace.reaper >= 0 || m->inherited->reaper >= 0;
}

bool replace_on_end(struct master *m, pid_t pid, int status)
{
    struct replace *r = &m->replace;
    if (!r->pid || pid != r->pid)
        return false;
    if (r->stage == REPLACE_STARTING)
        listen_to(m);
    r->pid = 0;
    if (r->stage == REPLACE_LEAVING && is_in_container(m))
        m->status = reaper_status(status); // this one is the last
    if (r->stage != REPLACE_LEAVING && m->pid_fd >= 0)
        files_retake_pid(m->pid_fd, pid); // it may have had it, and not been heard any more
    cache_note_others(m->cache);
    if (r->stage == REPLACE_STARTING)
        fail(m, r->why[0] ? r->why : "it ended before it was ready, see above", 0);
    return true;
}

// Whoever names this process means the server: process 1 is all that is known outside, and a signal
// for the master may have crossed the takeover. So TERM ends the new one; this one ends sooner when
// it comes again. The logs are those of both.
bool replace_pass_on(struct master *m, int signo)
{
    struct replace *r = &m->replace;
    bool ends = signo == SIGTERM || signo == SIGINT, again = r->told;
    if (signo == SIGCHLD || r->stage != REPLACE_LEAVING || !r->pid || !is_in_container(m))
        return false;
    kill(r->pid, signo);
    r->told |= ends;
    return signo != SIGQUIT && signo != SIGUSR1 && !(ends && again);
}

bool replace_ends_anyway(struct master *m)
{
    struct replace *r = &m->replace;
    bool first = r->stage == REPLACE_LEAVING && !r->told;
    r->told |= first;
    return first;
}

bool replace_dies(const struct master *m)
{
    return m->replace.pid && m->replace.stage == REPLACE_NONE;
}

// It may have taken over without having been heard yet, and serve: so it stops as this one does. It
// is waited for (replace_dies), until replace_cut.
void replace_stop(struct master *m, int signo)
{
    m->replace.asked = false;
    if (m->replace.stage == REPLACE_STARTING)
        fail(m, "the server stops", signo);
    else if (replace_dies(m))
        kill(m->replace.pid, signo);
}

void replace_cut(struct master *m)
{
    struct replace *r = &m->replace;
    if (replace_dies(m))
        kill(r->pid, r->cut ? SIGKILL : SIGQUIT);
    r->cut = true;
}

// Both: while there are two -----------------------------------------------------------------------

// The line to the old one says when its background work is over; its end is the end of that.
static void watch_predecessor(struct master *m)
{
    struct inherited *in = m->inherited;
    char text[DUTY_TEXT];
    ssize_t n = in->line < 0 || m->state == STARTING
                    ? -1
                    : recv(in->line, text, sizeof text - 1, MSG_DONTWAIT);
    if (n > 0) {
        text[n] = '\0';
        duty_free(m, text);
    }
    if (n != 0)
        return;
    close(inherit_take(&in->line));
    if (m->control)
        control_shun(m->control, 0);
    if (m->cache_is_shared)
        cache_note_others(m->cache);
    m->cache_is_shared = false;
}

static bool are_two(const struct master *m)
{
    return m->cache_is_shared || m->replace.stage != REPLACE_NONE;
}

void replace_on_turn(struct master *m)
{
    struct replace *r = &m->replace;
    watch_predecessor(m);
    if (r->stage == REPLACE_STARTING)
        listen_to(m);
    if (r->stage == REPLACE_STARTING && master_now() >= r->deadline)
        fail(m, "it was not ready within 90 s", SIGKILL);
    if (r->asked && r->stage == REPLACE_NONE && !r->pid && m->state == SERVING &&
        m->inherited->line < 0 && m->reload.stage == RELOAD_NONE)
        begin(m);
    if (are_two(m) && master_now() >= r->wake_due) {
        cache_wake_all(m->cache);
        r->wake_due = master_now() + WAKE_MS;
    }
}

int64_t replace_due(const struct master *m)
{
    const struct replace *r = &m->replace;
    int64_t at = are_two(m) ? r->wake_due : INT64_MAX;
    return r->stage == REPLACE_STARTING && r->deadline < at ? r->deadline : at;
}

// The new one -------------------------------------------------------------------------------------

void replace_fail_start(const struct inherited *in, const char *why)
{
    if (in && in->line >= 0) // first: nobody may read stderr
        send(in->line, why, strnlen(why, REPLACE_WHY_MAX - 1), MSG_NOSIGNAL | MSG_DONTWAIT);
    fprintf(stderr, "lunette: %s\n", why);
}

static void own_sockets(struct master *m)
{
    for (unsigned i = 0; i < m->socket_count; i++)
        for (unsigned k = 0; k < m->inherited->n; k++)
            if (m->inherited->socket[k].fd == m->sockets[i] && m->inherited->socket[k].taken)
                master_share_socket(m, i, m->inherited->socket[k].shared);
}

void replace_take_over(struct master *m)
{
    struct inherited *in = m->inherited;
    if (!in->replaces)
        return;
    if (m->pid_fd >= 0) {
        int rc = files_take_pid(m->pid_fd);
        if (rc < 0)
            log_write(LOG_ERROR, "the pid file %s cannot be written: %s", m->config->pid_file,
                      strerror(-rc));
    }
    master_take_control(m);
    if (in->reaper >= 0)
        reaper_tell(in->reaper);
    if (in->line >= 0 && send(in->line, READY, strlen(READY), MSG_NOSIGNAL) < 0)
        log_write(LOG_WARN, "the server that this one replaces is gone already");
    own_sockets(m); // until the old one may know, the sockets are its own to go on with
}

// How a reload ends: see the header. Everybody who waits for it is told: the workers, the log, `lunette
// reload` and `lunette status`, the service manager, and pages that are open with --dev.
#include "app/reload_inside.h"

#include "app/changes.h"
#include "app/channel.h"
#include "app/figures.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void reload_close(struct told *t)
{
    if (t->scripts >= 0)
        close(t->scripts);
    if (t->settings >= 0)
        close(t->settings);
    t->scripts = t->settings = -1;
}

void reload_tell_workers(struct master *m, enum channel_kind kind, const struct told *t)
{
    struct channel_message message = {
        .kind = kind, .number = m->reload.new.number, .fds = {-1, -1, -1, -1}};
    if (t) {
        message.fds[0] = t->scripts;
        message.fds[1] = t->settings;
    }
    if (kind == CHANNEL_LOAD)
        message.fds[2] = m->reload.report;
    for (uint32_t i = 0; i < m->config->workers; i++) {
        const struct slot *s = &m->slots[i];
        int rc = s->pid ? channel_send(s->channel, &message) : 0;
        if (rc == 0 || kind == CHANNEL_ABORT) // the next reload takes the place of that one
            continue;
        log_write(LOG_ERROR, "worker %d cannot be told of the reload: %s. It is ended", (int)s->pid,
                  strerror(-rc));
        kill(s->pid, SIGKILL); // whoever comes in its place starts with what is in force
    }
}

static void end_checker(struct reload *r)
{
    if (r->checker)
        kill(r->checker, SIGKILL);
}

// For `lunette status`.
static void remember(struct master *m, const char *why)
{
    struct reload_end *last = &m->last;
    last->number = m->reload.new.number;
    last->ok = !why;
    last->at = master_now();
    last->took = last->at - m->reload.began;
    last->succeeded += last->ok;
    snprintf(last->why, sizeof last->why, "%s", why ? why : "");
}

// The first line of what was said, which may be the head of a list.
static struct str in_one_line(const char *why)
{
    struct str line = str_of(why, strcspn(why, "\n"));
    if (str_ends(line, STR(":")))
        line.n--;
    return line;
}

// A server that stops has said so already.
static void tell_service(struct master *m, const char *why)
{
    struct str line = in_one_line(why ? why : "");
    if (m->state != SERVING)
        return;
    if (why)
        notify_tell(&m->notify, "READY=1\nSTATUS=reload %u came to nothing: %.*s", m->last.number,
                    STR_ARG(line));
    else
        notify_tell(&m->notify, "READY=1\nSTATUS=reloaded (%u)", m->last.number);
}

// why: all that is to be said where it failed; NULL: it went well.
static void over(struct master *m, const char *why)
{
    struct reload *r = &m->reload;
    char took[64];
    end_checker(r);
    reload_close(&r->new);
    if (!why)
        saves_close_report(r);
    r->stage = RELOAD_NONE;
    remember(m, why);
    tell_service(m, why);
    snprintf(took, sizeof took, "reloaded in %lld ms", (long long)m->last.took);
    control_end_waiting(m->control, r->new.number, !why, why ? why : took);
    if (m->figures)
        figures_reloaded(m->figures, !why);
}

void reload_fail(struct master *m, const char *why)
{
    struct str line = in_one_line(why);
    if (m->reload.stage == RELOAD_LOADING)
        reload_tell_workers(m, CHANNEL_ABORT, NULL);
    if (m->config->dev && m->state <= SERVING)
        saves_tell_failure(m, why);
    log_write(LOG_ERROR, "reload %u came to nothing: %.*s%s", m->reload.new.number,
              STR_ARG(line), // the rest was said before
              m->state <= SERVING && !m->bare ? ". The scripts that ran before go on" : "");
    over(m, why);
}

static void warn_of(void *arg, const char *setting)
{
    (void)arg;
    log_write(LOG_WARN,
              "config.lua: %s has changed, which has no effect until the server starts again",
              setting);
}

// What of the settings is the master's own.
static void take_settings(struct master *m)
{
    static struct config renewed; // its strings are not kept
    static char why[CONFIG_WHY_MAX];
    struct stat st;
    int fd = m->told.settings;
    void *p = NULL;
    size_t n = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
    if (n && (p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        return;
    struct str settings = str_of(p, n);
    config_each_fixed_change(m->config, settings, warn_of, NULL);
    if (config_renew(m->config, settings, &renewed, why)) {
        m->stop_ms = renewed.timeouts.stop;
        log_set_level((enum log_level)log_level_parse(str_z(renewed.log.level)));
    }
    config_fini(&renewed);
    if (n)
        munmap(p, n);
}

// For --dev: what is saved is loaded by itself, and so is told. "" elsewhere.
static void describe(const struct master *m, char changes[static CHANGES_TEXT])
{
    struct snapshot *before = m->config->dev ? snapshot_open(m->told.scripts) : NULL;
    struct snapshot *after = before ? snapshot_open(m->reload.new.scripts) : NULL;
    changes[0] = '\0';
    if (after)
        changes_describe(before, after, changes);
    snapshot_close(before);
    snapshot_close(after);
}

void reload_commit(struct master *m)
{
    char changes[CHANGES_TEXT];
    struct reload *r = &m->reload;
    describe(m, changes);
    reload_close(&m->told);
    m->told = r->new; // before anybody is told: who starts from now on starts with it
    reload_tell_workers(m, CHANNEL_COMMIT, NULL);
    r->new.scripts = r->new.settings = -1;
    r->failed = m->bare = false;
    take_settings(m);
    log_write(LOG_INFO, "reloaded (%u), in %lld ms%s%s", m->told.number,
              (long long)(master_now() - r->began), *changes ? ": " : "", changes);
    over(m, NULL);
}

// Reloads, the master's side: see the drawing in master_inside.h.
#include "app/changes.h"
#include "app/channel.h"
#include "app/figures.h"
#include "app/master_inside.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECK_MS = 60 * 1000, // that a checker gets: config.lua alone may take 30 s
    LOAD_MS = 30 * 1000,  // that all workers get
    // That a request waits, while more and more is saved, for a moment without changes.
    HOLD_MS = 5 * 1000,
    AGAIN_MS = 100, // between two tries to tell a worker that has no room for it
};

// The scripts of the site --------------------------------------------------------------------------

static int read_scripts(const struct config *c, char why[static SNAPSHOT_WHY_MAX])
{
    char folder[PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%s/scripts", c->site);
    return snapshot_make(folder, why);
}

bool reload_first(struct master *m, char why[static SNAPSHOT_WHY_MAX])
{
    if (m->config->dev)
        saves_watch(m); // before they are read: nothing is missed
    m->told.scripts = read_scripts(m->config, why);
    return m->told.scripts >= 0;
}

static void close_told(struct told *t)
{
    if (t->scripts >= 0)
        close(t->scripts);
    if (t->settings >= 0)
        close(t->settings);
    t->scripts = t->settings = -1;
}

void reload_give_back(struct master *m)
{
    close_told(&m->told);
    close_told(&m->reload.new);
    saves_give_back(m);
}

// Its ends -----------------------------------------------------------------------------------------

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
        if (rc == 0)
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
    close_told(&r->new);
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

static void fail(struct master *m, const char *why)
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

static void commit(struct master *m)
{
    char changes[CHANGES_TEXT];
    struct reload *r = &m->reload;
    describe(m, changes);
    close_told(&m->told);
    m->told = r->new; // before anybody is told: who starts from now on starts with it
    reload_tell_workers(m, CHANNEL_COMMIT, NULL);
    r->new.scripts = r->new.settings = -1;
    r->failed = m->bare = false;
    take_settings(m);
    log_write(LOG_INFO, "reloaded (%u), in %lld ms%s%s", m->told.number,
              (long long)(master_now() - r->began), *changes ? ": " : "", changes);
    over(m, NULL);
}

// CHECKING -----------------------------------------------------------------------------------------

// Of config.lua: in the log, and for pages.
static void say_refusal(const struct worker_job *job, const char *why)
{
    struct buf text;
    buf_init(&text, CONFIG_WHY_MAX + SAVES_EXCERPT);
    buf_add(&text, str_z(why));
    if (job->config->dev)
        saves_add_excerpt(job->scripts, str_z(why), &text);
    log_write(LOG_ERROR, "%.*s", STR_ARG(buf_str(&text)));
    if (job->report >= 0)
        saves_write_report(job->report, buf_str(&text));
    buf_fini(&text);
}

// In the new process. Everything that can be wrong with the new scripts and settings is said here.
static _Noreturn void check(struct master *m, pid_t master, int line)
{
    static char why[CONFIG_WHY_MAX];
    struct worker_word word = {.says = WORKER_REFUSES, .number = m->reload.new.number};
    struct worker_job job;
    struct buf settings;
    master_leave(m, &m->reload.new, &job);
    job.place = m->config->workers;
    job.master = master;
    job.channel = line;
    job.checks = true;
    buf_init(&settings, CONFIG_SETTINGS_MAX);
    bool ok = config_read_again(m->config, &settings, why);
    int rc = ok ? io_write_all(job.settings, buf_str(&settings)) : 0;
    if (rc < 0) {
        snprintf(why, sizeof why, "its settings cannot be kept: %s", strerror(-rc));
        ok = false;
    }
    buf_fini(&settings);
    if (ok)
        exit(worker_run(&job));
    say_refusal(&job, why);
    snprintf(word.text, sizeof word.text, "%.1000s", why);
    int said = channel_say(line, &word, sizeof word);
    if (said < 0)
        log_write(LOG_ERROR, "a checker cannot tell the master: %s", strerror(-said));
    exit(1);
}

static bool is_same(int a, int b)
{
    struct snapshot *one = snapshot_open(a), *other = snapshot_open(b);
    bool same = one && other && snapshot_same(one, other);
    snapshot_close(one);
    snapshot_close(other);
    return same;
}

static bool is_blank(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(" \t\r\n", text.p[i]) || text.p[i] == '\0')
            return false;
    return true;
}

// A folder that is being replaced, and an entry that an editor is about to rename or to write, must not be
// taken for a site without scripts. NULL, or what is wrong.
static const char *lost_entry(const struct master *m)
{
    const struct str entry = STR("main.lua");
    struct str old, new;
    const char *wrong = NULL;
    struct snapshot *before = snapshot_open(m->told.scripts);
    struct snapshot *after = snapshot_open(m->reload.new.scripts);
    bool had = before && after && snapshot_find(before, entry, &old);
    if (had && !snapshot_find(after, entry, &new))
        wrong = "scripts/main.lua is not there any more";
    else if (had && is_blank(new) && !is_blank(old))
        wrong =
            "scripts/main.lua is empty, as while it is being written (a comment in it makes a site "
            "without routes)";
    snapshot_close(before);
    snapshot_close(after);
    return wrong;
}

// Starts the process that tries them. 0 or −errno.
static int start_checker(struct master *m)
{
    struct reload *r = &m->reload;
    pid_t master = getpid();
    int ends[2];
    r->new.settings = memfd_create("lunette-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc = r->new.settings < 0 ? -errno : channel_open(ends);
    if (rc < 0)
        return rc;
    log_flush(); // nothing buffered may be written twice
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        check(m, master, ends[1]);
    }
    rc = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        return rc;
    }
    r->line = ends[0];
    r->checker = pid;
    return 0;
}

static void begin(struct master *m)
{
    struct reload *r = &m->reload;
    char why[SNAPSHOT_WHY_MAX];
    r->new.number++;
    r->again = r->passed = false;
    r->began = master_now();
    r->new.scripts = read_scripts(m->config, why);
    if (r->saved && r->new.scripts >= 0 && is_same(r->new.scripts, m->told.scripts)) {
        close_told(&r->new);
        r->new.number--;
        saves_mended(m);
        return;
    }
    notify_tell(&m->notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading (%u)",
                (long long)r->began * 1000, r->new.number);
    saves_close_report(r); // of the last one
    if (r->new.scripts < 0) {
        fail(m, why);
        return;
    }
    const char *lost = lost_entry(m);
    if (lost) {
        fail(m, lost);
        return;
    }
    if (m->config->dev)
        saves_open_report(r);
    int rc = start_checker(m);
    if (rc < 0) {
        fail(m, strerror(-rc));
        return;
    }
    r->stage = RELOAD_CHECKING;
    r->deadline = r->began + CHECK_MS;
}

unsigned reload_ask(struct master *m)
{
    if (m->state > SERVING)
        return 0;
    m->reload.again = true; // begun by reload_on_turn
    m->reload.saved = false;
    return m->reload.new.number + 1;
}

void reload_on_saved(struct master *m)
{
    struct reload *r = &m->reload;
    if (m->state <= SERVING && saves_found(m)) // who serves has not opened that folder
        reload_ask(m);
    saves_look(m);
    if (!m->watch || !watch_changed(m->watch, NULL, NULL) || m->state > SERVING)
        return;
    r->saved = !r->again || r->saved;
    r->again = true;
}

static void forget_checker(struct reload *r)
{
    if (r->line >= 0)
        close(r->line);
    r->line = -1;
}

// It says one thing.
void reload_on_checker_word(struct master *m)
{
    struct reload *r = &m->reload;
    struct worker_word word;
    int rc = r->line < 0 ? 0 : master_hear(r->line, &word);
    if (rc != 0)
        forget_checker(r);
    if (rc <= 0 || r->stage != RELOAD_CHECKING || word.number != r->new.number)
        return;
    if (word.says == WORKER_LOADED)
        r->passed = true;
    else
        fail(m, word.says == WORKER_REFUSES ? word.text : "its Lua does not come back");
}

bool reload_on_end(struct master *m, pid_t pid)
{
    struct reload *r = &m->reload;
    if (pid != r->checker)
        return false;
    reload_on_checker_word(m); // its last
    forget_checker(r);
    r->checker = 0;
    cache_note_death(m->cache, m->config->workers);
    if (r->stage != RELOAD_CHECKING)
        return true;
    if (r->passed) {
        r->stage = RELOAD_WAITING;
        r->deadline = master_now() + LOAD_MS;
    } else {
        fail(m, "the process that tried the new scripts ended without a word");
    }
    return true;
}

// WAITING and LOADING ------------------------------------------------------------------------------

static void load(struct master *m)
{
    struct reload *r = &m->reload;
    for (uint32_t i = 0; i < m->config->workers; i++)
        m->slots[i].loaded = false;
    fcntl(r->new.settings, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    r->stage = RELOAD_LOADING;
    reload_tell_workers(m, CHANNEL_LOAD, &r->new);
}

static bool all_loaded(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (!m->slots[i].loaded)
            return false;
    return true;
}

// What has come without its descriptors: it has room for them now.
static void tell_again(struct master *m, struct slot *s, unsigned kind)
{
    if (kind == CHANNEL_FAILED)
        s->failure_due = m->config->dev;
    if (kind != CHANNEL_LOGS || (m->log_fds[0] < 0 && m->log_fds[1] < 0))
        return;
    log_write(LOG_WARN, "worker %d had no descriptors left for the new logs: it gets them again",
              (int)s->pid);
    s->logs_due = true;
    m->logs_due = master_now();
}

void reload_on_word(struct master *m, struct slot *s, const struct worker_word *word)
{
    struct reload *r = &m->reload;
    if (word->says == WORKER_ASKS && !m->config->dev)
        return; // no worker of ours asks
    if (word->says == WORKER_ASKS) {
        if (!s->asked_at)
            s->asked_at = master_now();
        reload_on_saved(m); // what was saved before the request came
        return;
    }
    if (word->says == WORKER_MISSED)
        tell_again(m, s, word->number);
    if (r->stage != RELOAD_LOADING || word->number != r->new.number)
        return;
    if (word->says == WORKER_REFUSES) {
        fail(m, word->text);
        return;
    }
    if (word->says != WORKER_LOADED)
        return;
    s->loaded = true;
    if (all_loaded(m))
        commit(m);
}

void reload_on_worker_end(struct master *m)
{
    if (m->reload.stage == RELOAD_LOADING)
        fail(m, "a worker ended while it loaded them");
}

// Time ---------------------------------------------------------------------------------------------

static bool is_current(const struct reload *r, const struct slot *s)
{
    return r->stage == RELOAD_NONE && (!r->again || master_now() - s->asked_at >= HOLD_MS);
}

// Who asked, and nobody else. False: somebody has no room for it now.
static bool tell_current(const struct master *m)
{
    const struct channel_message message = {.kind = CHANNEL_CURRENT, .fds = {-1, -1, -1, -1}};
    bool all = true;
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (!s->pid || !s->ready || !s->asked_at || !is_current(&m->reload, s))
            continue;
        int rc = channel_send(s->channel, &message);
        if (rc == 0 || rc == -EPIPE)
            s->asked_at = 0;
        else
            all = false;
    }
    return all;
}

// What no worker is ended for, if it does not read it now.
static void tell_due(struct master *m)
{
    bool told = saves_tell_due(m);
    bool answered = tell_current(m);
    m->reload.again_at = told && answered ? 0 : master_now() + AGAIN_MS;
}

void reload_on_turn(struct master *m)
{
    struct reload *r = &m->reload;
    if (r->stage == RELOAD_WAITING && master_all_ready(m))
        load(m);
    if (r->stage != RELOAD_NONE && master_now() >= r->deadline)
        fail(m, r->stage == RELOAD_CHECKING ? "they took longer than 60 s to load"
                                            : "the workers took longer than 30 s");
    tell_due(m);
    if (r->stage == RELOAD_NONE && r->again && !r->checker && m->state == SERVING &&
        !m->tend.damaged && m->replace.stage == REPLACE_NONE)
        begin(m);
    tell_due(m);
}

int64_t reload_due(const struct master *m)
{
    const struct reload *r = &m->reload;
    int64_t at = r->stage == RELOAD_NONE ? INT64_MAX : r->deadline;
    return r->again_at && r->again_at < at ? r->again_at : at;
}

void reload_stop(struct master *m)
{
    m->reload.again = false;
    if (m->reload.stage != RELOAD_NONE)
        fail(m, "the server stops");
    control_end_waiting(m->control, m->reload.new.number + 1, false, "the server stops");
}

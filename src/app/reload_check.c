// What a reload reads, and the process that tries it: see the header.
#include "app/reload_inside.h"

#include "app/channel.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The scripts --------------------------------------------------------------------------------------

int reload_read_scripts(const struct config *c, char why[static SNAPSHOT_WHY_MAX])
{
    char folder[PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%s/scripts", c->site);
    return snapshot_make(folder, why);
}

bool reload_changes_nothing(const struct master *m)
{
    struct snapshot *one = snapshot_open(m->told.scripts);
    struct snapshot *other = snapshot_open(m->reload.new.scripts);
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
const char *reload_lost_entry(const struct master *m)
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

// The checker --------------------------------------------------------------------------------------

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

int reload_start_checker(struct master *m)
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

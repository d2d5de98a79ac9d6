// What is saved while the server runs with --dev, and what is told of it to open pages: the master's side of
// app/live.h. Scripts are reload.c's; here are the files of site/, and failures.
#include "app/channel.h"
#include "app/master_inside.h"
#include "app/report.h"
#include "base/buf.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    STYLES = 8,     // style sheets that are told by name, of those saved at once
    AROUND = 2,     // lines before and after the one in question
    LINE_MOST = 300 // bytes of a line
};

// Watching -----------------------------------------------------------------------------------------

static struct watch_tree *watch_part(const struct master *m, const char *part)
{
    char folder[PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%s/%s", m->config->site, part);
    struct watch_tree *w = watch_new(folder);
    if (!w)
        log_write(LOG_WARN, "%s is not watched for changes: %s", folder, strerror(errno));
    return w;
}

void saves_watch(struct master *m)
{
    m->watch = watch_part(m, "scripts");
    m->watch_site = watch_part(m, "site");
}

bool saves_found(struct master *m)
{
    bool scripts = m->watch && watch_found(m->watch);
    bool site = m->watch_site && watch_found(m->watch_site);
    return scripts || site;
}

void saves_give_back(struct master *m)
{
    saves_close_report(&m->reload);
    watch_free(m->watch);
    watch_free(m->watch_site);
}

// What was saved of site/ in one look.
struct saved {
    unsigned n;
    bool other; // more than style sheets, or more of those than are told one by one
    char style[STYLES][CHANNEL_TEXT];
};

static void note_saved(void *arg, const char *path)
{
    struct saved *s = arg;
    if (!str_ends(str_z(path), STR(".css")) || strlen(path) >= CHANNEL_TEXT || s->n == STYLES)
        s->other = true;
    else
        memcpy(s->style[s->n++], path, strlen(path) + 1);
}

// A worker that cannot be told now refreshes its pages late, which is no reason to end it.
static void tell_saved(struct master *m, const char *path)
{
    struct channel_message message = {
        .kind = CHANNEL_SAVED, .number = m->saves, .fds = {-1, -1, -1, -1}};
    snprintf(message.text, sizeof message.text, "%s", path);
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid && m->slots[i].ready)
            channel_send(m->slots[i].channel, &message);
}

void saves_look(struct master *m)
{
    struct saved s = {.n = 0};
    if (!m->watch_site || !watch_changed(m->watch_site, note_saved, &s) || m->state > SERVING)
        return;
    m->saves++;
    if (s.other)
        tell_saved(m, "");
    for (unsigned i = 0; i < s.n && !s.other; i++)
        tell_saved(m, s.style[i]);
}

// Failures -----------------------------------------------------------------------------------------

void saves_close_report(struct reload *r)
{
    if (r->report >= 0)
        close(r->report);
    r->report = -1;
}

void saves_open_report(struct reload *r)
{
    saves_close_report(r);
    r->report = memfd_create("lunette-report", MFD_CLOEXEC);
}

void saves_write_report(int report, struct str text)
{
    int rc = report_write(report, str_of(NULL, 0), text);
    if (rc < 0)
        log_write(LOG_WARN, "why the reload failed cannot be shown: %s", strerror(-rc));
}

// A failure that cannot be told now is told later, and no reason to end a worker that reads nothing: what
// it is told then is how it is then.
static bool tell_failure(const struct master *m, const struct slot *s)
{
    const struct reload *r = &m->reload;
    struct channel_message message = {
        .kind = CHANNEL_MENDED, .number = r->new.number, .fds = {-1, -1, -1, -1}};
    if (r->failed) {
        message.kind = CHANNEL_FAILED;
        message.fds[0] = r->report;
    }
    int rc = channel_send(s->channel, &message);
    return rc == 0 || rc == -EPIPE; // it ends
}

bool saves_tell_due(struct master *m)
{
    bool all = true;
    if (m->reload.failed && (m->reload.report < 0 || m->reload.stage != RELOAD_NONE))
        return true; // there is another end to be told soon, or nothing to show
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (!s->pid || !s->ready || !s->failure_due)
            continue;
        s->failure_due = !tell_failure(m, s);
        all &= !s->failure_due;
    }
    return all;
}

static void tell_all(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        m->slots[i].failure_due = true;
}

// What the checker has written, or a worker, else the sentence.
void saves_tell_failure(struct master *m, const char *why)
{
    struct reload *r = &m->reload;
    r->failed = true;
    if (r->report < 0)
        saves_open_report(r);
    if (r->report < 0)
        return;
    if (lseek(r->report, 0, SEEK_END) == 0)
        saves_write_report(r->report, str_z(why));
    tell_all(m);
}

void saves_tell_new(struct master *m, struct slot *s)
{
    s->asked_at = 0;
    s->failure_due = m->reload.failed;
}

void saves_mended(struct master *m)
{
    if (m->reload.failed)
        tell_all(m);
    m->reload.failed = false;
    saves_close_report(&m->reload);
}

// "scripts/config.lua:12: …" → the name beneath scripts/, and the line. False for other messages.
static bool find_place(struct str message, struct str *name, uint64_t *line)
{
    const struct str folder = STR("scripts/");
    struct str rest = message, first, number;
    if (!str_starts(message, folder) || !str_split(&rest, ':', &first) ||
        !str_split(&rest, ':', &number) || !rest.p)
        return false;
    *name = str_of(first.p + folder.n, first.n - folder.n);
    return str_to_u64(number, line) && *line > 0;
}

static void add_lines(struct str text, uint64_t line, struct buf *out)
{
    struct str one;
    for (uint64_t n = 1; n <= line + AROUND && str_split(&text, '\n', &one); n++)
        if (n + AROUND >= line && (one.n || text.p))
            buf_addf(out, "\n%s %5llu | %.*s", n == line ? ">" : " ", (unsigned long long)n,
                     one.n < LINE_MOST ? (int)one.n : LINE_MOST, one.p);
}

void saves_add_excerpt(int scripts, struct str message, struct buf *out)
{
    struct str name, text;
    uint64_t line;
    struct snapshot *s = snapshot_open(scripts);
    if (s && find_place(message, &name, &line) && snapshot_find(s, name, &text))
        add_lines(text, line, out);
    snapshot_close(s);
}

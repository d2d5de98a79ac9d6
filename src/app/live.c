// What happens while a site is worked on, told to those who listen: see the header. What is answered on
// the paths of /.lunette/ is in live_site.c.
#include "app/live.h"

#include "app/report.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// One client that listens. It lives as long as its source.
struct live_stream {
    struct body_source source; // first
    struct live *live;
    struct exchange *x;
    struct live_stream *next;
    struct buf waiting, given; // not yet pulled; lent until the next pull
    char knows[INJECT_MARK];   // the mark of its page
    bool broken;               // it does not take what it is told
};

static struct str mark_of(const struct live *l, char dst[static INJECT_MARK])
{
    return str_of(dst, inject_mark_text(&l->mark, dst));
}

// --- events ---

// A line of data. A carriage return would end it, too.
static bool put_line(struct buf *out, struct str line)
{
    struct str piece;
    bool ok = buf_add(out, STR("data: "));
    while (ok && str_split(&line, '\r', &piece))
        ok = buf_add(out, piece) && (!line.p || buf_addc(out, ' '));
    return ok && buf_addc(out, '\n');
}

static bool put_data(struct buf *out, struct str data)
{
    struct str line;
    bool ok = true;
    while (ok && str_split(&data, '\n', &line))
        ok = put_line(out, line);
    return ok;
}

static void put_event(struct live_stream *s, const char *event, struct str data)
{
    char mark[INJECT_MARK];
    struct buf *out = &s->waiting;
    struct str id = mark_of(s->live, mark);
    if (!buf_addf(out, "event: %s\nid: %.*s\n", event, STR_ARG(id)) || !put_data(out, data) ||
        !buf_addc(out, '\n'))
        s->broken = true;
}

static void put_failure(struct live_stream *s)
{
    struct str failure = live_failure(s->live);
    if (failure.n)
        put_event(s, "error", failure);
    else
        put_event(s, "mended", STR("mended"));
}

// What the page is told is what it knows from then on.
static void put_reload(struct live_stream *s)
{
    struct str mark = mark_of(s->live, s->knows);
    put_event(s, "reload", mark);
}

static bool is_old(const struct live_stream *s)
{
    char mark[INJECT_MARK];
    mark_of(s->live, mark);
    return strcmp(s->knows, mark) != 0;
}

static void put_changes(struct live_stream *s)
{
    const struct live *l = s->live;
    if (!is_old(s))
        return;
    if (l->pages || l->styles >= LIVE_STYLES) {
        put_reload(s);
        return;
    }
    mark_of(l, s->knows);
    for (unsigned i = 0; i < l->styles; i++)
        put_event(s, "css", str_z(l->style[i]));
}

static void put_beat(struct live_stream *s)
{
    s->broken |= !buf_add(&s->waiting, STR(":\n\n"));
}

// Calls put for every client. One that is told may end, and its stream with it.
static void each(struct live *l, void (*put)(struct live_stream *s))
{
    struct live_stream *next;
    for (struct live_stream *s = l->first; s; s = next) {
        next = s->next;
        put(s);
        exchange_ready(s->x);
    }
    if (l->count && !l->ends)
        timeout_set(l->loop, &l->beat, LIVE_BEAT_MS);
}

static void on_beat(struct timeout *t)
{
    each((struct live *)((char *)t - offsetof(struct live, beat)), put_beat);
}

// --- what happens ---

static void settle(struct live *l)
{
    timeout_clear(&l->settle);
    each(l, put_changes);
    l->unsettled_since = 0;
    l->pages = false;
    l->styles = 0;
}

static void on_settle(struct timeout *t)
{
    settle((struct live *)((char *)t - offsetof(struct live, settle)));
}

void live_reloaded(struct live *l, uint32_t scripts)
{
    l->mark.scripts = scripts;
    buf_clear(&l->failure);
    buf_clear(&l->start_failure);
    l->pages = true;
    settle(l);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/", c));
}

// "/css/main.css" of "css/main.css". False when it is too long.
static bool put_path(char dst[static LIVE_PATH], struct str path)
{
    static const char digits[] = "0123456789ABCDEF";
    char *p = dst, *end = dst + LIVE_PATH - 4;
    *p++ = '/';
    for (size_t i = 0; i < path.n && p < end; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (is_plain(path.p[i])) {
            *p++ = path.p[i];
            continue;
        }
        *p++ = '%';
        *p++ = digits[c >> 4];
        *p++ = digits[c & 15];
    }
    *p = '\0';
    return p < end;
}

static bool has_style(const struct live *l, const char *path)
{
    for (unsigned i = 0; i < l->styles; i++)
        if (strcmp(l->style[i], path) == 0)
            return true;
    return false;
}

static void note_style(struct live *l, struct str path)
{
    char text[LIVE_PATH];
    if (!put_path(text, path))
        l->pages = true;
    else if (l->styles < LIVE_STYLES && !has_style(l, text))
        memcpy(l->style[l->styles++], text, sizeof text);
}

void live_saved(struct live *l, uint32_t number, struct str path)
{
    uint64_t now = loop_now(l->loop);
    l->server.files = number;
    if (str_ends(path, STR(".css")))
        note_style(l, path);
    else
        l->pages = true;
    if (l->unsettled_since == 0)
        l->unsettled_since = now;
    if (now - l->unsettled_since >= LIVE_SETTLED_MS ||
        !timeout_set(l->loop, &l->settle, LIVE_SETTLE_MS))
        settle(l);
}

// --- failures ---

struct str live_failure(const struct live *l)
{
    return buf_str(l->failure.n ? &l->failure : &l->start_failure);
}

int live_failed(struct live *l, int report)
{
    buf_clear(&l->failure);
    int rc = report_read(report, &l->failure);
    if (rc == 0)
        each(l, put_failure);
    return rc;
}

void live_start_failed(struct live *l, struct str html, const char *text)
{
    buf_clear(&l->start_failure);
    report_show(&l->start_failure, html, str_z(text));
}

void live_mended(struct live *l)
{
    if (l->failure.n == 0)
        return;
    buf_clear(&l->failure);
    each(l, put_failure);
}

// --- streams ---

static enum body_pull pull(struct body_source *source, struct str *out)
{
    struct live_stream *s = (struct live_stream *)source;
    buf_clear(&s->given);
    if (s->broken)
        return BODY_FAILED;
    if (s->waiting.n == 0)
        return s->live->ends ? BODY_END : BODY_LATER;
    struct buf b = s->given;
    s->given = s->waiting;
    s->waiting = b;
    *out = buf_str(&s->given);
    return BODY_SOME;
}

static void close_stream(struct body_source *source)
{
    struct live_stream *s = (struct live_stream *)source;
    struct live_stream **at = &s->live->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->live->count--;
    buf_fini(&s->waiting);
    buf_fini(&s->given);
    free(s);
}

static const struct body_source_ops ops = {.pull = pull, .close = close_stream};

// Takes what the client says of its page: the mark, and whether a failure is over it.
static void greet(struct live_stream *s, struct str query)
{
    struct str mark = STR(""), rest = query;
    str_split(&rest, '&', &mark);
    if (mark.n && mark.n < INJECT_MARK)
        memcpy(s->knows, mark.p, mark.n); // zeroes follow
    else
        mark_of(s->live, s->knows); // it begins with what is now
    s->broken = !buf_add(&s->waiting, STR("retry: 500\n\n"));
    if (is_old(s))
        put_reload(s);
    else if (live_failure(s->live).n || str_eq(rest, STR("failed")))
        put_failure(s);
}

static struct live_stream *new_stream(struct live *l, struct exchange *x)
{
    struct live_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->source.ops = &ops;
    s->live = l;
    s->x = x;
    s->next = l->first;
    buf_init(&s->waiting, LIVE_WAITING);
    buf_init(&s->given, LIVE_WAITING);
    l->first = s;
    l->count++;
    return s;
}

struct body_source *live_listen(struct live *l, struct exchange *x)
{
    if (l->count >= LIVE_STREAMS)
        each(l, put_beat); // those who left make room, for who asks again
    struct live_stream *s = l->ends || l->count >= LIVE_STREAMS ? NULL : new_stream(l, x);
    if (!s)
        return NULL;
    greet(s, x->request.query);
    if (l->count == 1)
        timeout_set(l->loop, &l->beat, LIVE_BEAT_MS);
    return &s->source;
}

// --- the whole ---

void live_init(struct live *l, struct loop *loop, uint64_t server, uint32_t files, uint32_t scripts)
{
    l->loop = loop;
    l->server = (struct inject_server){server, files};
    l->mark = (struct inject_mark){&l->server, scripts};
    buf_init(&l->failure, REPORT_MAX);
    buf_init(&l->start_failure, REPORT_MAX);
    buf_init(&l->text, REPORT_MAX + 64 * 1024);
    fields_init(&l->fields);
    timeout_init(&l->beat, on_beat);
    timeout_init(&l->settle, on_settle);
}

void live_stop(struct live *l)
{
    l->ends = true;
    each(l, put_beat);
}

void live_fini(struct live *l)
{
    if (!l->loop)
        return;
    timeout_remove(l->loop, &l->beat);
    timeout_remove(l->loop, &l->settle);
    buf_fini(&l->failure);
    buf_fini(&l->start_failure);
    buf_fini(&l->text);
    fields_fini(&l->fields);
}

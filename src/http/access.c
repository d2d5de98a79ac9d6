// What is noted of every answer: see the header.
#include "http/access.h"

#include "base/log.h"
#include "base/utf8.h"
#include "http/tally.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Of a line, and of its values with their quotes; numbers, names and braces take less than the rest.
enum {
    LINE_MAX_BYTES = 4096,
    ID_MAX = FORWARDED_ID_MAX + 2,
    TARGET_MAX = 1600,
    HOST_MAX = 280,
    ROUTE_MAX = 260,
    WORD_MAX = 640, // referer, user_agent
};

static uint64_t clock_us(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool writes_json(const struct server_options *o)
{
    return o->access == ACCESS_JSON && log_access_enabled();
}

uint64_t access_begin(const struct server_options *o)
{
    return o->tally || writes_json(o) ? clock_us(CLOCK_MONOTONIC) : 0;
}

// Whom the log names: the client, where the handler knows of another than the peer.
static const char *client_of(const struct h1_conn *c, const struct h1_exchange *x,
                             char text[static ADDR_TEXT_MAX])
{
    return x && x->pub.client ? x->pub.client->addr : addr_host(&c->peer, text);
}

static struct str field_of(const struct h1_exchange *x, struct str name)
{
    return x ? request_field(&x->pub.request, name) : STR("");
}

static char *put(char *p, struct str s)
{
    return (char *)memcpy(p, s.p, s.n) + s.n;
}

// --- combined ---

static size_t put_quoted(char *line, size_t n, size_t cap, struct str s)
{
    line[n++] = '"';
    n = s.n ? log_escape(line, n, cap, s) : (line[n] = '-', n + 1);
    line[n++] = '"';
    return n;
}

// "22/Nov/2026:21:04:27 +0000"; made once a second, by the one thread there is.
static struct str combined_stamp(int64_t now)
{
    static char when[40];
    static int64_t when_at = -1;
    if (now != when_at) {
        struct tm utc;
        time_t t = (time_t)now;
        strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", gmtime_r(&t, &utc));
        when_at = now;
    }
    return str_z(when);
}

static void write_combined(const struct h1_conn *c, const struct h1_exchange *x, struct str request,
                           unsigned status)
{
    char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX], *p = line;
    p = put(p, str_z(client_of(c, x, host)));
    p = put(p, STR(" - - ["));
    p = put(p, combined_stamp(loop_wall(c->env->loop)));
    p = put(p, STR("] "));
    size_t n = put_quoted(line, (size_t)(p - line), LINE_MAX_BYTES / 2, request);
    p = line + n;
    *p++ = ' ';
    p = str_put_u64(p, status);
    *p++ = ' ';
    p = str_put_u64(p, x ? x->body_sent : 0);
    *p++ = ' ';
    n = put_quoted(line, (size_t)(p - line), LINE_MAX_BYTES * 3 / 4, field_of(x, STR("referer")));
    line[n++] = ' ';
    n = put_quoted(line, n, LINE_MAX_BYTES - 8, field_of(x, STR("user-agent")));
    log_access(str_of(line, n));
}

// --- JSON ---

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// One character of s at i that is not plain, as JSON has it, into out. Returns the bytes of s that
// it used.
static size_t one_character(struct str s, size_t i, char out[static 8], size_t *n)
{
    unsigned char c = (unsigned char)s.p[i];
    int step = utf8_step(s.p + i, s.n - i);
    if (step < 0) {
        memcpy(out, "\xEF\xBF\xBD", *n = 3);
        return (size_t)-step;
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *n = 2;
    } else if (c < 0x20 || c == 0x7f) {
        *n = (size_t)snprintf(out, 8, "\\u%04x", c);
    } else if (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0) { // what terminals take for control
        *n = (size_t)snprintf(out, 8, "\\u%04x", (unsigned char)s.p[i + 1]);
    } else {
        memcpy(out, s.p + i, *n = (size_t)step);
    }
    return (size_t)step;
}

// s as a JSON string of at most cap bytes; null where p is NULL. Returns the end.
static char *put_text(char *p, size_t cap, struct str s)
{
    enum { END = 4 }; // an ellipsis and the quote
    char *last = p + cap - END;
    if (!s.p)
        return put(p, STR("null"));
    *p++ = '"';
    for (size_t i = 0; i < s.n;) {
        char out[8] = {s.p[i]};
        size_t n = 1;
        i += is_plain((unsigned char)s.p[i]) ? 1 : one_character(s, i, out, &n);
        if (n > (size_t)(last - p)) {
            p = put(p, STR("\xE2\x80\xA6"));
            break;
        }
        if (n == 1)
            *p++ = out[0];
        else
            p = put(p, str_of(out, n));
    }
    *p++ = '"';
    return p;
}

// name: with its comma, quotes and colon.
static char *put_member(char *p, struct str name, size_t cap, struct str s)
{
    return put_text(put(p, name), cap, s);
}

// v in `digits` decimal digits.
static char *put_padded(char *p, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + digits;
}

// "2026-11-22T21:04:27.123Z"; the seconds are made once for all that begin in them.
static char *put_time(char *p, uint64_t us)
{
    static char when[40];
    static uint64_t when_at = UINT64_MAX;
    if (us / 1000000 != when_at) {
        struct tm utc;
        time_t t = (time_t)(when_at = us / 1000000);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S.", gmtime_r(&t, &utc));
    }
    p = put(p, str_z(when));
    p = put_padded(p, us / 1000 % 1000, 3);
    *p++ = 'Z';
    return p;
}

static struct str text_or_null(struct str s)
{
    return s.n ? s : str_of(NULL, 0);
}

// The words of a line that was no request's.
static char *put_refused(char *p, struct str line)
{
    struct str method, target = {NULL, 0};
    if (str_split(&line, ' ', &method))
        str_split(&line, ' ', &target);
    p = put_member(p, STR(",\"method\":"), 24, text_or_null(method));
    p = put_member(p, STR(",\"target\":"), TARGET_MAX, text_or_null(target));
    return put_member(p, STR(",\"protocol\":"), 24, text_or_null(line));
}

static char *put_request(char *p, const struct h1_exchange *x)
{
    const struct http_request *r = &x->pub.request;
    p = put_member(p, STR(",\"method\":"), 16, method_name(r->method));
    p = put_member(p, STR(",\"target\":"), TARGET_MAX, r->target);
    return put_member(p, STR(",\"protocol\":"), 16,
                      r->minor > 0 ? STR("HTTP/1.1") : STR("HTTP/1.0"));
}

static char *put_answer(char *p, const struct h1_exchange *x, unsigned status, uint64_t us)
{
    p = str_put_u64(put(p, STR(",\"status\":")), status);
    p = str_put_u64(put(p, STR(",\"bytes\":")), x ? x->body_sent : 0);
    p = str_put_u64(put(p, STR(",\"duration\":")), us / 1000000);
    *p++ = '.';
    return put_padded(p, us % 1000000, 6);
}

static struct str host_of(const struct h1_exchange *x)
{
    const struct forwarded *client = x->pub.client;
    return client && client->host.n ? client->host : x->pub.request.authority;
}

static void write_json(const struct h1_conn *c, struct h1_exchange *x, struct str request,
                       unsigned status, uint64_t us)
{
    static pid_t pid; // the master writes no lines, so that what is asked for once stays true
    const struct str null = {NULL, 0};
    char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX], *p = line;
    if (!pid)
        pid = getpid();
    p = put(p, STR("{\"time\":\""));
    p = put_time(p, clock_us(CLOCK_REALTIME) - us);
    *p++ = '"';
    p = put_member(p, STR(",\"id\":"), ID_MAX, x ? text_or_null(exchange_id(&x->pub)) : null);
    p = put_member(p, STR(",\"remote_addr\":"), ADDR_TEXT_MAX, str_z(client_of(c, x, host)));
    p = x ? put_request(p, x) : put_refused(p, request);
    p = put_answer(p, x, status, us);
    p = put_member(p, STR(",\"host\":"), HOST_MAX, x ? text_or_null(host_of(x)) : null);
    p = put_member(p, STR(",\"route\":"), ROUTE_MAX, x && x->pub.route ? x->pub.route->text : null);
    p = put_member(p, STR(",\"referer\":"), WORD_MAX, x ? field_of(x, STR("referer")) : null);
    p = put_member(p, STR(",\"user_agent\":"), WORD_MAX, x ? field_of(x, STR("user-agent")) : null);
    p = str_put_u64(put(p, STR(",\"pid\":")), (uint64_t)pid);
    *p++ = '}';
    log_access(str_of(line, (size_t)(p - line)));
}

// --- both ---

static void count(const struct h1_conn *c, const struct h1_exchange *x, unsigned status,
                  uint64_t us)
{
    struct tally_answer a = {
        .method = x ? x->pub.request.method : HTTP_METHODS,
        .status = status,
        .duration_us = us,
    };
    if (x) {
        a.route = x->pub.route ? x->pub.route->number : TALLY_NO_ROUTE;
        a.received = x->body_seen;
        a.sent = x->body_sent;
    }
    tally_answer(c->env->options->tally, &a);
}

// x NULL: there was no request.
static void note(const struct h1_conn *c, struct h1_exchange *x, struct str request,
                 unsigned status)
{
    const struct server_options *o = c->env->options;
    uint64_t us = 0;
    if (x && x->began)
        us = clock_us(CLOCK_MONOTONIC) - x->began;
    if (o->tally)
        count(c, x, status, us);
    if (!log_access_enabled() || o->quiet || (x && x->pub.unlogged))
        return;
    if (o->access == ACCESS_JSON)
        write_json(c, x, request, status, us);
    else
        write_combined(c, x, request, status);
}

void access_note(const struct h1_conn *c, struct h1_exchange *x, unsigned status)
{
    note(c, x, x->request_line, status);
}

// Empty lines may stand before the first (RFC 9112 §2.2).
void access_note_refused(const struct h1_conn *c, struct str came, unsigned status)
{
    size_t from = 0, to;
    while (from < came.n && (came.p[from] == '\r' || came.p[from] == '\n'))
        from++;
    for (to = from; to < came.n && to - from < ACCESS_LINE; to++)
        if (came.p[to] == '\r' || came.p[to] == '\n')
            break;
    note(c, NULL, str_of(came.p + from, to - from), status);
}

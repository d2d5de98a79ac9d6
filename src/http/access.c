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

// --- combined ---

static size_t put_quoted(char *line, size_t n, size_t cap, struct str s)
{
    line[n++] = '"';
    n = s.n ? log_escape(line, n, cap, s) : (line[n] = '-', n + 1);
    line[n++] = '"';
    return n;
}

// "22/Nov/2026:21:04:27 +0000"; made once a second, by the one thread there is.
static const char *stamp_of(int64_t now)
{
    static char when[40];
    static int64_t when_at = -1;
    if (now != when_at) {
        struct tm utc;
        time_t t = (time_t)now;
        strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", gmtime_r(&t, &utc));
        when_at = now;
    }
    return when;
}

static void write_combined(const struct h1_conn *c, const struct h1_exchange *x, unsigned status)
{
    char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX];
    size_t n = (size_t)snprintf(line, sizeof line, "%s - - [%s] ", client_of(c, x, host),
                                stamp_of(loop_wall(c->env->loop)));
    n = put_quoted(line, n, LINE_MAX_BYTES / 2, x ? x->request_line : STR(""));
    n += (size_t)snprintf(line + n, sizeof line - n, " %u %llu ", status,
                          x ? (unsigned long long)x->body_sent : 0ULL);
    n = put_quoted(line, n, LINE_MAX_BYTES * 3 / 4, field_of(x, STR("referer")));
    line[n++] = ' ';
    n = put_quoted(line, n, LINE_MAX_BYTES - 8, field_of(x, STR("user-agent")));
    log_access(str_of(line, n));
}

// --- JSON ---

// One character of s at i, as JSON has it, into out. Returns the bytes of s that it used.
static size_t one_character(struct str s, size_t i, char out[static 8], size_t *n)
{
    unsigned char c = (unsigned char)s.p[i];
    int step = utf8_step(s.p + i, s.n - i);
    if (step < 0) {
        memcpy(out, "\xEF\xBF\xBD", *n = 3);
        return (size_t)-step;
    }
    if (c < 0x20 || c == 0x7f) {
        *n = (size_t)snprintf(out, 8, "\\u%04x", c);
    } else if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *n = 2;
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
        return (char *)memcpy(p, "null", 4) + 4;
    *p++ = '"';
    for (size_t i = 0; i < s.n;) {
        char out[8];
        size_t n;
        i += one_character(s, i, out, &n);
        if (n > (size_t)(last - p)) {
            p = (char *)memcpy(p, "\xE2\x80\xA6", 3) + 3;
            break;
        }
        p = (char *)memcpy(p, out, n) + n;
    }
    *p++ = '"';
    return p;
}

static char *put_member(char *p, const char *name, size_t cap, struct str s)
{
    p += sprintf(p, ",\"%s\":", name);
    return put_text(p, cap, s);
}

// "2026-11-22T21:04:27.123Z"
static char *put_time(char *p, uint64_t us)
{
    struct tm utc;
    time_t t = (time_t)(us / 1000000);
    p += strftime(p, 32, "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &utc));
    return p + sprintf(p, ".%03uZ", (unsigned)(us / 1000 % 1000));
}

static struct str text_or_null(struct str s)
{
    return s.n ? s : str_of(NULL, 0);
}

static char *put_request(char *p, struct h1_exchange *x)
{
    static const struct str protocols[] = {STR("HTTP/1.0"), STR("HTTP/1.1")};
    const struct http_request *r = &x->pub.request;
    p = put_member(p, "method", 16, method_name(r->method));
    p = put_member(p, "target", TARGET_MAX, r->target);
    return put_member(p, "protocol", 16, protocols[r->minor > 0]);
}

static struct str host_of(const struct h1_exchange *x)
{
    const struct forwarded *client = x->pub.client;
    return client && client->host.n ? client->host : x->pub.request.authority;
}

static void write_json(const struct h1_conn *c, struct h1_exchange *x, unsigned status, uint64_t us)
{
    const struct str null = {NULL, 0};
    char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX], *p = line;
    p += sprintf(p, "{\"time\":\"");
    p = put_time(p, clock_us(CLOCK_REALTIME) - us);
    p += sprintf(p, "\"");
    p = put_member(p, "id", ID_MAX, x ? text_or_null(exchange_id(&x->pub)) : null);
    p = put_member(p, "remote_addr", ADDR_TEXT_MAX, str_z(client_of(c, x, host)));
    if (x)
        p = put_request(p, x);
    else
        p += sprintf(p, ",\"method\":null,\"target\":null,\"protocol\":null");
    p += sprintf(p, ",\"status\":%u,\"bytes\":%llu,\"duration\":%llu.%06u", status,
                 x ? (unsigned long long)x->body_sent : 0ULL, (unsigned long long)(us / 1000000),
                 (unsigned)(us % 1000000));
    p = put_member(p, "host", HOST_MAX, x ? text_or_null(host_of(x)) : null);
    p = put_member(p, "route", ROUTE_MAX, x && x->pub.route ? x->pub.route->text : null);
    p = put_member(p, "referer", WORD_MAX, x ? field_of(x, STR("referer")) : null);
    p = put_member(p, "user_agent", WORD_MAX, x ? field_of(x, STR("user-agent")) : null);
    p += sprintf(p, ",\"pid\":%d}", (int)getpid());
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

void access_note(const struct h1_conn *c, struct h1_exchange *x, unsigned status)
{
    const struct server_options *o = c->env->options;
    uint64_t us = 0;
    if (x && x->began)
        us = clock_us(CLOCK_MONOTONIC) - x->began;
    if (o->tally)
        count(c, x, status, us);
    if (!log_access_enabled() || o->quiet)
        return;
    if (o->access == ACCESS_JSON)
        write_json(c, x, status, us);
    else
        write_combined(c, x, status);
}

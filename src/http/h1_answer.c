// The response side of an HTTP/1 connection: the head, the framing, bodies that are known.
//
// A small answer is written into one block of the stream's queue, head and body behind each other;
// borrowed bytes and files become pieces of their own. What framing a body has is decided once, in
// frame_body, and by nobody else (RFC 9112 §6.3).
#include "http/h1_answer.h"

#include "http/date.h"
#include "http/page.h"
#include "http/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    CORE_FIELDS_MAX = 512, // everything of the head that is not the handler's fields
    COPY_MAX = 8 * 1024,   // bodies up to this are copied behind the head
};

// --- the head ---

static char *put(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

// "Date: …" and "Server: …", made once a second; without those that the handler gave.
static struct str stamp(struct h1_env *env, unsigned has)
{
    enum { DATE_LINE = sizeof "Date: " - 1 + DATE_LEN + sizeof "\r\n" - 1 };
    int64_t now = loop_wall(env->loop);
    if (now != env->stamp_at || env->stamp_len == 0) {
        char *p = put(env->stamp, STR("Date: "));
        date_format(p, now);
        p = put(p + DATE_LEN, STR("\r\nServer: lunette\r\n"));
        env->stamp_len = (size_t)(p - env->stamp);
        env->stamp_at = now;
    }
    size_t from = has & FIELDS_DATE ? DATE_LINE : 0;
    size_t to = has & FIELDS_SERVER ? DATE_LINE : env->stamp_len;
    return from < to ? str_of(env->stamp + from, to - from) : STR("");
}

// How the end of the body is told: a length, chunks, or the end of the connection.
struct framing {
    int64_t length; // −1: no Content-Length
    bool chunked;
};

static struct framing frame_body(struct h1_exchange *x, const struct http_response *r)
{
    struct framing f = {.length = 0};
    bool head = x->pub.request.method == HTTP_HEAD;
    switch (r->body) {
    case BODY_NONE:
        if (head && r->fields && r->fields->length >= 0)
            f.length = r->fields->length; // what GET would have
        break;
    case BODY_BYTES:
        f.length = (int64_t)r->bytes.n;
        break;
    case BODY_FILE:
    case BODY_SOURCE:
        f.length = r->length;
        break;
    }
    if (status_bodiless(r->status)) {
        f.length = -1;
    } else if (r->status == 205) { // Reset Content has none (RFC 9110 §15.3.6)
        f.length = 0;
    } else if (f.length < 0 && !head) {
        f.chunked = x->pub.request.minor > 0;
        x->close |= !f.chunked;
    }
    return f;
}

static char *put_core_fields(char *p, struct h1_exchange *x, const struct http_response *r,
                             struct framing f)
{
    unsigned has = r->fields ? r->fields->has : 0;
    if (!(has & FIELDS_NOSNIFF))
        p = put(p, STR("X-Content-Type-Options: nosniff\r\n"));
    if (!(has & FIELDS_TYPE) && r->default_type.n && r->body != BODY_NONE) {
        p = put(p, STR("Content-Type: "));
        p = put(p, r->default_type);
        p = put(p, STR("\r\n"));
    }
    if (f.chunked) {
        p = put(p, STR("Transfer-Encoding: chunked\r\n"));
    } else if (f.length >= 0) {
        p = put(p, STR("Content-Length: "));
        p = str_put_u64(p, (uint64_t)f.length);
        p = put(p, STR("\r\n"));
    }
    if (x->close)
        p = put(p, STR("Connection: close\r\n"));
    else if (x->pub.request.minor == 0)
        p = put(p, STR("Connection: keep-alive\r\n"));
    return put(p, STR("\r\n"));
}

static void write_head(struct h1_exchange *x, const struct http_response *r, struct framing f)
{
    struct stream *s = x->conn->stream;
    struct str fields = r->fields ? buf_str(&r->fields->lines) : STR("");
    bool large = fields.n > COPY_MAX;
    char scratch[STATUS_LINE_MAX];
    assert(r->default_type.n <= 128);
    char *start = stream_room(s, CORE_FIELDS_MAX + (large ? 0 : fields.n));
    if (!start)
        return; // the stream is broken, and says so by itself
    char *p = put(start, status_line(r->status, scratch));
    p = put(p, stamp(x->conn->env, r->fields ? r->fields->has : 0));
    if (large) {
        stream_wrote(s, (size_t)(p - start));
        if (!stream_write(s, fields) || !(p = start = stream_room(s, CORE_FIELDS_MAX)))
            return;
    } else if (fields.n) {
        p = put(p, fields);
    }
    p = put_core_fields(p, x, r, f);
    stream_wrote(s, (size_t)(p - start));
}

// --- the body ---

static void write_body(struct h1_exchange *x, const struct http_response *r, struct framing f)
{
    struct stream *s = x->conn->stream;
    switch (r->body) {
    case BODY_NONE:
        break;
    case BODY_BYTES:
        x->body_sent = r->bytes.n;
        if (r->bytes.n <= COPY_MAX || !r->release)
            stream_write(s, r->bytes);
        else {
            stream_write_ref(s, r->bytes, r->release, r->release_arg);
            return;
        }
        break;
    case BODY_FILE:
        x->body_sent = (uint64_t)r->length;
        stream_write_file(s, r->fd, r->offset, (uint64_t)r->length, r->release, r->release_arg);
        return;
    case BODY_SOURCE:
        x->source = r->source;
        x->source_left = r->length;
        x->chunked_answer = f.chunked;
        break;
    }
    if (r->release)
        r->release(r->release_arg);
}

void h1_write_answer(struct h1_exchange *x, const struct http_response *r)
{
    assert(r->status >= 200 && r->status <= 599);
    x->close |= r->fields && r->fields->close;
    struct framing f = frame_body(x, r);
    write_head(x, r, f);
    bool bodiless = x->pub.request.method == HTTP_HEAD || status_bodiless(r->status);
    if (!bodiless && r->status != 205) {
        write_body(x, r, f);
        return;
    }
    if (r->body == BODY_SOURCE)
        r->source->ops->close(r->source);
    if (r->release)
        r->release(r->release_arg);
}

void h1_write_page(struct h1_conn *c, unsigned status, bool head)
{
    struct buf page;
    char start[256], line[STATUS_LINE_MAX];
    buf_init(&page, 16 * 1024);
    if (page_html(&page, status, str_of(NULL, 0))) {
        struct str first = status_line(status, line), now = stamp(c->env, 0);
        int n = snprintf(start, sizeof start,
                         "%.*s%.*sX-Content-Type-Options: nosniff\r\n"
                         "Content-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n"
                         "Connection: close\r\n\r\n",
                         STR_ARG(first), STR_ARG(now), page.n);
        assert(n > 0 && (size_t)n < sizeof start);
        stream_write(c->stream, str_of(start, (size_t)n));
        if (!head)
            stream_write(c->stream, buf_str(&page));
    }
    buf_fini(&page);
}

// The script that refreshes pages: see the header.
#include "content/inject.h"

#include "http/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t inject_mark_text(const struct inject_mark *m, char dst[static INJECT_MARK])
{
    int n = snprintf(dst, INJECT_MARK, "%016llx.%u.%u", (unsigned long long)m->server->id,
                     m->scripts, m->server->files);
    return (size_t)n;
}

// --- what ---

static bool is_base64(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("+/-_=", c));
}

// The nonce of a policy: n 0 for none, or one that is no nonce.
static struct str nonce_of(struct str policy)
{
    static const char begin[] = "'nonce-";
    const char *at = policy.n ? memmem(policy.p, policy.n, begin, sizeof begin - 1) : NULL;
    if (!at)
        return STR("");
    at += sizeof begin - 1;
    size_t n = 0, most = (size_t)(policy.p + policy.n - at);
    while (n < most && is_base64(at[n]))
        n++;
    return n < most && at[n] == '\'' && n <= INJECT_NONCE ? str_of(at, n) : STR("");
}

struct str inject_tag(struct str mark, struct str policy, char dst[static INJECT_TAG])
{
    struct str nonce = nonce_of(policy);
    int n = snprintf(
        dst, INJECT_TAG, "<script src=\"" INJECT_SCRIPT "?%.*s\"%s%.*s%s async></script>\n",
        STR_ARG(mark), nonce.n ? " nonce=\"" : "", STR_ARG(nonce), nonce.n ? "\"" : "");
    return str_of(dst, (size_t)n);
}

// --- which requests, and which answers ---

bool inject_wanted(const struct http_request *r)
{
    static const char html[] = "text/html";
    if (r->method != HTTP_GET && r->method != HTTP_HEAD)
        return false;
    struct str mode = request_field(r, STR("sec-fetch-mode"));
    struct str dest = request_field(r, STR("sec-fetch-dest"));
    if (mode.p || dest.p)
        return str_eq(mode, STR("navigate")) || str_eq(dest, STR("document"));
    struct str accept = request_field(r, STR("accept"));
    return accept.n && memmem(accept.p, accept.n, html, sizeof html - 1);
}

static bool is_html(const struct http_response *r, const struct fields *f)
{
    const struct str html = STR("text/html");
    struct str type = f->has & FIELDS_TYPE ? fields_find(f, STR("Content-Type")) : r->default_type;
    return type.n >= html.n && str_ieq(str_of(type.p, html.n), html) &&
           (type.n == html.n || strchr("; \t", type.p[html.n]));
}

// What is saved to a disk is to be what the site has.
static bool is_download(const struct fields *f)
{
    const struct str word = STR("attachment");
    struct str how = fields_find(f, STR("Content-Disposition"));
    return how.n >= word.n && str_ieq(str_of(how.p, word.n), word);
}

// --- the page ---

static void free_page(void *arg)
{
    buf_fini(arg);
    free(arg);
}

static bool read_all(int fd, off_t at, struct buf *out, size_t n)
{
    while (n) {
        char *room = buf_room(out, n);
        ssize_t got = room ? pread(fd, room, n, at) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        buf_added(out, (size_t)got);
        at += got;
        n -= (size_t)got;
    }
    return true;
}

// The body as it is. False when it is none that can be had whole.
static bool read_page(const struct http_response *r, struct buf *out)
{
    if (r->body == BODY_BYTES)
        return buf_add(out, r->bytes);
    return r->body == BODY_FILE && r->length <= INJECT_PAGE_MAX &&
           read_all(r->fd, r->offset, out, (size_t)r->length);
}

// Puts the tag in at its place; false without one.
static bool put_tag(struct buf *page, struct str tag)
{
    ptrdiff_t at = inject_place(buf_str(page));
    if (at < 0 || !buf_room(page, tag.n))
        return false;
    memmove(page->p + at + tag.n, page->p + at, page->n - (size_t)at);
    memcpy(page->p + at, tag.p, tag.n);
    buf_added(page, tag.n);
    return true;
}

static struct buf *make_page(const struct http_response *r, struct str tag)
{
    struct buf *page = malloc(sizeof *page);
    if (!page)
        return NULL;
    buf_init(page, INJECT_PAGE_MAX + INJECT_TAG);
    if (read_page(r, page) && put_tag(page, tag))
        return page;
    free_page(page);
    return NULL;
}

static void mark_tag(struct fields *f, struct str mark)
{
    char text[INJECT_ETAG];
    struct str tag = fields_find(f, STR("ETag"));
    int n = -1;
    if (tag.n > 1 && tag.p[tag.n - 1] == '"')
        n = snprintf(text, sizeof text, "%.*s-live-%.*s\"", (int)tag.n - 1, tag.p, STR_ARG(mark));
    fields_remove(f, STR("ETag"));
    if (n > 0 && n < INJECT_ETAG)
        fields_add(f, STR("ETag"), str_of(text, (size_t)n));
}

static void mark_fields(struct fields *f, struct str mark)
{
    if (f->has & FIELDS_ETAG)
        mark_tag(f, mark);
    fields_remove(f, STR("Last-Modified"));
}

bool inject_response(struct http_response *r, struct fields *f, const struct http_request *request,
                     const struct inject_mark *mark)
{
    char text[INJECT_MARK], element[INJECT_TAG];
    if (!inject_wanted(request) || status_bodiless(r->status) || r->status == 206 ||
        (f->has & FIELDS_ENCODING) || !is_html(r, f) || is_download(f))
        return false;
    struct str name = str_of(text, inject_mark_text(mark, text));
    if (r->body == BODY_NONE && request->method == HTTP_HEAD && f->length >= 0) {
        f->length = -1;
        mark_fields(f, name);
        return true;
    }
    struct buf *page =
        make_page(r, inject_tag(name, fields_find(f, STR("Content-Security-Policy")), element));
    if (!page)
        return false;
    if (r->release)
        r->release(r->release_arg);
    r->body = BODY_BYTES;
    r->bytes = buf_str(page);
    r->release = free_page;
    r->release_arg = page;
    mark_fields(f, name);
    return true;
}

// A file as a response, in three steps: find the file (index names, the missing slash), decide the
// status from the request's conditions and Range, then write the fields of that status and attach
// the content. The deciding itself belongs to http/conditions and http/range.
#include "content/static.h"

#include "http/conditions.h"
#include "http/date.h"
#include "http/range.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

// One answer in the making.
struct job {
    const struct static_options *options;
    const struct http_request *request;
    struct arena *arena;
    struct fields *fields;
    struct http_response *out;
    int64_t now;
    struct file file;
    uint64_t from, length; // the content to send: all of the file, or the range
};

// A short field value while it is put together.
struct text {
    char p[96]; // the longest is "bytes 1-2/3" with three numbers of 20 digits
    size_t n;
};

static void put(struct text *t, struct str s)
{
    assert(s.n <= sizeof t->p - t->n);
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void put_number(struct text *t, uint64_t v, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[v % base];
    while (v /= base);
    put(t, str_of(digits + at, sizeof digits - at));
}

static bool add(struct job *j, struct str name, struct str value)
{
    return fields_add(j->fields, name, value) == FIELDS_OK;
}

static bool add_text(struct job *j, struct str name, const struct text *value)
{
    return add(j, name, str_of(value->p, value->n));
}

// --- finding ---

// The first of the index names that is a file in the folder at path, which ends with a slash.
static int find_index(const struct file_root *r, const struct static_options *o, struct str path,
                      struct arena *a, struct file *out)
{
    for (const char *const *name = o->index; name && *name; name++) {
        struct str index = str_z(*name);
        char *joined = arena_alloc(a, path.n + index.n);
        if (!joined)
            return -ENOMEM;
        memcpy(joined, path.p, path.n);
        memcpy(joined + path.n, index.p, index.n);
        int err = file_open(r, str_of(joined, path.n + index.n), out);
        if (err != -ENOENT && (err || !out->is_dir))
            return err;
    }
    return -ENOENT;
}

static enum static_result refusal(int err)
{
    switch (err) {
    case -ENOENT:
    case -ENAMETOOLONG:
        return STATIC_MISSING;
    case -EACCES:
    case -EPERM:
        return STATIC_FORBIDDEN;
    default:
        return STATIC_BUSY;
    }
}

// --- the missing slash ---

// What may stand in a path as it is (RFC 3986 §3.3). Not a backslash: to a browser it is a slash.
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c));
}

static char *put_escaped(char *dst, char c)
{
    dst[0] = '%';
    dst[1] = "0123456789ABCDEF"[(unsigned char)c >> 4];
    dst[2] = "0123456789ABCDEF"[(unsigned char)c & 15];
    return dst + 3;
}

// The decoded path, encoded again. Slashes are merged, so that "//host" cannot come out.
static char *put_path(char *dst, struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/' && i > 0 && path.p[i - 1] == '/')
            continue;
        if (is_plain(path.p[i]))
            *dst++ = path.p[i];
        else
            dst = put_escaped(dst, path.p[i]);
    }
    return dst;
}

// The query is still encoded; only what could not stand in a field or would end it is escaped.
static char *put_query(char *dst, struct str query)
{
    for (size_t i = 0; i < query.n; i++) {
        if (query.p[i] > ' ' && query.p[i] < 0x7f && query.p[i] != '#')
            *dst++ = query.p[i];
        else
            dst = put_escaped(dst, query.p[i]);
    }
    return dst;
}

static bool add_location(struct job *j)
{
    struct str path = j->request->path, query = j->request->query;
    char *location = arena_alloc(j->arena, 3 * path.n + 3 * query.n + 2);
    if (!location)
        return false;
    char *end = put_path(location, path);
    *end++ = '/';
    if (query.n) {
        *end++ = '?';
        end = put_query(end, query);
    }
    return add(j, STR("Location"), str_of(location, (size_t)(end - location)));
}

// --- deciding ---

// Strong: two versions of a file share a tag only when they were written in place within one tick
// of the file system's clock (some milliseconds) and are of the same size.
static void make_etag(struct text *t, const struct file *f)
{
    put(t, STR("\""));
    put_number(t, f->inode, 16);
    put(t, STR("-"));
    put_number(t, f->size, 16);
    put(t, STR("-"));
    put_number(t, (uint64_t)f->mtime.tv_sec * 1000000000u + (uint64_t)f->mtime.tv_nsec, 16);
    put(t, STR("\""));
}

// Not in the future (RFC 9110 §8.8.2.1), and none at all for a date before 1970.
static int64_t last_modified(const struct job *j)
{
    int64_t t = j->file.mtime.tv_sec;
    return t < 0 ? -1 : t < j->now ? t : j->now;
}

// Range, for a GET whose conditions hold: 200, 206 or 416, and which part of the file that is.
static unsigned decide_range(struct job *j)
{
    struct str field = request_fields(j->request, STR("Range"), j->arena);
    struct byte_range ranges[RANGES_MAX];
    unsigned n = 0;
    switch (range_parse(field, j->file.size, ranges, &n)) {
    case RANGE_UNSATISFIABLE:
        return 416;
    case RANGE_SOME:
        if (n != 1)
            return 200;
        j->from = ranges[0].first;
        j->length = ranges[0].last - ranges[0].first + 1;
        return 206;
    case RANGE_NONE:
        break;
    }
    return 200;
}

static unsigned decide(struct job *j, const struct validators *v)
{
    const struct http_request *r = j->request;
    struct conditions c = {
        .if_match = request_fields(r, STR("If-Match"), j->arena),
        .if_none_match = request_fields(r, STR("If-None-Match"), j->arena),
        .if_modified_since = request_fields(r, STR("If-Modified-Since"), j->arena),
        .if_unmodified_since = request_fields(r, STR("If-Unmodified-Since"), j->arena),
        .if_range = request_fields(r, STR("If-Range"), j->arena),
    };
    switch (conditions_judge(&c, v, true)) {
    case VERDICT_NOT_MODIFIED:
        return 304;
    case VERDICT_FAILED:
        return 412;
    case VERDICT_GO:
        break;
    }
    bool has_range = r->method == HTTP_GET && request_field(r, STR("Range")).p;
    return has_range && conditions_range(&c, v) ? decide_range(j) : 200;
}

// --- writing ---

static bool add_cache_control(struct job *j)
{
    if (j->options->max_age < 0)
        return true;
    struct text t = {.n = 0};
    put(&t, STR("max-age="));
    put_number(&t, (uint64_t)j->options->max_age, 10);
    return add_text(j, STR("Cache-Control"), &t);
}

static bool add_last_modified(struct job *j, int64_t when)
{
    char date[DATE_LEN];
    if (when < 0)
        return true;
    date_format(date, when);
    return add(j, STR("Last-Modified"), str_of(date, sizeof date));
}

// 206: "bytes first-last/size"; 416: "bytes */size" (RFC 9110 §14.4).
static bool add_content_range(struct job *j, bool satisfied)
{
    struct text t = {.n = 0};
    put(&t, STR("bytes "));
    if (satisfied) {
        put_number(&t, j->from, 10);
        put(&t, STR("-"));
        put_number(&t, j->from + j->length - 1, 10);
    } else {
        put(&t, STR("*"));
    }
    put(&t, STR("/"));
    put_number(&t, j->file.size, 10);
    return add_text(j, STR("Content-Range"), &t);
}

static bool add_type(struct job *j)
{
    return (j->fields->has & FIELDS_TYPE) || add(j, STR("Content-Type"), j->file.type);
}

static bool add_fields(struct job *j, unsigned status, const struct validators *v)
{
    switch (status) {
    case 200:
    case 206:
        return add_type(j) && add(j, STR("ETag"), v->etag) &&
               add_last_modified(j, v->last_modified) &&
               add(j, STR("Accept-Ranges"), STR("bytes")) && add_cache_control(j) &&
               (status == 200 || add_content_range(j, true));
    case 304:
        return add(j, STR("ETag"), v->etag) && add_cache_control(j);
    case 416:
        return add_content_range(j, false);
    default:
        return true;
    }
}

static void close_file(void *arg)
{
    close((int)(intptr_t)arg);
}

static void attach_file(struct job *j)
{
    j->out->body = BODY_FILE;
    j->out->fd = j->file.fd;
    j->out->offset = (off_t)j->from;
    j->out->length = (int64_t)j->length;
    j->out->release = close_file;
    j->out->release_arg = (void *)(intptr_t)j->file.fd;
}

// False also when the file became shorter after it was opened: its size is already promised.
static bool attach_bytes(struct job *j)
{
    size_t n = 0, length = (size_t)j->length;
    char *p = arena_alloc(j->arena, length);
    if (!p)
        return false;
    while (n < length) {
        ssize_t got = pread(j->file.fd, p + n, length - n, (off_t)(j->from + n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        n += (size_t)got;
    }
    j->out->body = BODY_BYTES;
    j->out->bytes = str_of(p, length);
    return true;
}

static bool attach(struct job *j)
{
    if (j->request->method == HTTP_GET && j->length <= STATIC_SMALL)
        return attach_bytes(j);
    attach_file(j);
    return true;
}

static bool answer_file(struct job *j)
{
    struct text etag = {.n = 0};
    make_etag(&etag, &j->file);
    struct validators v = {str_of(etag.p, etag.n), last_modified(j), j->now};
    j->length = j->file.size;
    j->out->status = decide(j, &v);
    bool ok = add_fields(j, j->out->status, &v);
    if (ok && (j->out->status == 200 || j->out->status == 206))
        ok = attach(j);
    if (j->out->body != BODY_FILE)
        close(j->file.fd);
    return ok;
}

static bool answer_redirect(struct job *j)
{
    j->out->status = 308;
    return add_location(j) && add_cache_control(j);
}

enum static_result static_answer(const struct file_root *r, const struct static_options *o,
                                 const struct http_request *req, struct str path, int64_t now,
                                 struct arena *a, struct fields *fields, struct http_response *out)
{
    struct job j = {o, req, a, fields, out, now, .file = {.fd = -1}};
    if (req->encoded_slash)
        return STATIC_MISSING;
    bool is_folder = str_ends(path, STR("/"));
    int err = is_folder ? find_index(r, o, path, a, &j.file) : file_open(r, path, &j.file);
    if (err)
        return refusal(err);
    if (j.file.is_dir && str_ends(req->path, STR("/"))) // a redirect would lead back to itself
        return STATIC_MISSING;
    size_t lines = fields->lines.n;
    unsigned has = fields->has;
    *out = (struct http_response){.fields = fields, .fd = -1};
    if (j.file.is_dir ? answer_redirect(&j) : answer_file(&j))
        return j.file.is_dir ? STATIC_REDIRECT : STATIC_FOUND;
    fields->lines.n = lines; // as it was: the caller has another answer to make
    fields->has = has;
    return STATIC_BUSY;
}

// A file as a response, in three steps: find the file (index names, the missing slash), decide the
// status from the request's conditions and Range, then write the fields of that status and attach
// the content. The deciding itself belongs to http/conditions and http/range; what can be made once
// for a file rather than for a request, to the file cache.
#include "content/static.h"

#include "http/conditions.h"
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
    const struct cached_file *file;
    uint64_t from, length; // the content to send: all of the file, or the range
};

// A short line while it is put together.
struct text {
    char p[96]; // the longest is "Content-Range: bytes 1-2/3" with three numbers of 20 digits
    size_t n;
};

static void put(struct text *t, struct str s)
{
    assert(s.n <= sizeof t->p - t->n);
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void put_number(struct text *t, uint64_t v)
{
    assert(sizeof t->p - t->n >= 20);
    t->n = (size_t)(str_put_u64(t->p + t->n, v) - t->p);
}

static bool add(struct job *j, struct str name, struct str value)
{
    return fields_add(j->fields, name, value) == FIELDS_OK;
}

static bool add_lines(struct job *j, struct str lines, unsigned has)
{
    return fields_add_lines(j->fields, lines, has) == FIELDS_OK;
}

static bool add_text(struct job *j, const struct text *line)
{
    return add_lines(j, str_of(line->p, line->n), 0);
}

// --- finding ---

static int find_file(struct job *j, const struct file_root *r, struct str path)
{
    return filecache_open(j->options->cache, r, path, j->now, &j->file);
}

// The first of the index names that is a file in the folder at path, which ends with a slash.
static int find_index(struct job *j, const struct file_root *r, struct str path)
{
    for (const char *const *name = j->options->index; name && *name; name++) {
        struct str index = str_z(*name);
        char *joined = arena_alloc(j->arena, path.n + index.n);
        if (!joined)
            return -ENOMEM;
        memcpy(joined, path.p, path.n);
        memcpy(joined + path.n, index.p, index.n);
        int err = find_file(j, r, str_of(joined, path.n + index.n));
        if (err != -ENOENT && err != -EISDIR)
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

// Range, for a GET whose conditions hold: 200, 206 or 416, and which part of the file that is.
static unsigned decide_range(struct job *j)
{
    struct str field = request_fields(j->request, STR("Range"), j->arena);
    struct byte_range ranges[RANGES_MAX];
    unsigned n = 0;
    switch (range_parse(field, j->file->size, ranges, &n)) {
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

// Whether any field might make it another answer than 200: If-…, or Range. Most requests have none,
// and this one pass over their fields is all they pay.
static bool has_condition(const struct http_request *r)
{
    for (unsigned i = 0; i < r->field_count; i++) {
        struct str name = r->fields[i].name;
        char first = name.n ? name.p[0] | 0x20 : 0;
        if ((first == 'i' && name.n > 3 && name.p[2] == '-') || (first == 'r' && name.n == 5))
            return true;
    }
    return false;
}

static unsigned decide(struct job *j)
{
    const struct http_request *r = j->request;
    if (!has_condition(r))
        return 200;
    struct validators v = {j->file->etag, j->file->last_modified, j->now};
    struct conditions c = {
        .if_match = request_fields(r, STR("If-Match"), j->arena),
        .if_none_match = request_fields(r, STR("If-None-Match"), j->arena),
        .if_modified_since = request_fields(r, STR("If-Modified-Since"), j->arena),
        .if_unmodified_since = request_fields(r, STR("If-Unmodified-Since"), j->arena),
        .if_range = request_fields(r, STR("If-Range"), j->arena),
    };
    switch (conditions_judge(&c, &v, true)) {
    case VERDICT_NOT_MODIFIED:
        return 304;
    case VERDICT_FAILED:
        return 412;
    case VERDICT_GO:
        break;
    }
    bool has_range = r->method == HTTP_GET && request_field(r, STR("Range")).p;
    return has_range && conditions_range(&c, &v) ? decide_range(j) : 200;
}

// --- writing ---

static bool add_cache_control(struct job *j)
{
    if (j->options->max_age < 0)
        return true;
    struct text t;
    t.n = 0; // and no time spent on clearing the rest
    put(&t, STR("Cache-Control: max-age="));
    put_number(&t, (uint64_t)j->options->max_age);
    put(&t, STR("\r\n"));
    return add_text(j, &t);
}

// 206: "bytes first-last/size"; 416: "bytes */size" (RFC 9110 §14.4).
static bool add_content_range(struct job *j, bool satisfied)
{
    struct text t;
    t.n = 0; // and no time spent on clearing the rest
    put(&t, STR("Content-Range: bytes "));
    if (satisfied) {
        put_number(&t, j->from);
        put(&t, STR("-"));
        put_number(&t, j->from + j->length - 1);
    } else {
        put(&t, STR("*"));
    }
    put(&t, STR("/"));
    put_number(&t, j->file->size);
    put(&t, STR("\r\n"));
    return add_text(j, &t);
}

static bool add_type(struct job *j)
{
    return (j->fields->has & FIELDS_TYPE) || add_lines(j, j->file->type_line, FIELDS_TYPE);
}

static bool add_fields(struct job *j, unsigned status)
{
    switch (status) {
    case 200:
    case 206:
        return add_type(j) && add_lines(j, j->file->lines, j->file->has) && add_cache_control(j) &&
               (status == 200 || add_content_range(j, true));
    case 304:
        return add(j, STR("ETag"), j->file->etag) && add_cache_control(j);
    case 416:
        return add_content_range(j, false);
    default:
        return true;
    }
}

static void close_file(void *file)
{
    filecache_close(file);
}

// The response keeps the file until it is sent.
static void lend_file(struct job *j)
{
    j->out->release = close_file;
    j->out->release_arg = (void *)(uintptr_t)j->file;
    j->file = NULL;
}

static bool attach_memory(struct job *j)
{
    j->out->body = BODY_BYTES;
    j->out->bytes = str_of(j->file->bytes.p + j->from, (size_t)j->length);
    lend_file(j);
    return true;
}

static bool attach_descriptor(struct job *j)
{
    j->out->body = BODY_FILE;
    j->out->fd = j->file->fd;
    j->out->offset = (off_t)j->from;
    j->out->length = (int64_t)j->length;
    lend_file(j);
    return true;
}

// A short range of a large file. False also when that became shorter after it was opened: its size
// is already promised.
static bool attach_copy(struct job *j)
{
    size_t n = 0, length = (size_t)j->length;
    char *p = arena_alloc(j->arena, length);
    if (!p)
        return false;
    while (n < length) {
        ssize_t got = pread(j->file->fd, p + n, length - n, (off_t)(j->from + n));
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
    if (j->file->in_memory)
        return attach_memory(j);
    if (j->request->method == HTTP_GET && j->length <= STATIC_SMALL)
        return attach_copy(j);
    return attach_descriptor(j);
}

static bool answer_file(struct job *j)
{
    j->length = j->file->size;
    unsigned status = decide(j);
    bool ok = add_fields(j, status);
    j->out->status = status;
    if (ok && (status == 200 || status == 206))
        ok = attach(j);
    if (j->file)
        filecache_close(j->file);
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
    struct job j = {o, req, a, fields, out, now, .file = NULL};
    if (req->encoded_slash)
        return STATIC_MISSING;
    int err = str_ends(path, STR("/")) ? find_index(&j, r, path) : find_file(&j, r, path);
    bool redirect = err == -EISDIR;
    if (redirect && str_ends(req->path, STR("/"))) // it would lead back to itself
        return STATIC_MISSING;
    if (err && !redirect)
        return refusal(err);
    size_t lines = fields->lines.n;
    unsigned has = fields->has;
    *out = (struct http_response){.fields = fields, .fd = -1};
    if (redirect ? answer_redirect(&j) : answer_file(&j))
        return redirect ? STATIC_REDIRECT : STATIC_FOUND;
    fields->lines.n = lines; // as it was: the caller has another answer to make
    fields->has = has;
    return STATIC_BUSY;
}

// A file as a response, in three steps: find the file (index names, the missing slash), write its
// fields and attach its content as for a plain 200, and have that fitted to the request
// (content/fit). What can be made once for a file rather than for a request belongs to the file
// cache.
#include "content/static.h"

#include "content/fit.h"

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
    uint64_t root; // the folder's number
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

static bool add_type(struct job *j)
{
    return (j->fields->has & FIELDS_TYPE) || add_lines(j, j->file->type_line, FIELDS_TYPE);
}

static bool add_fields(struct job *j)
{
    return add_type(j) && add_lines(j, j->file->lines, j->file->has) && add_cache_control(j);
}

static void close_file(void *file)
{
    filecache_close(file);
}

static void attach(struct job *j)
{
    if (j->file->in_memory) {
        j->out->body = BODY_BYTES;
        j->out->bytes = j->file->bytes;
    } else {
        j->out->body = BODY_FILE;
        j->out->fd = j->file->fd;
        j->out->length = (int64_t)j->file->size;
    }
    j->out->release = close_file;
    j->out->release_arg = (void *)(uintptr_t)j->file; // until it is sent
}

// The file's strong tag, and in which folder it is, name its content.
// Read before the body may be given back.
static void fit(struct job *j)
{
    if (!j->options->fit)
        return;
    struct fit_content content = {j->root, j->file->etag,
                                  (unsigned char *)(uintptr_t)&j->file->varies};
    fit_response(j->out, j->fields, j->request, j->arena, j->now, j->options->fit, &content);
}

static bool answer_file(struct job *j)
{
    j->out->status = 200;
    if (!add_fields(j)) {
        filecache_close(j->file);
        return false;
    }
    attach(j);
    fit(j);
    return true;
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
    struct job j = {o, req, a, fields, out, now, .file = NULL, .root = file_root_id(r)};
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

// A file as a response, in three steps: find the file (index names, the missing slash), write its
// fields and attach its content as for a plain 200, and have that fitted to the request
// (content/fit). What can be made once for a file rather than for a request belongs to the file
// cache.
#include "content/static.h"

#include "content/fit.h"
#include "content/siblings.h"
#include "http/date.h"
#include "http/disposition.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
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
    const struct file_root *root;
    struct str path; // of the file
    bool is_index;
    bool sure;    // that the file is as the cache has it, also where it is not to be read
    bool changed; // it was not
};

static bool add(struct job *j, struct str name, struct str value)
{
    return fields_add(j->fields, name, value) == FIELDS_OK;
}

static bool add_lines(struct job *j, struct str lines, unsigned has)
{
    return fields_add_lines(j->fields, lines, has) == FIELDS_OK;
}

// --- finding ---

static int borrow(const struct job *j, struct str path, const struct cached_file **out)
{
    return (j->sure ? filecache_open : filecache_glance)(j->options->cache, j->root, path, j->now,
                                                         out);
}

static int find_file(struct job *j, struct str path)
{
    j->path = path;
    return borrow(j, path, &j->file);
}

// The first of the index names that is a file in the folder at path, which ends with a slash.
static int find_index(struct job *j, struct str path)
{
    j->is_index = true;
    for (const char *const *name = j->options->index; name && *name; name++) {
        struct str index = str_z(*name);
        char *joined = arena_alloc(j->arena, path.n + index.n);
        if (!joined)
            return -ENOMEM;
        memcpy(joined, path.p, path.n);
        memcpy(joined + path.n, index.p, index.n);
        int err = find_file(j, str_of(joined, path.n + index.n));
        if (err != -ENOENT && err != -EISDIR)
            return err;
    }
    return -ENOENT;
}

// Whether a path that ends with a slash leads to a folder. One that may not be read is one too:
// what reads it will say so.
static bool is_folder(const struct file_root *r, struct str path)
{
    struct file f;
    if (!str_ends(path, STR("/")))
        return false;
    int err = file_open(r, path, &f);
    return err == -EACCES || (err == 0 && f.is_dir);
}

bool static_exists(const struct file_root *r, const struct static_options *o, struct str path,
                   struct arena *a)
{
    struct file f;
    struct static_options own = *o;
    own.cache = NULL; // it has the time of the request; what is read here is for nobody
    struct job j = {.options = &own, .arena = a, .root = r};
    if (str_ends(path, STR("/"))) {
        bool found = find_index(&j, path) == 0;
        if (found)
            filecache_close(j.file);
        return found || (o->listing && is_folder(r, path));
    }
    if (file_open(r, path, &f) != 0)
        return false;
    if (f.fd >= 0)
        close(f.fd);
    return !f.is_dir;
}

enum { IS_FOLDER = 1 };

// 0, a file; IS_FOLDER, one to be listed; −EISDIR, one that was asked for without its slash, as the
// top of an app.static may be; or another −errno.
static int find_path(struct job *j, struct str path)
{
    if (!str_ends(path, STR("/")))
        return find_file(j, path);
    int err = find_index(j, path);
    if (err == -ENOENT && j->options->listing && is_folder(j->root, path))
        err = IS_FOLDER;
    if (err < 0 || str_ends(j->request->path, STR("/")))
        return err;
    if (err == 0)
        filecache_close(j->file);
    return -EISDIR;
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

// max-age=0 expires with the Date of its answer.
static void write_caching(const struct static_options *o, int64_t now, struct static_caching *c)
{
    char date[DATE_LEN];
    date_format(date, o->max_age < DATE_MAX - now ? now + o->max_age : DATE_MAX);
    int n =
        snprintf(c->lines, sizeof c->lines, "Cache-Control: max-age=%lld%s\r\nExpires: %.*s\r\n",
                 (long long)o->max_age, o->immutable ? ", immutable" : "", DATE_LEN, date);
    assert(n > 0 && (size_t)n < sizeof c->lines);
    c->n = (size_t)n;
    c->at = now;
}

static bool add_caching(struct job *j)
{
    const struct static_options *o = j->options;
    struct static_caching own, *c = o->caching;
    if (o->max_age < 0)
        return true;
    if (!c)
        write_caching(o, j->now, c = &own);
    else if (c->n == 0 || c->at != j->now)
        write_caching(o, j->now, c);
    return add_lines(j, str_of(c->lines, c->n), 0);
}

static bool add_redirect_caching(struct job *j)
{
    int64_t age = j->options->max_age;
    if (age < 0)
        return true;
    char text[32];
    int n = snprintf(text, sizeof text, "max-age=%lld",
                     (long long)(age < STATIC_REDIRECT_AGE ? age : STATIC_REDIRECT_AGE));
    return add(j, STR("Cache-Control"), str_of(text, (size_t)n));
}

static bool add_type(struct job *j)
{
    return (j->fields->has & FIELDS_TYPE) || add_lines(j, j->file->type_line, FIELDS_TYPE);
}

static struct str last_component(struct str path)
{
    size_t at = path.n;
    while (at && path.p[at - 1] != '/')
        at--;
    return str_of(path.p + at, path.n - at);
}

static bool add_disposition(struct job *j)
{
    struct str name = j->options->download_name;
    if (j->is_index)
        return true;
    struct str value = disposition_attachment(name.n ? name : last_component(j->path), j->arena);
    return value.p && add(j, STR("Content-Disposition"), value);
}

static bool add_fields(struct job *j)
{
    return add_type(j) && add_lines(j, j->file->lines, j->file->has) && add_caching(j) &&
           (!j->options->download || add_disposition(j));
}

static void close_file(void *file)
{
    filecache_close(file);
}

// The body is that of f, which is lent until it is sent.
static void attach(struct http_response *r, const struct cached_file *f)
{
    if (f->in_memory) {
        r->body = BODY_BYTES;
        r->bytes = f->bytes;
    } else {
        r->body = BODY_FILE;
        r->fd = f->fd;
        r->offset = 0;
        r->length = (int64_t)f->size;
    }
    r->release = close_file;
    r->release_arg = (void *)(uintptr_t)f;
}

// Whether the form belongs to the state of the file that is believed: it is still what was there
// before the last look at that, or the file has not changed since.
static bool is_of_file(const struct job *j, const struct cached_file *form)
{
    return j->sure ||
           (filecache_holds(form) && (form->loaded < j->now || filecache_holds(j->file)));
}

// What lay beside the file at the last look may be gone by now, or too old.
static bool take_sibling(void *arg, enum coding c, struct http_response *r)
{
    const struct job *j = arg;
    const struct cached_file *form;
    char name[PATH_MAX];
    struct str path = sibling_path(j->path, c, name, sizeof name);
    if (path.n == 0 || borrow(j, path, &form) != 0)
        return false;
    if (form->size == 0 || !sibling_is_fresh(form->mtime, j->file->mtime) || !is_of_file(j, form)) {
        filecache_close(form);
        return false;
    }
    if (r->release)
        r->release(r->release_arg);
    attach(r, form);
    return true;
}

// The file's strong tag, and in which folder it is, name its content. Made before the body may be
// given back.
static struct fit_content content_of(const struct job *j)
{
    return (struct fit_content){
        .root = file_root_id(j->root),
        .etag = j->file->etag,
        .varies = (unsigned char *)(uintptr_t)&j->file->varies,
        .ready = j->file->ready,
        .form = take_sibling,
        .arg = (void *)(uintptr_t)j,
    };
}

static void fit(struct job *j, const struct fit_content *content)
{
    fit_response(j->out, j->fields, j->request, j->arena, j->now, j->options->fit, content);
}

static bool fit_known(struct job *j, const struct fit_content *content)
{
    return fit_from_note(j->out, j->fields, j->request, j->arena, j->options->fit, content);
}

static bool answer_file(struct job *j)
{
    bool plain = !j->fields->has; // what a handler says of the type counts
    j->out->status = 200;
    if (!add_fields(j)) {
        filecache_close(j->file);
        return false;
    }
    attach(j->out, j->file);
    struct fit_content content = content_of(j);
    if (plain)
        content.note = (struct fit_note *)(uintptr_t)&j->file->note;
    if (j->options->fit && fit_known(j, &content))
        return true;
    if (!j->sure && !filecache_holds(j->file)) {
        filecache_close(j->file);
        j->changed = true;
        return false;
    }
    j->sure = true;
    if (j->options->fit)
        fit(j, &content);
    return true;
}

static bool answer_redirect(struct job *j)
{
    j->out->status = 308;
    return add_location(j) && add_redirect_caching(j);
}

static enum static_result answer(struct job *j, struct str path)
{
    int err = find_path(j, path);
    bool redirect = err == -EISDIR;
    if (err == IS_FOLDER)
        return STATIC_FOLDER;
    if (redirect && str_ends(j->request->path, STR("/"))) // it would lead back to itself
        return STATIC_MISSING;
    if (err && !redirect)
        return refusal(err);
    size_t lines = j->fields->lines.n;
    unsigned has = j->fields->has;
    *j->out = (struct http_response){.fields = j->fields, .fd = -1};
    if (j->options->found)
        *j->options->found = j->path;
    if (redirect ? answer_redirect(j) : answer_file(j))
        return redirect ? STATIC_REDIRECT : STATIC_FOUND;
    j->fields->lines.n = lines; // as it was: the caller has another answer to make
    j->fields->has = has;
    return STATIC_BUSY;
}

enum static_result static_answer(const struct file_root *r, const struct static_options *o,
                                 const struct http_request *req, struct str path, int64_t now,
                                 struct arena *a, struct fields *fields, struct http_response *out)
{
    struct job j = {o, req, a, fields, out, now, .root = r};
    if (req->encoded_slash)
        return STATIC_MISSING;
    enum static_result result = answer(&j, path);
    if (!j.changed)
        return result;
    j.sure = true;
    return answer(&j, path);
}

// Whether the answer still is the file.
static bool is_file(const struct job *j)
{
    const struct http_response *r = j->out;
    const struct cached_file *f = j->file;
    if (r->status != 200 || !(j->fields->has & FIELDS_ETAG) ||
        !str_eq(fields_find(j->fields, STR("ETag")), f->etag))
        return false;
    if (f->in_memory)
        return r->body == BODY_BYTES && str_eq(r->bytes, f->bytes);
    return r->body == BODY_FILE && r->offset == 0 && (uint64_t)r->length == f->size;
}

void static_fit(const struct file_root *r, const struct static_options *o,
                const struct http_request *req, struct str path, int64_t now, struct arena *a,
                struct fields *fields, struct http_response *out)
{
    struct job j = {o, req, a, fields, out, now, .root = r, .sure = true};
    if (find_file(&j, path) != 0) {
        fit_response(out, fields, req, a, now, o->fit, NULL);
        return;
    }
    struct fit_content content = content_of(&j);
    if (is_file(&j))
        fit(&j, &content);
    else
        fit_response(out, fields, req, a, now, o->fit, NULL);
    filecache_close(j.file);
}

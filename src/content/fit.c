// Fitting: see the header. What is decided comes from content/selection; here it is done to the
// fields and the body.
#include "content/fit.h"

#include "content/byteranges.h"
#include "content/coding.h"
#include "content/selection.h"
#include "http/date.h"
#include "http/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// One answer in the making.
struct job {
    struct http_response *r;
    struct fields *f;
    const struct http_request *request;
    struct arena *a;
    const struct fit_options *o;
    const struct fit_content *content;
};

// --- the body ---

// The body is not sent: what lends it gets it back.
static void drop_body(struct http_response *r)
{
    if (r->body == BODY_SOURCE)
        r->source->ops->close(r->source);
    if (r->release)
        r->release(r->release_arg);
    r->body = BODY_NONE;
    r->release = NULL;
    r->default_type = STR("");
}

static int64_t body_length(const struct job *j)
{
    switch (j->r->body) {
    case BODY_BYTES:
        return (int64_t)j->r->bytes.n;
    case BODY_FILE:
    case BODY_SOURCE:
        return j->r->length;
    case BODY_NONE:
        break;
    }
    return j->request->method == HTTP_HEAD ? j->f->length : 0;
}

static bool read_file(int fd, off_t at, char *dst, size_t n)
{
    while (n) {
        ssize_t got = pread(fd, dst, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        dst += got;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

// --- fields ---

static const struct str of_content[] = {
    STR("Content-Type"),  STR("Content-Encoding"), STR("Content-Disposition"),
    STR("Accept-Ranges"), STR("Content-Language"), STR("Content-Range"),
};

// What describes a body that is not there.
static void remove_content(struct fields *f)
{
    for (size_t i = 0; i < sizeof of_content / sizeof of_content[0]; i++)
        fields_remove(f, of_content[i]);
}

static void remove_validators(struct fields *f)
{
    fields_remove(f, STR("ETag"));
    fields_remove(f, STR("Last-Modified"));
    fields_remove(f, STR("Cache-Control"));
    fields_remove(f, STR("Expires"));
}

static bool add(struct fields *f, struct str name, struct str value)
{
    return fields_add(f, name, value) == FIELDS_OK;
}

enum { FIT_FIELDS = 512 }; // bytes of all fields that are added to one answer

// Before a body is changed: that the fields which say so will have room. Without, it stays as it is.
static bool has_room(struct fields *f)
{
    return buf_room(&f->lines, FIT_FIELDS) != NULL;
}

static void add_vary(struct fields *f)
{
    if (!(f->has & FIELDS_VARY) || !memmem(f->lines.p, f->lines.n, "Accept-Encoding", 15))
        add(f, STR("Vary"), STR("Accept-Encoding"));
}

static bool add_content_range(struct fields *f, const struct byte_range *range, uint64_t size)
{
    char text[80];
    int n = range ? snprintf(text, sizeof text, "bytes %llu-%llu/%llu",
                             (unsigned long long)range->first, (unsigned long long)range->last,
                             (unsigned long long)size)
                  : snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    return add(f, STR("Content-Range"), str_of(text, (size_t)n));
}

// The tag of the coded form takes the place of the other.
static void replace_tag(struct fields *f, const struct selection *s)
{
    if (s->coding == CODING_IDENTITY || !(f->has & FIELDS_ETAG))
        return;
    fields_remove(f, STR("ETag"));
    if (s->etag.n)
        add(f, STR("ETag"), s->etag);
}

// --- coded bodies ---

static void free_buf(void *arg)
{
    buf_fini(arg);
    free(arg);
}

// The body is now these bytes, whose memory is taken over.
static bool lend_buf(struct http_response *r, struct buf *bytes)
{
    struct buf *kept = malloc(sizeof *kept);
    if (!kept)
        return false;
    *kept = *bytes;
    buf_init(bytes, bytes->max);
    if (r->release)
        r->release(r->release_arg);
    r->body = BODY_BYTES;
    r->bytes = buf_str(kept);
    r->release = free_buf;
    r->release_arg = kept;
    return true;
}

// Bytes that come without a release are good until exchange_respond returns: what is pulled later
// needs its own. False without memory.
static bool own_bytes(struct http_response *r)
{
    struct buf copy;
    if (r->body != BODY_BYTES || r->release)
        return true;
    buf_init(&copy, r->bytes.n);
    bool ok = buf_add(&copy, r->bytes) && lend_buf(r, &copy);
    buf_fini(&copy);
    return ok;
}

// Bytes that lie in memory, as a source.
struct bytes_source {
    struct body_source source; // first
    struct str left;
    void (*release)(void *arg);
    void *arg;
};

static enum body_pull bytes_pull(struct body_source *s, struct str *out)
{
    struct bytes_source *b = (struct bytes_source *)s;
    size_t n = b->left.n < CODING_SLICE ? b->left.n : CODING_SLICE;
    *out = str_of(b->left.p, n);
    b->left = str_of(b->left.p + n, b->left.n - n);
    return n ? BODY_SOME : BODY_END;
}

static void bytes_close(struct body_source *s)
{
    struct bytes_source *b = (struct bytes_source *)s;
    if (b->release)
        b->release(b->arg);
    free(b);
}

static const struct body_source_ops bytes_ops = {.pull = bytes_pull, .close = bytes_close};

// The body as a source, which takes over what r lends. NULL without memory.
static struct body_source *as_source(struct http_response *r)
{
    if (r->body == BODY_SOURCE)
        return r->source;
    if (r->body == BODY_FILE)
        return coding_file_source(r->fd, r->offset, r->length, r->release, r->release_arg);
    struct bytes_source *b = own_bytes(r) ? malloc(sizeof *b) : NULL;
    if (!b)
        return NULL;
    *b = (struct bytes_source){{&bytes_ops}, r->bytes, r->release, r->release_arg};
    return &b->source;
}

// The body is this source from now on, which has what r lent.
static void become_source(struct http_response *r, struct body_source *s, int64_t length)
{
    if (r->body != BODY_SOURCE)
        r->release = NULL;
    r->body = BODY_SOURCE;
    r->source = s;
    r->length = length;
}

// While it is sent. Without memory for that it is sent as it is.
static bool code_stream(struct job *j, enum coding c, const struct coding_tee *tee)
{
    struct http_response *r = j->r;
    int64_t length = body_length(j);
    struct body_source *inner = as_source(r);
    if (!inner)
        return false;
    struct body_source *coded = coding_source_new(c, j->o->codings.level, inner, tee);
    if (coded)
        become_source(r, coded, -1);
    else
        become_source(r, inner, length);
    return coded != NULL;
}

// --- coded forms that are kept ---

enum { FORM_KEY = 160 };

// What names a form: the coding; and a file's state and the part of it that is sent, or what the
// caller says of the bytes. Its length; 0: it has no name.
static size_t form_key(const struct job *j, enum coding c, char key[static FORM_KEY])
{
    const struct http_response *r = j->r;
    struct stat st;
    if (!j->o->forms)
        return 0;
    if (r->body == BODY_FILE && fstat(r->fd, &st) == 0) {
        const uint64_t state[] = {
            (uint64_t)c,          (uint64_t)st.st_dev,         (uint64_t)st.st_ino,
            (uint64_t)st.st_size, (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec,
            (uint64_t)r->offset,  (uint64_t)r->length};
        memcpy(key, state, sizeof state);
        return sizeof state;
    }
    struct str tag = j->content ? j->content->etag : str_of(NULL, 0);
    uint64_t head[2] = {(uint64_t)c};
    if (r->body != BODY_BYTES || !tag.n ||
        tag.n > FORM_KEY - sizeof head) // cut, it would be no name
        return 0;
    head[1] = j->content->root;
    memcpy(key, head, sizeof head);
    memcpy(key + sizeof head, tag.p, tag.n);
    return sizeof head + tag.n;
}

static void close_form(void *form)
{
    form_close(form);
}

static bool lend_form(struct http_response *r, const struct form *form)
{
    if (r->release)
        r->release(r->release_arg);
    r->body = BODY_BYTES;
    r->bytes = form->bytes;
    r->release = close_form;
    r->release_arg = (void *)(uintptr_t)form;
    return true;
}

// Where the tee of a file that is sent puts the form.
struct keeper {
    struct forms *forms;
    size_t n;
    char key[FORM_KEY];
};

static void keep_form(void *arg, struct buf *coded)
{
    const struct keeper *k = arg;
    forms_put(k->forms, str_of(k->key, k->n), coded);
}

static bool code_and_keep(struct job *j, enum coding c, struct str key)
{
    struct keeper *k = key.n ? malloc(sizeof *k) : NULL;
    if (!k)
        return code_stream(j, c, NULL);
    *k = (struct keeper){.forms = j->o->forms, .n = key.n};
    memcpy(k->key, key.p, key.n);
    struct coding_tee tee = {
        .max = forms_largest(k->forms), .done = keep_form, .release = free, .arg = k};
    if (code_stream(j, c, &tee))
        return true;
    free(k);
    return false;
}

// At once. False when that does not make it shorter, or memory is out.
static bool code_whole(struct job *j, enum coding c, struct str bytes, struct str key)
{
    struct buf coded;
    buf_init(&coded, bytes.n);
    bool ok = coding_whole(c, j->o->codings.level, bytes, &coded);
    const struct form *form = NULL;
    if (ok && key.n && coded.n <= forms_largest(j->o->forms)) {
        forms_put(j->o->forms, key, &coded);
        form = forms_get(j->o->forms, key);
    }
    ok = form ? lend_form(j->r, form) : ok && coded.n && lend_buf(j->r, &coded);
    buf_fini(&coded);
    return ok;
}

static bool code_small_file(struct job *j, enum coding c, struct str key)
{
    size_t n = (size_t)j->r->length;
    char *text = malloc(n + !n);
    bool ok = text && read_file(j->r->fd, j->r->offset, text, n) &&
              code_whole(j, c, str_of(text, n), key);
    free(text);
    return ok;
}

static bool code_content(struct job *j, enum coding c, int64_t length)
{
    char text[FORM_KEY];
    struct str key = str_of(text, form_key(j, c, text));
    const struct form *form = key.n ? forms_get(j->o->forms, key) : NULL;
    if (form)
        return lend_form(j->r, form);
    if (length > FIT_WHOLE)
        return code_and_keep(j, c, key);
    return j->r->body == BODY_FILE ? code_small_file(j, c, key)
                                   : code_whole(j, c, j->r->bytes, key);
}

static bool code_body(struct job *j, enum coding c)
{
    switch (j->r->body) {
    case BODY_BYTES:
    case BODY_FILE:
        return code_content(j, c, body_length(j));
    case BODY_SOURCE:
        return code_stream(j, c, NULL);
    case BODY_NONE: // to HEAD, by a handler that knew what GET would have
        j->f->length = -1;
        return true;
    }
    return false;
}

// --- ranges ---

static void slice(struct http_response *r, const struct byte_range *range)
{
    uint64_t n = range->last - range->first + 1;
    if (r->body == BODY_BYTES) {
        r->bytes = str_of(r->bytes.p + range->first, (size_t)n);
    } else {
        r->offset += (off_t)range->first;
        r->length = (int64_t)n;
    }
}

// A short range of a file is one piece with the head. Where it cannot be read, the file is sent.
static void copy_short(struct job *j)
{
    struct http_response *r = j->r;
    char *p;
    if (r->body != BODY_FILE || r->length > FIT_COPY || !(p = arena_alloc(j->a, (size_t)r->length)))
        return;
    if (!read_file(r->fd, r->offset, p, (size_t)r->length))
        return;
    struct str bytes = str_of(p, (size_t)r->length);
    struct str type = r->default_type;
    drop_body(r);
    r->body = BODY_BYTES;
    r->bytes = bytes;
    r->default_type = type;
}

static bool serve_range(struct job *j, const struct selection *s, int64_t length)
{
    if (!add_content_range(j->f, &s->ranges[0], (uint64_t)length))
        return false;
    slice(j->r, &s->ranges[0]);
    copy_short(j);
    return true;
}

static bool serve_ranges(struct job *j, const struct selection *s, int64_t length)
{
    struct http_response *r = j->r;
    char type[BYTERANGES_TYPE];
    bool memory = r->body == BODY_BYTES;
    if (!own_bytes(r))
        return false;
    struct byteranges_from from = {
        .fd = memory ? -1 : r->fd,
        .at = memory ? 0 : r->offset,
        .bytes = memory ? r->bytes : str_of(NULL, 0),
        .size = (uint64_t)length,
        .release = r->release,
        .arg = r->release_arg,
    };
    struct str of_parts =
        j->f->has & FIELDS_TYPE ? fields_find(j->f, STR("Content-Type")) : r->default_type;
    int64_t total;
    struct body_source *source = byteranges_new(&from, s->ranges, s->n, of_parts, type, &total);
    if (!source)
        return false;
    fields_remove(j->f, STR("Content-Type"));
    add(j->f, STR("Content-Type"), str_z(type));
    r->body = BODY_SOURCE;
    r->source = source;
    r->length = total;
    r->release = NULL;
    return true;
}

// --- what was selected ---

static void become_not_modified(struct job *j, const struct selection *s)
{
    remove_content(j->f);
    replace_tag(j->f, s);
    if (j->f->has & FIELDS_ETAG)
        fields_remove(j->f, STR("Last-Modified"));
    drop_body(j->r);
    j->r->status = 304;
}

static void become_empty(struct job *j, unsigned status)
{
    remove_content(j->f);
    remove_validators(j->f);
    drop_body(j->r);
    j->f->length = -1;
    j->r->status = status;
}

static bool take_form(struct job *j, enum coding c)
{
    const struct fit_content *content = j->content;
    return content && (content->ready & 1u << c) && content->form(content->arg, c, j->r);
}

static bool can_make(const struct job *j, enum coding c)
{
    return j->o->codings.offered & 1u << c;
}

static void become_coded(struct job *j, const struct selection *s)
{
    if (!has_room(j->f) ||
        (!take_form(j, s->coding) && (!can_make(j, s->coding) || !code_body(j, s->coding))))
        return;
    replace_tag(j->f, s);
    add(j->f, STR("Content-Encoding"), coding_name(s->coding));
}

static void become_partial(struct job *j, const struct selection *s, int64_t length)
{
    bool one = s->n == 1;
    if ((j->r->body != BODY_BYTES && j->r->body != BODY_FILE) || !has_room(j->f))
        return;
    if (one ? serve_range(j, s, length) : serve_ranges(j, s, length))
        j->r->status = 206;
}

static void apply(struct job *j, const struct selection *s, int64_t length)
{
    switch (s->status) {
    case 304:
        become_not_modified(j, s);
        break;
    case 206:
        become_partial(j, s, length);
        break;
    case 412:
        become_empty(j, 412);
        return;
    case 416:
        become_empty(j, 416);
        add_content_range(j->f, NULL, (uint64_t)length);
        return;
    default:
        if (s->coding != CODING_IDENTITY)
            become_coded(j, s);
    }
    if (s->vary)
        add_vary(j->f);
}

// --- looking at the answer ---

static struct representation describe(const struct job *j, int64_t length, int64_t now, bool dates)
{
    const struct fields *f = j->f;
    struct representation rep = {
        .validators = {.last_modified = -1, .now = now},
        .length = length,
        .content_type =
            f->has & FIELDS_TYPE ? fields_find(f, STR("Content-Type")) : j->r->default_type,
        .coded = f->has & FIELDS_ENCODING,
        .ready = j->content ? j->content->ready : 0,
    };
    rep.no_coding = j->o->codings.offered == 0 && rep.ready == 0;
    if (f->has & FIELDS_ETAG)
        rep.validators.etag = fields_find(f, STR("ETag"));
    if (f->has & FIELDS_CACHE_CONTROL)
        rep.cache_control = fields_find(f, STR("Cache-Control"));
    int64_t modified;
    if (dates && (f->has & FIELDS_LAST_MODIFIED) &&
        date_parse(fields_find(f, STR("Last-Modified")), now, &modified))
        rep.validators.last_modified = modified;
    return rep;
}

// Answers that have no conditions and no ranges: they may be coded, no more.
static void choose_coding(const struct job *j, const struct representation *rep,
                          struct selection *out)
{
    struct coding_query q = {
        .accept_encoding = request_fields(j->request, STR("Accept-Encoding"), j->a),
        .content_type = rep->content_type,
        .cache_control = rep->cache_control,
        .length = rep->length,
        .status = j->r->status,
        .coded = rep->coded,
        .disabled = rep->no_coding,
        .ready = rep->ready,
    };
    struct coding_choice choice = coding_choose(&q, &j->o->codings);
    out->status = 200; // the answer's own stays
    out->coding = choice.coding;
    out->vary = choice.vary;
    out->etag = rep->validators.etag;
    if (out->coding != CODING_IDENTITY && out->etag.n) {
        size_t n = coding_tag(out->etag, out->coding, out->tag, sizeof out->tag);
        out->etag = str_of(out->tag, n);
    }
}

void fit_response(struct http_response *r, struct fields *f, const struct http_request *request,
                  struct arena *a, int64_t now, const struct fit_options *o,
                  const struct fit_content *content)
{
    struct job j = {r, f, request, a, o, content};
    int64_t length = body_length(&j);
    bool gets = r->status == 200 && (request->method == HTTP_GET || request->method == HTTP_HEAD);
    unsigned asks = gets ? selection_asks(request) : 0;
    bool due = asks & SELECTION_ASKS;
    bool small =
        length >= 0 && (uint64_t)length < o->codings.min_bytes && !(content && content->ready);
    if (status_bodiless(r->status) || r->status == 206 || (!due && small))
        return;
    if (!due && content && *content->varies) { // what most requests for files come to
        if (*content->varies == FIT_VARIES)
            add_vary(f);
        return;
    }
    struct representation rep = describe(&j, length, now, asks & SELECTION_DATES);
    struct selection s; // not initialised as a whole: it is large
    if (due)
        selection_make(&rep, request, &o->codings, a, &s);
    else
        choose_coding(&j, &rep, &s);
    if (!due && content)
        *content->varies = s.vary ? FIT_VARIES : FIT_SAME;
    apply(&j, &s, length);
}

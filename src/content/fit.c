// Fitting: see the header. What is decided comes from content/selection; here it is done to the
// fields and the body, whose coded forms are fit_body.c's.
#include "content/fit_inside.h"

#include "content/byteranges.h"
#include "content/selection.h"
#include "http/date.h"
#include "http/status.h"

#include <stdio.h>
#include <string.h>

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
        fields_add_lines(f, STR("Vary: Accept-Encoding\r\n"), FIELDS_VARY);
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
    if (!s->etag.n || !fields_replace(f, STR("ETag"), s->etag))
        fields_remove(f, STR("ETag"));
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
static void copy_short(struct fit_job *j)
{
    struct http_response *r = j->r;
    char *p;
    if (r->body != BODY_FILE || r->length > FIT_COPY || !(p = arena_alloc(j->a, (size_t)r->length)))
        return;
    if (!fit_read_file(r->fd, r->offset, p, (size_t)r->length))
        return;
    struct str bytes = str_of(p, (size_t)r->length);
    struct str type = r->default_type;
    fit_drop_body(r);
    r->body = BODY_BYTES;
    r->bytes = bytes;
    r->default_type = type;
}

static bool serve_range(struct fit_job *j, const struct selection *s, int64_t length)
{
    if (!add_content_range(j->f, &s->ranges[0], (uint64_t)length))
        return false;
    slice(j->r, &s->ranges[0]);
    copy_short(j);
    return true;
}

static bool serve_ranges(struct fit_job *j, const struct selection *s, int64_t length)
{
    struct http_response *r = j->r;
    char type[BYTERANGES_TYPE];
    bool memory = r->body == BODY_BYTES;
    if (!fit_own_bytes(r))
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

static void become_not_modified(struct fit_job *j, const struct selection *s)
{
    remove_content(j->f);
    replace_tag(j->f, s);
    if (j->f->has & FIELDS_ETAG)
        fields_remove(j->f, STR("Last-Modified"));
    fit_drop_body(j->r);
    j->r->status = 304;
}

static void become_empty(struct fit_job *j, unsigned status)
{
    remove_content(j->f);
    remove_validators(j->f);
    fit_drop_body(j->r);
    j->f->length = -1;
    j->r->status = status;
}

static bool take_form(struct fit_job *j, enum coding c)
{
    const struct fit_content *content = j->content;
    return content && (content->ready & 1u << c) && content->form(content->arg, c, j->r);
}

static bool can_make(const struct fit_job *j, enum coding c)
{
    return j->o->codings.offered & 1u << c;
}

static const struct str coding_lines[CODINGS] = {
    [CODING_GZIP] = STR("Content-Encoding: gzip\r\n"),
    [CODING_BROTLI] = STR("Content-Encoding: br\r\n"),
    [CODING_ZSTD] = STR("Content-Encoding: zstd\r\n"),
};

static void say_coded(struct fit_job *j, const struct selection *s)
{
    replace_tag(j->f, s);
    fields_add_lines(j->f, coding_lines[s->coding], FIELDS_ENCODING);
}

static void become_coded(struct fit_job *j, const struct selection *s)
{
    if (!has_room(j->f) ||
        (!take_form(j, s->coding) && (!can_make(j, s->coding) || !fit_code_body(j, s->coding))))
        return;
    say_coded(j, s);
}

static void become_partial(struct fit_job *j, const struct selection *s, int64_t length)
{
    bool one = s->n == 1;
    if ((j->r->body != BODY_BYTES && j->r->body != BODY_FILE) || !has_room(j->f))
        return;
    if (one ? serve_range(j, s, length) : serve_ranges(j, s, length))
        j->r->status = 206;
}

static void apply(struct fit_job *j, const struct selection *s, int64_t length)
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

static struct representation describe(const struct fit_job *j, int64_t length, int64_t now,
                                      bool dates)
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

static struct str asked_coding(const struct fit_job *j)
{
    return request_fields(j->request, STR("Accept-Encoding"), j->a);
}

// Answers that have no conditions and no ranges: they may be coded, no more.
static void choose_coding(const struct fit_job *j, const struct representation *rep,
                          struct selection *out)
{
    struct coding_query q = {
        .accept_encoding = asked_coding(j),
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

// --- what is known already ---

static void write_note(const struct fit_job *j, const struct selection *s)
{
    struct fit_note *note = j->content->note;
    struct str field = asked_coding(j);
    if (field.n == 0 || field.n > sizeof note->field)
        return;
    *note = (struct fit_note){
        .n = (unsigned char)field.n, .coding = (unsigned char)s->coding, .vary = s->vary};
    memcpy(note->field, field.p, field.n);
}

bool fit_from_note(struct http_response *r, struct fields *f, const struct http_request *request,
                   struct arena *a, const struct fit_options *o, const struct fit_content *content)
{
    struct fit_job j = {r, f, request, a, o, content};
    const struct fit_note *note = content->note;
    if (!note || !note->n || selection_asks(request) != SELECTION_CODING ||
        !str_eq(asked_coding(&j), str_of(note->field, note->n)))
        return false;
    enum coding c = (enum coding)note->coding;
    if (c == CODING_IDENTITY) {
        if (r->body != BODY_BYTES)
            return false;
    } else {
        if (!has_room(f) || (!take_form(&j, c) && !fit_lend_kept_form(&j, c)))
            return false;
        struct selection s;
        selection_use_coding(&s, content->etag, c);
        say_coded(&j, &s);
    }
    if (note->vary)
        add_vary(f);
    return true;
}

void fit_response(struct http_response *r, struct fields *f, const struct http_request *request,
                  struct arena *a, int64_t now, const struct fit_options *o,
                  const struct fit_content *content)
{
    struct fit_job j = {r, f, request, a, o, content};
    int64_t length = fit_body_length(&j);
    bool gets = r->status == 200 && (request->method == HTTP_GET || request->method == HTTP_HEAD);
    unsigned asks = gets ? selection_asks(request) : 0;
    bool due = asks != 0;
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
    else if (asks == SELECTION_CODING && content && content->note)
        write_note(&j, &s);
    apply(&j, &s, length);
}

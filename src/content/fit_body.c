// The bodies of answers that are fitted: lent, owned, coded, kept.
#include "content/fit_inside.h"

#include "content/coding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// --- the body ---

// The body is not sent: what lends it gets it back.
void fit_drop_body(struct http_response *r)
{
    if (r->body == BODY_SOURCE)
        r->source->ops->close(r->source);
    if (r->release)
        r->release(r->release_arg);
    r->body = BODY_NONE;
    r->release = NULL;
    r->default_type = STR("");
}

int64_t fit_body_length(const struct fit_job *j)
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

bool fit_read_file(int fd, off_t at, char *dst, size_t n)
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
bool fit_own_bytes(struct http_response *r)
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
    struct bytes_source *b = fit_own_bytes(r) ? malloc(sizeof *b) : NULL;
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
static bool code_stream(struct fit_job *j, enum coding c, const struct coding_tee *tee)
{
    struct http_response *r = j->r;
    int64_t length = fit_body_length(j);
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

static size_t content_key(const struct fit_content *content, enum coding c,
                          char key[static FORM_KEY])
{
    const uint64_t head[] = {(uint64_t)c, content->root};
    struct str tag = content->etag;
    if (!tag.n || tag.n > FORM_KEY - sizeof head) // cut, it would be no name
        return 0;
    memcpy(key, head, sizeof head);
    memcpy(key + sizeof head, tag.p, tag.n);
    return sizeof head + tag.n;
}

// What names a form: the coding; and what the caller says of the content, or a file's state and the
// part of it that is sent. Its length; 0: it has no name.
static size_t form_key(const struct fit_job *j, enum coding c, char key[static FORM_KEY])
{
    const struct http_response *r = j->r;
    struct stat st;
    if (!j->o->forms)
        return 0;
    if (j->content)
        return content_key(j->content, c, key);
    if (r->body != BODY_FILE || fstat(r->fd, &st) != 0)
        return 0;
    const uint64_t state[] = {
        (uint64_t)c,          (uint64_t)st.st_dev,         (uint64_t)st.st_ino,
        (uint64_t)st.st_size, (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec,
        (uint64_t)r->offset,  (uint64_t)r->length};
    memcpy(key, state, sizeof state);
    return sizeof state;
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

static bool code_and_keep(struct fit_job *j, enum coding c, struct str key)
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
static bool code_whole(struct fit_job *j, enum coding c, struct str bytes, struct str key)
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

static bool code_small_file(struct fit_job *j, enum coding c, struct str key)
{
    size_t n = (size_t)j->r->length;
    char *text = malloc(n + !n);
    bool ok = text && fit_read_file(j->r->fd, j->r->offset, text, n) &&
              code_whole(j, c, str_of(text, n), key);
    free(text);
    return ok;
}

static bool code_content(struct fit_job *j, enum coding c, int64_t length)
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

bool fit_code_body(struct fit_job *j, enum coding c)
{
    switch (j->r->body) {
    case BODY_BYTES:
    case BODY_FILE:
        return code_content(j, c, fit_body_length(j));
    case BODY_SOURCE:
        return code_stream(j, c, NULL);
    case BODY_NONE: // to HEAD, by a handler that knew what GET would have
        j->f->length = -1;
        return true;
    }
    return false;
}

bool fit_lend_kept_form(struct fit_job *j, enum coding c)
{
    char key[FORM_KEY];
    size_t n = j->o->forms ? content_key(j->content, c, key) : 0;
    const struct form *form = n ? forms_get(j->o->forms, str_of(key, n)) : NULL;
    return form && lend_form(j->r, form);
}

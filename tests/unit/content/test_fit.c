// Fitting, with real bodies: every kind of body against methods, conditions, ranges and codings, and
// what is left of the answer when the n-th allocation fails. Allocations of the whole program are
// refused and counted (the Makefile links this test with --wrap); zlib's come from there too.
#include "content/fit.h"

#include "content/coding.h"
#include "content/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static long fail_at = -1; // the allocation with this number fails; -1: none
static bool later_too;    // and all that follow
static long made, live;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static bool refused(void)
{
    long i = made++;
    return fail_at >= 0 && (i == fail_at || (later_too && i > fail_at));
}

static void *count_in(void *p)
{
    live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return refused() ? NULL : count_in(__real_malloc(n));
}

void *__wrap_calloc(size_t count, size_t n)
{
    return refused() ? NULL : count_in(__real_calloc(count, n));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (refused())
        return NULL;
    void *q = __real_realloc(p, n);
    live += q && !p;
    return q;
}

void __wrap_free(void *p)
{
    live -= p != NULL;
    __real_free(p);
}

// --- the content, and the kinds of body that hold it ---

enum { TINY = 100, MEDIUM = 5000, LARGE = FIT_WHOLE + 20000, FILE_AT = 100, MIN_BYTES = 256 };

static char content[LARGE]; // of every size, the first bytes of it
static char shared[LARGE];  // bytes that are good only during the call
static int file;            // content at FILE_AT

enum kind { LENT, SHARED, FILE_RANGE, SOURCE, SOURCE_UNKNOWN, KINDS };
static const char *const kind_names[] = {"lent", "shared", "file", "source", "unknown source"};

static int lent, released;

static void give_back(void *arg)
{
    released++;
    if (arg) // a descriptor
        assert_int_equal(close((int)(intptr_t)arg), 0);
}

static void set_body(struct http_response *r, enum kind kind, size_t size)
{
    int fd = kind >= FILE_RANGE ? dup(file) : -1;
    r->release = kind == SHARED ? NULL : give_back;
    r->release_arg = fd >= 0 ? (void *)(intptr_t)fd : NULL;
    lent += kind != SHARED;
    if (kind == LENT || kind == SHARED) {
        if (kind == SHARED)
            memcpy(shared, content, size);
        r->body = BODY_BYTES;
        r->bytes = str_of(kind == SHARED ? shared : content, size);
        return;
    }
    r->length = kind == SOURCE_UNKNOWN ? -1 : (int64_t)size;
    r->body = kind == FILE_RANGE ? BODY_FILE : BODY_SOURCE;
    if (kind == FILE_RANGE) {
        r->fd = fd;
        r->offset = FILE_AT;
        return;
    }
    r->source = coding_file_source(fd, FILE_AT, (int64_t)size, r->release, r->release_arg);
    r->release = NULL;
}

// --- what is asked ---

// What a condition says of a representation with the tag "v", or coded "v-gzip", of 1994.
enum saying { GO, GO_PLAIN, NOT_MODIFIED, FAILED };
static const struct condition {
    const char *name, *value;
    enum saying plain, coded; // GO_PLAIN: goes on, with the identity form if that is welcome
} conditions[] = {
    {NULL, NULL, GO, GO},
    {"If-None-Match", "\"v\"", NOT_MODIFIED, NOT_MODIFIED},
    {"If-None-Match", "W/\"x\", \"v-gzip\"", GO, NOT_MODIFIED},
    {"If-None-Match", "*", NOT_MODIFIED, NOT_MODIFIED},
    {"If-None-Match", "\"x\"", GO, GO},
    {"If-Match", "\"v\"", GO, GO_PLAIN},
    {"If-Match", "\"x\"", FAILED, FAILED},
    {"If-Match", "\"v-gzip\"", FAILED, GO},
    {"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", NOT_MODIFIED, NOT_MODIFIED},
    {"If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", GO, GO},
    {"If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", FAILED, FAILED},
};

static const struct range {
    const char *value, *if_range;
    unsigned n; // 0: ignored
    long first, last;
} ranges[] = {
    {NULL, NULL, 0, 0, 0},
    {"bytes=0-9", NULL, 1, 0, 9},
    {"bytes=10-", NULL, 1, 10, -1}, // last and first: from the end when negative
    {"bytes=-5", NULL, 1, -5, -1},
    {"bytes=0-1,20-22", NULL, 2, 0, 22},
    {"bytes=9999999-", NULL, 1, 9999999, -1},
    {"bytes=9-0", NULL, 0, 0, 0},
    {"bytes=0-9", "\"v\"", 1, 0, 9},
    {"bytes=0-9", "\"x\"", 0, 0, 0},
    {"bytes=0-9", "\"v-gzip\"", 0, 0, 0},
};

static const struct accepts {
    const char *value;
    bool gzip, identity;
} codings[] = {
    {NULL, false, true},
    {"gzip", true, true},
    {"gzip;q=0, br", false, true},
    {"identity;q=0, gzip", true, false},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

struct question {
    enum http_method method;
    enum kind kind;
    size_t size;
    const struct condition *condition;
    const struct range *range;
    const struct accepts *accepts;
};

static void say_question(const struct question *q)
{
    print_error("%s of %zu bytes (%s), %s: %s, Range: %s, If-Range: %s, Accept-Encoding: %s, "
                "allocation %ld%s\n",
                q->method == HTTP_GET    ? "GET"
                : q->method == HTTP_HEAD ? "HEAD"
                                         : "POST",
                q->size, kind_names[q->kind], q->condition->name, q->condition->value,
                q->range->value, q->range->if_range, q->accepts->value, fail_at,
                later_too ? " and later" : "");
}

#define CHECK(q, condition)                  \
    do {                                     \
        if (!(condition)) {                  \
            say_question(q);                 \
            fail_msg("not: %s", #condition); \
        }                                    \
    } while (0)

// --- what should be answered ---

struct expected {
    unsigned status;
    bool coded;
};

static bool range_counts(const struct question *q)
{
    return q->method == HTTP_GET && q->kind != SOURCE_UNKNOWN && q->range->n;
}

static struct expected expect(const struct question *q)
{
    bool worth = q->kind == SOURCE_UNKNOWN || q->size >= MIN_BYTES;
    bool ranged = range_counts(q), identity = q->accepts->identity;
    bool coded = q->accepts->gzip && ((worth && !ranged) || !identity);
    if (q->method == HTTP_POST)
        return (struct expected){200, q->accepts->gzip && worth};
    enum saying says = coded ? q->condition->coded : q->condition->plain;
    if (says == GO_PLAIN && identity)
        coded = false;
    else if (says == GO_PLAIN)
        says = FAILED;
    // The tag of a form that the client has and does not take says nothing.
    if (coded && !identity && q->condition->value && strcmp(q->condition->value, "\"v\"") == 0 &&
        says == NOT_MODIFIED)
        says = GO;
    if (says == NOT_MODIFIED || says == FAILED)
        return (struct expected){says == FAILED ? 412 : 304, false};
    // A source's ranges are not cut out of it.
    if (ranged && !coded && q->kind != SOURCE)
        return (struct expected){q->range->first >= (long)q->size ? 416 : 206, false};
    if (ranged && !coded && q->range->first >= (long)q->size)
        return (struct expected){416, false};
    return (struct expected){200, coded};
}

// --- what is answered ---

struct outcome {
    unsigned status;
    bool coded, partial, broken; // broken: the body failed while it was sent
    struct fields fields;
    struct buf body;
};

static struct str field(const struct outcome *o, const char *name)
{
    return fields_find(&o->fields, str_z(name));
}

static void read_source(struct http_response *r, struct outcome *o)
{
    for (unsigned pulls = 0; !o->broken; pulls++) {
        struct str piece = {NULL, 0};
        enum body_pull got = r->source->ops->pull(r->source, &piece);
        assert_true(pulls < 10000);
        if (got == BODY_END)
            break;
        assert_true(got == BODY_SOME || got == BODY_FAILED);
        o->broken = got == BODY_FAILED || !buf_add(&o->body, piece);
    }
    if (!o->broken && r->length >= 0)
        assert_int_equal(o->body.n, r->length);
}

// The body as the connection would take it, and all that was lent given back.
static void take_body(struct http_response *r, bool head, struct outcome *o)
{
    if (r->body == BODY_SOURCE) {
        memset(shared, '!', sizeof shared); // it is pulled after the call
        if (!head)
            read_source(r, o);
        r->source->ops->close(r->source);
    } else if (r->body == BODY_BYTES && !head) {
        o->broken = !buf_add(&o->body, r->bytes);
    } else if (r->body == BODY_FILE && !head) {
        char *room = buf_room(&o->body, (size_t)r->length);
        o->broken = !room;
        if (room) {
            assert_int_equal(pread(r->fd, room, (size_t)r->length, r->offset), r->length);
            buf_added(&o->body, (size_t)r->length);
        }
    }
    if (r->release)
        r->release(r->release_arg);
}

static unsigned add_field(struct http_field *fields, unsigned n, const char *name,
                          const char *value)
{
    if (value)
        fields[n++] = (struct http_field){str_z(name), str_z(value)};
    return n;
}

// Fills what memory the fields have, so that each further one needs more.
static void pad(struct fields *f)
{
    char text[1024];
    size_t n = f->lines.cap - f->lines.n - strlen("X-Pad: \r\n") - 1;
    assert_true(n < sizeof text);
    memset(text, 'x', n);
    fields_add(f, STR("X-Pad"), str_of(text, n));
}

static struct forms *forms; // NULL: coded anew each time

static void ask(const struct question *q, struct outcome *o)
{
    struct http_field fields[4];
    unsigned n = 0;
    long fails = fail_at;
    fail_at = -1;
    *o = (struct outcome){.status = 0};
    fields_init(&o->fields);
    buf_init(&o->body, 4 * LARGE);
    fields_add(&o->fields, STR("Content-Type"), STR("text/plain"));
    fields_add(&o->fields, STR("ETag"), STR("\"v\""));
    fields_add(&o->fields, STR("Last-Modified"), STR("Sun, 06 Nov 1994 08:49:37 GMT"));
    pad(&o->fields);
    n = add_field(fields, n, q->condition->name, q->condition->value);
    n = add_field(fields, n, "Range", q->range->value);
    n = add_field(fields, n, "If-Range", q->range->if_range);
    n = add_field(fields, n, "Accept-Encoding", q->accepts->value);
    struct http_request request = {.method = q->method, .fields = fields, .field_count = n};
    struct http_response r = {.status = 200, .fields = &o->fields};
    struct fit_options options = {
        .codings = {.offered = 1u << CODING_GZIP, .level = 1, .min_bytes = MIN_BYTES},
        .forms = forms,
    };
    struct arena a;
    arena_init(&a, 1 << 20);
    set_body(&r, q->kind, q->size);
    fail_at = fails;
    made = 0;
    fit_response(&r, &o->fields, &request, &a, 1700000000, &options, NULL);
    o->status = r.status;
    o->coded = (o->fields.has & FIELDS_ENCODING) != 0;
    take_body(&r, q->method == HTTP_HEAD, o);
    arena_fini(&a);
}

static void forget(struct outcome *o)
{
    fields_fini(&o->fields);
    buf_fini(&o->body);
}

// --- whether it is right ---

static bool is_slice(struct str bytes, size_t first)
{
    return bytes.n == 0 ||
           (first + bytes.n <= sizeof content && memcmp(bytes.p, content + first, bytes.n) == 0);
}

static bool content_range_is(struct str value, size_t first, size_t last, size_t size)
{
    char text[80];
    snprintf(text, sizeof text, "bytes %zu-%zu/%zu", first, last, size);
    return str_eq(value, str_z(text));
}

static void check_parts(const struct question *q, struct outcome *o)
{
    static const char *const heads[] = {"Content-Range: bytes 0-1/", "Content-Range: bytes 20-22/"};
    static const size_t first[] = {0, 20}, n[] = {2, 3};
    char *at = o->body.p;
    CHECK(q, str_starts(field(o, "Content-Type"), STR("multipart/byteranges; boundary=")));
    CHECK(q, buf_addc(&o->body, '\0'));
    at = o->body.p;
    for (int i = 0; i < 2; i++) {
        at = memmem(at, o->body.n - (size_t)(at - o->body.p), heads[i], strlen(heads[i]));
        CHECK(q, at && (at = strstr(at, "\r\n\r\n")));
        CHECK(q, is_slice(str_of(at + 4, n[i]), first[i]));
        CHECK(q, memcmp(at + 4 + n[i], "\r\n--", 4) == 0);
    }
}

static void check_partial(const struct question *q, struct outcome *o)
{
    long size = (long)q->size;
    CHECK(q, range_counts(q) && !o->coded);
    if (q->range->n > 1) {
        check_parts(q, o);
        return;
    }
    long first = q->range->first < 0 ? size + q->range->first : q->range->first;
    long last = q->range->last < 0 ? size - 1 : q->range->last;
    CHECK(q, content_range_is(field(o, "Content-Range"), (size_t)first, (size_t)last, q->size));
    CHECK(q, o->body.n == (size_t)(last - first + 1));
    CHECK(q, is_slice(buf_str(&o->body), (size_t)first));
}

static void check_coded(const struct question *q, const struct outcome *o)
{
    struct buf plain;
    CHECK(q, q->accepts->gzip && str_eq(field(o, "Content-Encoding"), STR("gzip")));
    CHECK(q, !(o->fields.has & FIELDS_ETAG) || str_eq(field(o, "ETag"), STR("\"v-gzip\"")));
    CHECK(q, str_eq(field(o, "Vary"), STR("Accept-Encoding")));
    if (q->method == HTTP_HEAD)
        return;
    buf_init(&plain, 2 * LARGE);
    CHECK(q, gzip_unpack(buf_str(&o->body), &plain) == GZIP_WHOLE);
    CHECK(q, plain.n == q->size && is_slice(buf_str(&plain), 0));
    buf_fini(&plain);
}

// Whatever was answered says of itself what it is.
static void check_outcome(const struct question *q, struct outcome *o)
{
    bool has_range = field(o, "Content-Range").n > 0;
    if (o->broken)
        return; // the connection would be cut
    if (o->status == 206) {
        CHECK(q, str_eq(field(o, "ETag"), STR("\"v\"")));
        check_partial(q, o);
    } else if (o->status == 200 && o->coded) {
        CHECK(q, !has_range);
        check_coded(q, o);
    } else if (o->status == 200) {
        CHECK(q, !has_range && str_eq(field(o, "ETag"), STR("\"v\"")));
        CHECK(q, str_eq(field(o, "Content-Type"), STR("text/plain")));
        CHECK(q, o->body.n == (q->method == HTTP_HEAD ? 0 : q->size));
        CHECK(q, is_slice(buf_str(&o->body), 0));
    } else {
        CHECK(q, o->status == 304 || o->status == 412 || o->status == 416);
        CHECK(q, o->body.n == 0 && !o->coded && !(o->fields.has & FIELDS_TYPE));
        CHECK(q, o->status == 304 || !(o->fields.has & FIELDS_ETAG));
    }
}

static void check_whole(const struct question *q)
{
    struct outcome o;
    ask(q, &o);
    struct expected e = expect(q);
    if (o.status != e.status || o.coded != e.coded)
        print_error("%u%s where %u%s is right\n", o.status, o.coded ? " coded" : "", e.status,
                    e.coded ? " coded" : "");
    CHECK(q, !o.broken && o.status == e.status && o.coded == e.coded);
    check_outcome(q, &o);
    if (o.status == 416)
        CHECK(q, str_starts(field(&o, "Content-Range"), STR("bytes */")));
    forget(&o);
    CHECK(q, lent == released);
}

// --- the tests ---

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/test_fit.XXXXXX";
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char)('a' + (i * 7 + i / 26 + i / 1000) % 26);
    file = mkstemp(name);
    unlink(name);
    return pwrite(file, content, sizeof content, FILE_AT) == sizeof content ? 0 : -1;
}

typedef void visit_fn(const struct question *q);

static void each_header(struct question q, bool all, visit_fn *visit)
{
    for (size_t i = 0; i < COUNT(conditions); i++)
        for (size_t j = 0; j < COUNT(ranges); j++)
            for (size_t k = 0; k < COUNT(codings); k++) {
                if (!all && (i > 6 || i == 2 || i == 3 || (j > 1 && j != 4) || k == 2))
                    continue;
                q.condition = &conditions[i];
                q.range = &ranges[j];
                q.accepts = &codings[k];
                visit(&q);
            }
}

static void each_question(const size_t *sizes, size_t n, bool all, visit_fn *visit)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST};
    for (size_t m = 0; m < COUNT(methods); m++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (size_t i = 0; i < n; i++)
                each_header((struct question){methods[m], kind, sizes[i], 0, 0, 0}, all, visit);
}

static void every_question_gets_its_answer(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {TINY, MEDIUM}, large[] = {LARGE};
    each_question(sizes, 2, true, check_whole);
    each_question(large, 1, false, check_whole);
}

static void answers_from_kept_forms_are_the_same(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {MEDIUM, LARGE};
    forms = forms_new(1 << 20);
    for (int i = 0; i < 2; i++)
        each_question(sizes, 2, false, check_whole);
    forms_free(forms);
    forms = NULL;
}

static unsigned refusals;

// The n-th allocation fails, for every n; then it and all after it.
static void check_without_memory(const struct question *q)
{
    bool failed = true;
    for (long n = 0; failed; n++) {
        struct outcome o;
        long before = live;
        struct forms *kept = forms;
        forms = kept ? forms_new(1 << 20) : NULL;
        fail_at = n;
        ask(q, &o);
        failed = made > n;
        refusals += failed;
        fail_at = -1;
        check_outcome(q, &o);
        forget(&o);
        coding_fini();
        forms_free(forms);
        forms = kept;
        CHECK(q, lent == released && live == before);
        assert_true(n < 200);
    }
}

static void without_memory_it_is_right_or_nothing(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {MEDIUM}, large[] = {LARGE};
    int first_free = dup(0);
    close(first_free);
    coding_fini();
    for (int i = 0; i < 4; i++) {
        later_too = i & 1;
        forms = i & 2 ? forms_new(1 << 10) : NULL;
        each_question(sizes, 1, false, check_without_memory);
        each_question(large, 1, false, check_without_memory);
        forms_free(forms);
    }
    forms = NULL;
    later_too = false;
    int free_now = dup(0);
    close(free_now);
    assert_int_equal(free_now, first_free); // no descriptor was left open
    assert_true(refusals > 5000);
    print_message("%u allocations were refused\n", refusals);
}

// A handler that answers HEAD by itself says how long GET's body would be.
static void head_without_a_body_is_told_the_same(void **unused)
{
    (void)unused;
    static const struct {
        const char *length, *accepts, *none_match;
        unsigned status;
        bool coded;
    } cases[] = {
        {"5000", NULL, NULL, 200, false},       {"5000", "gzip", NULL, 200, true},
        {"100", "gzip", NULL, 200, false},      {NULL, "gzip", NULL, 200, true},
        {"5000", "gzip", "\"v\"", 304, false},  {"5000", NULL, "\"v\"", 304, false},
        {"5000", "gzip;q=0", NULL, 200, false}, {"5000", "gzip", "\"x\"", 200, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_field asks[2];
        unsigned n = add_field(asks, 0, "Accept-Encoding", cases[i].accepts);
        n = add_field(asks, n, "If-None-Match", cases[i].none_match);
        struct http_request request = {.method = HTTP_HEAD, .fields = asks, .field_count = n};
        struct fit_options options = {
            .codings = {.offered = 1u << CODING_GZIP, .level = 1, .min_bytes = MIN_BYTES}};
        struct fields f;
        struct arena a;
        fields_init(&f);
        arena_init(&a, 1 << 20);
        fields_add(&f, STR("Content-Type"), STR("text/plain"));
        fields_add(&f, STR("ETag"), STR("\"v\""));
        if (cases[i].length)
            fields_add(&f, STR("Content-Length"), str_z(cases[i].length));
        struct http_response r = {.status = 200, .fields = &f};
        fit_response(&r, &f, &request, &a, 1700000000, &options, NULL);
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal((f.has & FIELDS_ENCODING) != 0, cases[i].coded);
        assert_true(r.body == BODY_NONE);
        if (cases[i].coded) {
            assert_int_equal(f.length, -1); // nobody knows before it is coded
            assert_true(str_eq(fields_find(&f, STR("ETag")), STR("\"v-gzip\"")));
        }
        fields_fini(&f);
        arena_fini(&a);
    }
}

// Fields that fill their maximum leave no room for what a coding or a range has to say: a body was
// then coded, or cut out, without a word.
static void fields_without_room_leave_the_body_as_it_is(void **unused)
{
    (void)unused;
    static char filler[FIELDS_MAX];
    memset(filler, 'x', sizeof filler);
    for (size_t room = 0; room < 600; room += 7) {
        for (size_t i = 0; i < 3; i++) {
            struct http_field asks[] = {{STR("Accept-Encoding"), STR("gzip")},
                                        {STR("Range"), STR("bytes=0-9")},
                                        {STR("Range"), STR("bytes=0-1,20-22")}};
            struct http_request request = {.fields = &asks[i], .field_count = 1};
            struct fit_options options = {
                .codings = {.offered = 1u << CODING_GZIP, .level = 1, .min_bytes = MIN_BYTES}};
            struct outcome o = {.status = 0};
            struct arena a;
            request.method = HTTP_GET;
            fields_init(&o.fields);
            buf_init(&o.body, 4 * LARGE);
            arena_init(&a, 1 << 20);
            fields_add(&o.fields, STR("Content-Type"), STR("text/plain"));
            fields_add(&o.fields, STR("ETag"), STR("\"v\""));
            size_t left = FIELDS_MAX - o.fields.lines.n - strlen("X: \r\n") - room;
            assert_int_equal(fields_add(&o.fields, STR("X"), str_of(filler, left)), FIELDS_OK);
            struct http_response r = {.status = 200, .fields = &o.fields};
            set_body(&r, LENT, MEDIUM);
            fit_response(&r, &o.fields, &request, &a, 1700000000, &options, NULL);
            o.status = r.status;
            o.coded = o.fields.has & FIELDS_ENCODING;
            take_body(&r, false, &o);
            struct question q = {HTTP_GET,        LENT, MEDIUM, conditions, &ranges[i == 2 ? 4 : i],
                                 &codings[i == 0]};
            if (o.coded || o.status == 206 || room < 20)
                check_outcome(&q, &o);
            CHECK(&q, o.coded || o.status == 206 ||
                          (o.body.n == MEDIUM && is_slice(buf_str(&o.body), 0)));
            forget(&o);
            arena_fini(&a);
        }
    }
    assert_int_equal(lent, released);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_question_gets_its_answer),
        cmocka_unit_test(answers_from_kept_forms_are_the_same),
        cmocka_unit_test(without_memory_it_is_right_or_nothing),
        cmocka_unit_test(head_without_a_body_is_told_the_same),
        cmocka_unit_test(fields_without_room_leave_the_body_as_it_is),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

// Drives the HTTP/1 parser like a connection would: head, body, next head …, over a stream of bytes
// that arrives in pieces, and writes down what came out. Two transcripts of the same stream must be
// equal, however it was cut. The fuzz entry and test_h1_split.c share it.
//
// What the parser promises is asserted on the way. Under ASan the bytes that have not arrived are
// poisoned, so a look ahead stops the program.
#ifndef LUNETTE_TESTS_H1_DRIVER_H
#define LUNETTE_TESTS_H1_DRIVER_H

#include "http/h1_parse.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define H1_DRIVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(H1_DRIVE_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

// What reads a chunked body; the fuzz entry puts a planted bug here to see that it is found.
#ifndef H1_DRIVE_CHUNKED
#define H1_DRIVE_CHUNKED h1_chunked_parse
#endif

enum {
    H1_DRIVE_SLACK = 64, // bytes of room that the stream's buffer has behind its end
    H1_DRIVE_FIELDS = 128,
    H1_DRIVE_EVENTS = 256,
};

enum h1_event_kind { H1_SAW_HEAD, H1_SAW_BODY, H1_SAW_BAD_HEAD, H1_SAW_BAD_BODY, H1_SAW_END };

// All members are 64 bits wide, so that two events can be compared as memory.
struct h1_event {
    uint64_t kind;
    uint64_t at;    // offset in the stream: where it begins, or the bad line or byte
    uint64_t n;     // bytes of it
    uint64_t error; // enum h1_error
    uint64_t what;  // method, version and flags of a head
    uint64_t hash;  // of everything else that came out
};

struct h1_transcript {
    size_t count;
    struct h1_event events[H1_DRIVE_EVENTS];
};

enum h1_phase { H1_IN_HEAD, H1_IN_LENGTH, H1_IN_CHUNKED, H1_OVER };

struct h1_drive {
    struct h1_limits limits;
    struct h1_transcript *out;
    enum h1_phase phase;
    size_t at;      // everything before it is dealt with
    size_t body_at; // where the body began
    uint64_t left;  // of a body with a length
    uint64_t n;     // body bytes so far
    uint64_t hash;  // of the body so far
    struct h1_head head;
    struct h1_chunked chunked;
    struct h1_field fields[H1_DRIVE_FIELDS];
};

// FNV-1a.
#define H1_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t h1_hash(uint64_t hash, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t h1_hash_number(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static inline void h1_emit(struct h1_drive *d, struct h1_event e)
{
    d->out->events[d->out->count++] = e;
    if (d->out->count == H1_DRIVE_EVENTS)
        d->phase = H1_OVER;
}

static inline void h1_expect_span(const struct h1_head *h, struct h1_span s)
{
    assert(s.at <= h->length && s.n <= h->length - s.at);
    assert(s.n == 0 || s.at >= h->skipped);
}

static inline void h1_expect_field(const struct h1_head *h, const char *base, struct h1_field f)
{
    h1_expect_span(h, f.name);
    h1_expect_span(h, f.value);
    struct str value = h1_text(base, f.value);
    assert(h1_is_token(h1_text(base, f.name)));
    assert(h1_is_field_value(value) && str_trim(value).n == value.n);
}

static inline void h1_expect_head(const struct h1_head *h, struct str bytes)
{
    assert(h->length >= 18 && h->length <= bytes.n && h->skipped <= H1_LEAD_MAX);
    assert(h->length - h->skipped <= h->limits.head_bytes);
    assert(memcmp(bytes.p + h->length - 4, "\r\n\r\n", 4) == 0);
    assert(h->field_count <= h->limits.fields && h->method < HTTP_METHODS && h->minor <= 1);
    assert(method_parse(h1_text(bytes.p, h->method_span)) == h->method);
    assert(h->method_span.n == method_name(h->method).n);
    assert(h->target.n > 0 && h->target.n <= h->limits.uri_bytes);
    assert(!(h->chunked && h->has_length) && h->content_length >= 0);
    assert(h->has_length || h->content_length == 0);
    assert(!h->expect_continue || h->minor == 1);
    const struct h1_span spans[] = {h->method_span, h->target, h->host, h->authority, h->origin};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        h1_expect_span(h, spans[i]);
    assert(h1_is_host(h1_text(bytes.p, h->authority)) && h1_is_host(h1_text(bytes.p, h->host)));
    for (uint32_t i = 0; i < h->field_count; i++)
        h1_expect_field(h, bytes.p, h->fields[i]);
}

static inline uint64_t h1_hash_head(const struct h1_head *h, const char *base)
{
    const struct h1_span spans[] = {h->method_span, h->target, h->host, h->authority, h->origin};
    uint64_t hash = h1_hash_number(H1_HASH_START, (uint64_t)h->content_length);
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        hash = h1_hash_number(hash, (uint64_t)spans[i].at << 32 | spans[i].n);
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct h1_field *f = &h->fields[i];
        hash = h1_hash_number(hash, (uint64_t)f->name.at << 32 | f->name.n);
        hash = h1_hash_number(hash, (uint64_t)f->value.at << 32 | f->value.n);
    }
    return h1_hash(hash, str_of(base, h->length));
}

static inline uint64_t h1_head_flags(const struct h1_head *h)
{
    return (uint64_t)h->method | (uint64_t)h->minor << 8 | (uint64_t)h->keep_alive << 9 |
           (uint64_t)h->chunked << 10 | (uint64_t)h->expect_continue << 11 |
           (uint64_t)h->has_length << 12 | (uint64_t)h->absolute << 13 | (uint64_t)h->secure << 14 |
           (uint64_t)h->skipped << 16 | (uint64_t)h->field_count << 32;
}

static inline void h1_next_head(struct h1_drive *d)
{
    h1_head_init(&d->head, &d->limits, d->fields);
    d->phase = H1_IN_HEAD;
}

static inline void h1_next_body(struct h1_drive *d)
{
    d->body_at = d->at;
    d->left = (uint64_t)d->head.content_length;
    d->n = 0;
    d->hash = H1_HASH_START;
    h1_chunked_init(&d->chunked, &d->limits);
    d->phase = d->head.chunked ? H1_IN_CHUNKED : H1_IN_LENGTH;
}

static inline void h1_emit_body(struct h1_drive *d)
{
    h1_next_head(d);
    h1_emit(d, (struct h1_event){H1_SAW_BODY, d->body_at, d->n, 0, d->at - d->body_at, d->hash});
}

static inline void h1_add_body(struct h1_drive *d, struct str data)
{
    d->n += data.n;
    d->hash = h1_hash(d->hash, data);
}

// One result of the parser; false when it asked for more, or nothing more may come.

static inline bool h1_drive_head(struct h1_drive *d, struct str bytes)
{
    struct h1_head *h = &d->head;
    enum h1_result r = h1_head_parse(h, bytes);
    assert(r == H1_MORE || r == H1_DONE || r == H1_BAD);
    if (r == H1_MORE)
        return false;
    if (r == H1_BAD) {
        assert(h->error && h->error_at <= bytes.n && h1_error_info(h->error)->status >= 400);
        d->phase = H1_OVER;
        h1_emit(d, (struct h1_event){H1_SAW_BAD_HEAD, d->at + h->error_at, 0, h->error, 0, 0});
        return false;
    }
    h1_expect_head(h, bytes);
    size_t at = d->at;
    d->at += h->length;
    h1_next_body(d);
    h1_emit(d, (struct h1_event){H1_SAW_HEAD, at, h->length, 0, h1_head_flags(h),
                                 h1_hash_head(h, bytes.p)});
    return d->phase != H1_OVER;
}

static inline bool h1_drive_length(struct h1_drive *d, struct str bytes)
{
    size_t n = bytes.n < d->left ? bytes.n : (size_t)d->left;
    h1_add_body(d, str_of(bytes.p, n));
    d->at += n;
    d->left -= n;
    if (d->left > 0)
        return false;
    h1_emit_body(d);
    return d->phase != H1_OVER;
}

static inline bool h1_drive_chunked(struct h1_drive *d, struct str bytes)
{
    struct str data = {NULL, 0};
    size_t consumed = SIZE_MAX;
    enum h1_result r = H1_DRIVE_CHUNKED(&d->chunked, bytes, &consumed, &data);
    assert(consumed <= bytes.n);
    d->at += consumed;
    if (r == H1_DATA) {
        assert(data.n > 0 && data.p >= bytes.p && data.p + data.n == bytes.p + consumed);
        h1_add_body(d, data);
        return true;
    }
    if (r == H1_MORE) {
        assert(consumed == bytes.n);
        return false;
    }
    if (r == H1_DONE) {
        h1_emit_body(d);
        return d->phase != H1_OVER;
    }
    assert(r == H1_BAD && d->chunked.error && consumed < bytes.n);
    assert(h1_error_info(d->chunked.error)->status >= 400);
    d->phase = H1_OVER;
    h1_emit(d, (struct h1_event){H1_SAW_BAD_BODY, d->at, d->n, d->chunked.error, 0, d->hash});
    return false;
}

// stream: all bytes that have arrived.
static inline void h1_drive_feed(struct h1_drive *d, struct str stream)
{
    bool more = true;
    while (more) {
        struct str rest = str_of(stream.p + d->at, stream.n - d->at);
        switch (d->phase) {
        case H1_IN_HEAD:
            more = h1_drive_head(d, rest);
            break;
        case H1_IN_LENGTH:
            more = h1_drive_length(d, rest);
            break;
        case H1_IN_CHUNKED:
            more = h1_drive_chunked(d, rest);
            break;
        case H1_OVER:
            more = false;
        }
    }
}

// How many bytes of n the next piece has, when n > 0 are left; at least 1.
typedef size_t h1_cut_fn(void *arg, size_t n);

// Runs the stream through, in pieces of cut's choice. stream has H1_DRIVE_SLACK bytes of room
// behind it and begins at a multiple of 8, for ASan's sake.
static inline void h1_drive(struct h1_transcript *out, const struct h1_limits *limits,
                            struct str stream, h1_cut_fn *cut, void *arg)
{
    struct h1_drive d;
    d.limits = *limits;
    d.out = out;
    d.at = 0;
    out->count = 0;
    assert(limits->fields <= H1_DRIVE_FIELDS);
    h1_next_head(&d);
    ASAN_POISON_MEMORY_REGION(stream.p, stream.n + H1_DRIVE_SLACK);
    for (size_t n = 0; n < stream.n && d.phase != H1_OVER;) {
        size_t piece = cut(arg, stream.n - n);
        assert(piece > 0 && piece <= stream.n - n);
        ASAN_UNPOISON_MEMORY_REGION(stream.p + n, piece);
        n += piece;
        h1_drive_feed(&d, str_of(stream.p, n));
    }
    ASAN_UNPOISON_MEMORY_REGION(stream.p, stream.n + H1_DRIVE_SLACK);
    if (d.phase != H1_OVER)
        h1_emit(&d, (struct h1_event){H1_SAW_END, d.at, stream.n, 0, d.phase,
                                      d.phase == H1_IN_HEAD ? 0 : d.hash});
}

static inline bool h1_transcripts_equal(const struct h1_transcript *a,
                                        const struct h1_transcript *b)
{
    return a->count == b->count && !memcmp(a->events, b->events, a->count * sizeof *a->events);
}

static inline void h1_print_transcript(FILE *to, const char *title, const struct h1_transcript *t)
{
    static const char *const kinds[] = {"head", "body", "bad head", "bad body", "end"};
    fprintf(to, "%s:\n", title);
    for (size_t i = 0; i < t->count; i++) {
        const struct h1_event *e = &t->events[i];
        fprintf(to, "  %s at %lu, %lu bytes, %s, %lx, hash %lx\n", kinds[e->kind],
                (unsigned long)e->at, (unsigned long)e->n,
                h1_error_info((enum h1_error)e->error)->why, (unsigned long)e->what,
                (unsigned long)e->hash);
    }
}

// The usual cuts.

static inline size_t h1_cut_none(void *arg, size_t n)
{
    (void)arg;
    return n;
}

static inline size_t h1_cut_bytes(void *arg, size_t n)
{
    (void)arg;
    (void)n;
    return 1;
}

// xorshift: arg is a uint64_t that is not 0. Pieces of 1 byte and of up to 128 come alike often.
static inline size_t h1_cut_random(void *arg, size_t n)
{
    uint64_t *x = arg;
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    size_t most = (size_t)1 << (*x >> 61);
    size_t piece = 1 + (size_t)(*x >> 8) % most;
    return piece < n ? piece : n;
}

#endif

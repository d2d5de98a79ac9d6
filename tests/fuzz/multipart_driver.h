// Drives the multipart parser over a body that arrives in pieces, and writes down what came out.
// Two transcripts of the same body must be equal, however it was cut. The fuzz entry and
// test_multipart.c share it.
//
// What the parser promises is asserted on the way: that its positions are where the bytes are, and
// that no part ends early or late, by a search of the whole body. Hashes and cuts are h1_driver.h's.
#ifndef LUNETTE_TESTS_MULTIPART_DRIVER_H
#define LUNETTE_TESTS_MULTIPART_DRIVER_H

#include "fuzz/h1_driver.h"
#include "http/multipart.h"

enum { MULTIPART_STREAM_MAX = 32 * 1024, MULTIPART_TEXT_MAX = 3 * MULTIPART_STREAM_MAX };

// Of each part "<head|body>", then "." for a body that ended well and "!kind@position" for another.
// sum is of all positions.
struct multipart_transcript {
    char text[MULTIPART_TEXT_MAX];
    size_t n;
    uint64_t sum;
};

struct multipart_drive {
    struct multipart m;
    struct multipart_transcript *out;
    struct str stream; // the whole of it
    uint64_t body_n;   // of the part so far
    bool in_part;
    bool done;
    bool bad;
};

static inline void multipart_write(struct multipart_drive *d, struct str s)
{
    assert(s.n <= MULTIPART_TEXT_MAX - d->out->n);
    memcpy(d->out->text + d->out->n, s.p, s.n);
    d->out->n += s.n;
}

static inline void multipart_count(struct multipart_drive *d, uint64_t number)
{
    d->out->sum = h1_hash_number(d->out->sum, number);
}

static inline void multipart_expect_at(const struct multipart_drive *d, uint64_t at, struct str s)
{
    assert(at <= d->stream.n && s.n <= d->stream.n - at);
    assert(memcmp(d->stream.p + at, s.p, s.n) == 0);
}

static inline void multipart_saw_head(struct multipart_drive *d)
{
    const struct multipart *m = &d->m;
    assert(!d->in_part && !d->done && m->head_n <= m->limits.head_bytes);
    assert(m->head_n != 1 && m->body_at == m->head_at + m->head_n + 2 && m->body_at == m->at);
    struct str head = str_of(d->stream.p + m->head_at, m->head_n);
    multipart_write(d, STR("<"));
    multipart_write(d, head);
    multipart_write(d, STR("|"));
    multipart_count(d, m->head_at);
    d->in_part = true;
    d->body_n = 0;
}

static inline void multipart_saw_data(struct multipart_drive *d, struct str data)
{
    assert(d->in_part && data.n > 0);
    multipart_expect_at(d, d->m.body_at + d->body_n, data);
    multipart_write(d, data);
    d->body_n += data.n;
}

// The delimiter that ended the part is the first one from the two bytes before its body.
static inline void multipart_saw_tail(struct multipart_drive *d)
{
    struct str delimiter = str_of(d->m.delimiter, d->m.delimiter_n);
    const char *from = d->stream.p + d->m.body_at - 2;
    const char *found =
        memmem(from, d->stream.n - (size_t)(from - d->stream.p), delimiter.p, delimiter.n);
    assert(d->in_part && d->m.body_n == d->body_n && found);
    assert((uint64_t)(found - from) == (d->body_n ? d->body_n + 2 : found == from ? 0 : 2));
    multipart_write(d, STR(">"));
    multipart_count(d, d->m.at);
    d->in_part = false;
}

static inline void multipart_saw_bad(struct multipart_drive *d)
{
    char text[48];
    assert(!d->bad && d->m.error && d->m.error_at == d->m.at && *multipart_why(d->m.error));
    int n = snprintf(text, sizeof text, "!%d@%lu", (int)d->m.error, (unsigned long)d->m.error_at);
    multipart_write(d, str_of(text, (size_t)n));
    d->bad = true;
}

// Notes an event; false when no bytes of this piece are left.
static inline bool multipart_saw(struct multipart_drive *d, enum multipart_event e, struct str data)
{
    switch (e) {
    case MULTIPART_MORE:
        return false;
    case MULTIPART_HEAD:
        multipart_saw_head(d);
        return true;
    case MULTIPART_DATA:
        multipart_saw_data(d, data);
        return true;
    case MULTIPART_TAIL:
        multipart_saw_tail(d);
        return true;
    case MULTIPART_DONE:
        assert(!d->done && !d->in_part);
        multipart_count(d, d->m.at);
        d->done = true;
        return true;
    default:
        assert(e == MULTIPART_BAD);
        multipart_saw_bad(d);
        return false;
    }
}

static inline void multipart_drive_feed(struct multipart_drive *d, struct str bytes)
{
    bool more = true;
    while (more) {
        struct str data = {NULL, 0};
        size_t consumed = SIZE_MAX;
        enum multipart_event e = multipart_parse(&d->m, bytes, &consumed, &data);
        assert(consumed <= bytes.n && (e != MULTIPART_MORE || consumed == bytes.n));
        assert((e == MULTIPART_DATA) == (data.p != NULL));
        more = multipart_saw(d, e, data);
        bytes = str_of(bytes.p + consumed, bytes.n - consumed);
    }
}

static inline void multipart_drive_end(struct multipart_drive *d)
{
    enum multipart_event e = multipart_end(&d->m);
    if (d->bad) {
        assert(e == MULTIPART_BAD);
    } else if (d->done) {
        assert(e == MULTIPART_DONE && d->m.at == d->stream.n);
        multipart_write(d, STR("."));
    } else {
        assert(e == MULTIPART_BAD && d->m.error == MULTIPART_NO_END && d->m.at == d->stream.n);
        multipart_saw_bad(d);
    }
}

// The piece where nothing follows it, so that ASan sees a look ahead.
static inline struct str multipart_at_the_end(struct str piece)
{
    static char room[MULTIPART_STREAM_MAX];
    char *p = room + sizeof room - piece.n;
    return str_of(memcpy(p, piece.p, piece.n), piece.n);
}

// Runs the body through, in pieces of cut's choice.
static inline void multipart_drive(struct multipart_transcript *out, struct str boundary,
                                   const struct multipart_limits *limits, struct str stream,
                                   h1_cut_fn *cut, void *arg)
{
    struct multipart_drive d = {.out = out, .stream = stream};
    bool taken = multipart_init(&d.m, boundary, limits);
    assert(taken && stream.n <= MULTIPART_STREAM_MAX);
    out->n = 0;
    out->sum = H1_HASH_START;
    for (size_t n = 0; n < stream.n && !d.bad;) {
        size_t piece = cut(arg, stream.n - n);
        assert(piece > 0 && piece <= stream.n - n);
        multipart_drive_feed(&d, multipart_at_the_end(str_of(stream.p + n, piece)));
        n += piece;
    }
    multipart_drive_end(&d);
}

static inline bool multipart_transcripts_equal(const struct multipart_transcript *a,
                                               const struct multipart_transcript *b)
{
    return a->sum == b->sum && str_eq(str_of(a->text, a->n), str_of(b->text, b->n));
}

#endif

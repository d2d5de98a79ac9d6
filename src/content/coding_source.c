// A body_source that codes another. It is at one operation of the coder at a time, which may take
// several pulls, since each gives only so much:
//
//      inner gives bytes     more   ──┐
//      inner has none now    flush  ──┼──> pulled until the coder is done with it ──> inner again
//      inner has ended       end    ──┘                                          └──> after end: over
#include "content/coding.h"

#include "content/coder.h"

#include <assert.h>
#include <stdlib.h>

struct coding_source {
    struct body_source source;
    struct body_source *inner;
    struct coder *coder; // NULL once the body has ended
    bool small;          // the coder's state is
    bool busy;           // the operation is not done
    bool held;           // bytes were coded since the last flush
    bool teeing;         // everything so far is in tee_text
    enum coder_op op;
    struct str slice; // what the operation has still to take of inner's bytes
    struct str rest;  // inner's bytes behind that
    struct coding_tee tee;
    struct buf tee_text;
    struct coding_source *older, *newer; // of those that tee
    char out[CODING_OUT];
};

static unsigned full_states;

static void drop_coder(struct coding_source *s)
{
    if (!s->coder)
        return;
    s->coder->ops->free(s->coder);
    s->coder = NULL;
    full_states -= !s->small;
}

// --- the tee ---
//
// What is teed is held for as long as its client takes to read, so that all of it together has a
// maximum. Beyond that the oldest is given up: slow clients lose theirs to those who will finish.

static struct coding_source *oldest, *newest;
static size_t teed; // memory of all tee_texts

static void tee_start(struct coding_source *s, const struct coding_tee *tee)
{
    s->tee = *tee;
    s->teeing = true;
    s->older = newest;
    s->newer = NULL;
    *(newest ? &newest->newer : &oldest) = s;
    newest = s;
}

static void tee_stop(struct coding_source *s)
{
    if (!s->teeing)
        return;
    s->teeing = false;
    *(s->newer ? &s->newer->older : &newest) = s->older;
    *(s->older ? &s->older->newer : &oldest) = s->newer;
    teed -= s->tee_text.cap;
    buf_fini(&s->tee_text);
}

static void tee_add(struct coding_source *s, struct str coded)
{
    size_t before = s->tee_text.cap;
    if (!s->teeing)
        return;
    bool ok = buf_add(&s->tee_text, coded);
    teed += s->tee_text.cap - before;
    if (!ok)
        tee_stop(s);
    while (teed > CODING_TEED_MAX)
        tee_stop(oldest);
}

static void tee_end(struct coding_source *s)
{
    if (!s->teeing)
        return;
    struct buf text = s->tee_text;
    teed -= text.cap;
    buf_init(&s->tee_text, 0);
    tee_stop(s);
    s->tee.done(s->tee.arg, &text);
    buf_fini(&text);
}

// --- pulling ---

static void start(struct coding_source *s, enum coder_op op)
{
    s->op = op;
    s->busy = true;
    s->held = op == CODER_MORE;
}

static void start_slice(struct coding_source *s, struct str piece)
{
    size_t n = piece.n < CODING_SLICE ? piece.n : CODING_SLICE;
    s->slice = str_of(piece.p, n);
    s->rest = str_of(piece.p + n, piece.n - n);
    start(s, CODER_MORE);
}

// Finds the next operation. BODY_SOME when there is one.
static enum body_pull next(struct coding_source *s)
{
    enum body_pull got = BODY_SOME;
    struct str piece = s->rest;
    if (piece.n == 0)
        got = s->inner->ops->pull(s->inner, &piece);
    if (got == BODY_SOME && piece.n)
        start_slice(s, piece);
    else if (got == BODY_LATER && s->held)
        start(s, CODER_FLUSH);
    else if (got == BODY_END)
        start(s, CODER_END);
    return s->busy ? BODY_SOME : got;
}

static enum body_pull go_on(struct coding_source *s, struct str *out)
{
    size_t n = sizeof s->out;
    enum coder_step step = s->coder->ops->step(s->coder, s->op, &s->slice, s->out, &n);
    if (step == CODER_FAILED)
        return BODY_FAILED;
    *out = str_of(s->out, n);
    tee_add(s, *out);
    s->busy = step == CODER_GOES_ON;
    if (s->op == CODER_END && !s->busy) {
        drop_coder(s);
        tee_end(s);
    }
    return BODY_SOME;
}

static enum body_pull pull(struct body_source *source, struct str *out)
{
    struct coding_source *s = (struct coding_source *)source;
    *out = str_of(NULL, 0);
    if (!s->coder)
        return BODY_END;
    enum body_pull found = s->busy ? BODY_SOME : next(s);
    return found == BODY_SOME && s->busy ? go_on(s, out) : found;
}

static void close_source(struct body_source *source)
{
    struct coding_source *s = (struct coding_source *)source;
    s->inner->ops->close(s->inner);
    drop_coder(s);
    tee_stop(s);
    if (s->tee.release)
        s->tee.release(s->tee.arg);
    free(s);
}

// Those of what is coded: they stand outside of the coding.
static const struct fields *trailers(struct body_source *source)
{
    struct body_source *inner = ((struct coding_source *)source)->inner;
    return inner->ops->trailers ? inner->ops->trailers(inner) : NULL;
}

static const struct body_source_ops ops = {
    .pull = pull, .close = close_source, .trailers = trailers};

struct body_source *coding_source_new(enum coding c, int level, struct body_source *inner,
                                      const struct coding_tee *tee)
{
    const struct coder_ops *coder = coder_of(c);
    assert(coder && level >= CODING_LEVEL_MIN && level <= CODING_LEVEL_MAX);
    struct coding_source *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->small = full_states >= CODING_FULL_MAX;
    s->coder = coder->new (level, s->small);
    if (!s->coder) {
        free(s);
        return NULL;
    }
    full_states += !s->small;
    s->source.ops = &ops;
    s->inner = inner;
    s->busy = s->held = false;
    s->slice = s->rest = str_of(NULL, 0);
    s->tee = (struct coding_tee){.max = 0};
    s->teeing = false;
    if (tee)
        tee_start(s, tee);
    buf_init(&s->tee_text, s->tee.max);
    return &s->source;
}

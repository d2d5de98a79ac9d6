// Content codings: what they make is decoded with the libraries' own decoders. The files are part
// of this one, so that their memory can be counted and refused.
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

static long allocations_left = -1; // the one after these fails; -1: none does, or it did
static size_t held_bytes;

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

static void *test_coding_malloc(size_t n)
{
    void *p = may_allocate() ? malloc(n) : NULL;
    held_bytes += p ? malloc_usable_size(p) : 0;
    return p;
}

static void *test_coding_realloc(void *p, size_t n)
{
    if (!may_allocate())
        return NULL;
    held_bytes -= p ? malloc_usable_size(p) : 0;
    p = realloc(p, n);
    held_bytes += malloc_usable_size(p);
    return p;
}

static void test_coding_free(void *p)
{
    held_bytes -= p ? malloc_usable_size(p) : 0;
    free(p);
}

#define malloc test_coding_malloc
#define realloc test_coding_realloc
#define free test_coding_free
#include "../../../src/base/buf.c"
#include "../../../src/content/coder_brotli.c"
#include "../../../src/content/coder_gzip.c"
#include "../../../src/content/coder_zstd.c"
#include "../../../src/content/coding.c"
#include "../../../src/content/coding_file.c"
#include "../../../src/content/coding_source.c"
#undef malloc
#undef realloc
#undef free

#ifdef HAVE_BROTLI
#include <brotli/decode.h>
#endif

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { KIB = 1024, MIB = 1024 * 1024, TEXT_MAX = 5 * MIB, DECODED_MAX = 6 * MIB, LEVEL = 6 };

static char text[TEXT_MAX], noise[64 * KIB];

static int make_texts(void **state)
{
    uint32_t seed = 7;
    size_t n = 0;
    (void)state;
    while (n < TEXT_MAX - 100) {
        seed = seed * 1664525 + 1013904223;
        n += (size_t)sprintf(text + n, "{\"id\":%u,\"name\":\"row %u\"},", seed >> 12, seed >> 24);
    }
    memset(text + n, ' ', TEXT_MAX - n);
    for (size_t i = 0; i < sizeof noise; i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (char)(seed >> 24);
    }
    return 0;
}

// What is allocated beside the kept states.
static size_t held_now(void)
{
    coding_fini();
    return held_bytes;
}

// Calls fn for every coding there is.
static void for_each_coding(void (*fn)(enum coding c))
{
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        if (coding_available(c))
            fn(c);
}

// --- decoders: each appends what it can, and says whether the coded text ended, where s does ---

static bool decode_gzip(struct str s, char *to, size_t *n)
{
    z_stream z = {.next_in = (Bytef *)s.p,
                  .avail_in = (uInt)s.n,
                  .next_out = (Bytef *)to,
                  .avail_out = (uInt)*n};
    assert_int_equal(inflateInit2(&z, GZIP_WRAPPER + WINDOW_BITS), Z_OK);
    int code = inflate(&z, Z_SYNC_FLUSH);
    assert_true(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
    assert_int_equal(z.avail_in, 0);
    *n = z.total_out;
    inflateEnd(&z);
    return code == Z_STREAM_END;
}

#ifdef HAVE_BROTLI
static bool decode_brotli(struct str s, char *to, size_t *n)
{
    BrotliDecoderState *d = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *from = (const uint8_t *)s.p;
    uint8_t *out = (uint8_t *)to;
    size_t room = *n;
    BrotliDecoderResult r = BrotliDecoderDecompressStream(d, &s.n, &from, &room, &out, NULL);
    assert_true(r == BROTLI_DECODER_RESULT_SUCCESS || r == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT);
    assert_int_equal(s.n, 0);
    *n -= room;
    BrotliDecoderDestroyInstance(d);
    return r == BROTLI_DECODER_RESULT_SUCCESS;
}
#endif

#ifdef HAVE_ZSTD
static bool decode_zstd(struct str s, char *to, size_t *n)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    ZSTD_inBuffer from = {s.p, s.n, 0};
    ZSTD_outBuffer out = {to, *n, 0};
    size_t left = 1;
    while (from.pos < s.n)
        assert_false(ZSTD_isError(left = ZSTD_decompressStream(d, &out, &from)));
    *n = out.pos;
    ZSTD_freeDCtx(d);
    return left == 0;
}
#endif

static bool decode(enum coding c, struct str s, char *to, size_t *n)
{
    switch (c) {
    case CODING_GZIP:
        return decode_gzip(s, to, n);
#ifdef HAVE_BROTLI
    case CODING_BROTLI:
        return decode_brotli(s, to, n);
#endif
#ifdef HAVE_ZSTD
    case CODING_ZSTD:
        return decode_zstd(s, to, n);
#endif
    default:
        fail_msg("nothing decodes %d", c);
        return false;
    }
}

// s decodes to want; ended: and is complete.
static void check_decodes(enum coding c, struct str s, struct str want, bool ended)
{
    char *to = malloc(want.n + 1);
    size_t n = want.n + 1;
    assert_int_equal(decode(c, s, to, &n), ended);
    assert_int_equal(n, want.n);
    assert_int_equal(memcmp(to, want.p ? want.p : "", want.n), 0);
    free(to);
}

// --- whole bodies ---

static void check_whole(enum coding c, int level, struct str in)
{
    struct buf out;
    buf_init(&out, DECODED_MAX);
    assert_true(buf_add(&out, STR("before")));
    assert_true(coding_whole(c, level, in, &out));
    assert_memory_equal(out.p, "before", 6);
    check_decodes(c, str_of(out.p + 6, out.n - 6), in, true);
    buf_fini(&out);
}

static void check_whole_texts(enum coding c)
{
    static const size_t sizes[] = {0, 1, 2, 100, 4095, 4096, 4097, 16 * KIB, 64 * KIB, 65537};
    for (int level = CODING_LEVEL_MIN; level <= CODING_LEVEL_MAX; level++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_whole(c, level, str_of(text, sizes[i]));
    check_whole(c, LEVEL, str_of(noise, sizeof noise));
    check_whole(c, LEVEL, str_of(noise, 1000));
    check_whole(c, 1, str_of(text, TEXT_MAX));
    check_whole(c, LEVEL, str_of(text, TEXT_MAX));
}

static void whole_bodies_come_back(void **state)
{
    (void)state;
    for_each_coding(check_whole_texts);
}

static void identity_is_a_copy(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4);
    assert_true(coding_whole(CODING_IDENTITY, LEVEL, STR("abcd"), &out));
    assert_true(str_eq(buf_str(&out), STR("abcd")));
    assert_false(coding_whole(CODING_IDENTITY, LEVEL, STR("e"), &out));
    buf_fini(&out);
}

// A kept state remembers nothing: the same bytes give the same text, whatever came between.
static void check_repeats(enum coding c)
{
    struct buf first, again, other;
    buf_init(&first, MIB);
    buf_init(&again, MIB);
    buf_init(&other, 100);
    assert_true(coding_whole(c, LEVEL, str_of(text, 3000), &first));
    assert_false(coding_whole(c, LEVEL, str_of(text + 9, 3000), &other)); // left in the middle
    assert_true(coding_whole(c, LEVEL, str_of(text, 3000), &again));
    assert_true(str_eq(buf_str(&first), buf_str(&again)));
    for (int level = CODING_LEVEL_MIN; level <= CODING_LEVEL_MAX; level++) {
        buf_clear(&again);
        assert_true(coding_whole(c, level, str_of(text + level, 2500), &again));
    }
    buf_clear(&again);
    assert_true(coding_whole(c, LEVEL, str_of(text, 3000), &again));
    assert_true(str_eq(buf_str(&first), buf_str(&again)));
    buf_fini(&first);
    buf_fini(&again);
    buf_fini(&other);
}

static void kept_states_remember_nothing(void **state)
{
    (void)state;
    for_each_coding(check_repeats);
}

// A maximum of exactly the coded length is enough, and every smaller one is not.
static void check_maximum(enum coding c)
{
    struct buf out;
    buf_init(&out, MIB);
    assert_true(coding_whole(c, LEVEL, str_of(text, 1500), &out));
    size_t n = out.n;
    buf_fini(&out);
    for (size_t max = 0; max <= n; max++) {
        buf_init(&out, max + 3);
        assert_true(buf_add(&out, STR("abc")));
        assert_int_equal(coding_whole(c, LEVEL, str_of(text, 1500), &out), max == n);
        assert_int_equal(out.n, max == n ? n + 3 : 3);
        assert_memory_equal(out.p, "abc", 3);
        buf_fini(&out);
    }
}

static void the_maximum_holds(void **state)
{
    (void)state;
    for_each_coding(check_maximum);
}

static void check_whole_without_memory(enum coding c)
{
    bool done = false;
    size_t before = held_now();
    for (long n = 0; !done; n++) {
        struct buf out;
        buf_init(&out, MIB);
        assert_true(n < 200);
        allocations_left = n;
        bool whole = coding_whole(c, LEVEL, str_of(text, 20 * KIB), &out);
        done = allocations_left >= 0; // none was refused
        allocations_left = -1;
        assert_int_equal(whole, done);
        assert_int_equal(out.n > 0, done);
        buf_fini(&out);
        assert_int_equal(held_now(), before);
    }
}

static void whole_bodies_without_memory(void **state)
{
    (void)state;
    for_each_coding(check_whole_without_memory);
}

// --- a source to be coded ---

enum after { THEN_END, THEN_FAIL };

// Gives `all` in pieces, each in a block of its own that is gone with the next pull.
struct giver {
    struct body_source source;
    struct str all;
    size_t at, piece;
    bool pauses; // LATER before each piece and before the end, until ready is set
    bool ready;
    enum after after;
    char *block;
    unsigned closed;
};

static enum body_pull give(struct body_source *source, struct str *out)
{
    struct giver *g = (struct giver *)source;
    assert_int_equal(g->closed, 0);
    free(g->block);
    g->block = NULL;
    *out = str_of("not to be read", 14);
    if (g->pauses && !g->ready)
        return BODY_LATER;
    g->ready = false;
    if (g->at == g->all.n)
        return g->after == THEN_END ? BODY_END : BODY_FAILED;
    size_t n = g->all.n - g->at < g->piece ? g->all.n - g->at : g->piece;
    g->block = malloc(n);
    memcpy(g->block, g->all.p + g->at, n);
    *out = str_of(g->block, n);
    g->at += n;
    return BODY_SOME;
}

static void close_giver(struct body_source *source)
{
    struct giver *g = (struct giver *)source;
    free(g->block);
    g->block = NULL;
    g->closed++;
}

static const struct body_source_ops giver_ops = {.pull = give, .close = close_giver};

static struct giver giver_of(struct str all, size_t piece)
{
    return (struct giver){.source = {&giver_ops}, .all = all, .piece = piece};
}

static struct body_source *coded(enum coding c, struct giver *g, const struct coding_tee *tee)
{
    struct body_source *s = coding_source_new(c, LEVEL, &g->source, tee);
    assert_non_null(s);
    return s;
}

// Pulls until there is nothing, at most `pulls` times, and appends all of it.
static enum body_pull pull_into(struct body_source *s, struct buf *got, unsigned pulls)
{
    enum body_pull what = BODY_SOME;
    while (what == BODY_SOME && pulls--) {
        struct str piece;
        what = s->ops->pull(s, &piece);
        if (what == BODY_SOME) {
            assert_true(piece.n <= CODING_OUT);
            assert_true(buf_add(got, piece));
        }
    }
    return what;
}

static void finish(struct body_source *s, struct giver *g)
{
    s->ops->close(s);
    assert_int_equal(g->closed, 1);
}

static void check_source(enum coding c, struct str all, size_t piece)
{
    struct giver g = giver_of(all, piece);
    struct body_source *s = coded(c, &g, NULL);
    struct buf got;
    buf_init(&got, DECODED_MAX);
    assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_END);
    assert_int_equal(pull_into(s, &got, 1), BODY_END); // and stays there
    check_decodes(c, buf_str(&got), all, true);
    finish(s, &g);
    buf_fini(&got);
}

static void check_sources(enum coding c)
{
    static const size_t pieces[] = {1, 2, 3, 7, 255, 4096, 65535, 65536, 65537, MIB};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        check_source(c, STR(""), pieces[i]);
        check_source(c, STR("x"), pieces[i]);
        check_source(c, str_of(text, 1000), pieces[i]);
        check_source(c, str_of(noise, sizeof noise), pieces[i]);
        check_source(c, str_of(text, 200 * KIB), pieces[i]);
    }
    for (size_t piece = 1; piece < 40; piece++)
        check_source(c, str_of(text, 500), piece);
    check_source(c, str_of(text, TEXT_MAX), TEXT_MAX);
    check_source(c, str_of(text, TEXT_MAX), 1000);
}

static void sources_come_back(void **state)
{
    (void)state;
    for_each_coding(check_sources);
}

// Whatever was given before LATER can be decoded when LATER comes out.
static void check_pauses(enum coding c, struct str all, size_t piece)
{
    struct giver g = giver_of(all, piece);
    g.pauses = true;
    struct body_source *s = coded(c, &g, NULL);
    struct buf got;
    buf_init(&got, MIB);
    assert_int_equal(pull_into(s, &got, 1), BODY_LATER); // nothing was given yet, nothing is said
    assert_int_equal(got.n, 0);
    enum body_pull what;
    size_t pauses = 0;
    while ((what = pull_into(s, &got, UINT32_MAX)) == BODY_LATER) {
        check_decodes(c, buf_str(&got), str_of(all.p, g.at), false);
        g.ready = true;
        pauses++;
    }
    assert_int_equal(what, BODY_END);
    assert_int_equal(pauses, (all.n + piece - 1) / piece + 1);
    check_decodes(c, buf_str(&got), all, true);
    finish(s, &g);
    buf_fini(&got);
}

static void check_all_pauses(enum coding c)
{
    check_pauses(c, str_of(text, 300), 1);
    check_pauses(c, str_of(text, 20 * KIB), 100);
    check_pauses(c, str_of(text, 300 * KIB), 100 * KIB);
    check_pauses(c, str_of(noise, sizeof noise), 16 * KIB);
    check_pauses(c, str_of(noise, sizeof noise), 16 * KIB - 5);
}

static void what_was_given_before_later_can_be_decoded(void **state)
{
    (void)state;
    for_each_coding(check_all_pauses);
}

// LATER again and again: flushed once, then no byte more.
static void check_flushes_once(enum coding c)
{
    struct giver g = giver_of(str_of(text, 10), 10);
    g.pauses = g.ready = true;
    struct body_source *s = coded(c, &g, NULL);
    struct buf got;
    buf_init(&got, MIB);
    assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_LATER);
    check_decodes(c, buf_str(&got), str_of(text, 10), false);
    assert_true(got.n < 100);
    size_t n = got.n;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_LATER);
    assert_int_equal(got.n, n);
    finish(s, &g);
    buf_fini(&got);
}

static void a_pause_is_flushed_once(void **state)
{
    (void)state;
    for_each_coding(check_flushes_once);
}

// --- the tee ---

struct taker {
    bool take;
    struct buf got;
    unsigned done, released;
};

static void take_coded(void *arg, struct buf *coded_text)
{
    struct taker *t = arg;
    t->done++;
    assert_int_equal(t->released, 0);
    if (!t->take)
        return;
    t->got = *coded_text;
    buf_init(coded_text, 0);
}

static void release_taker(void *arg)
{
    ((struct taker *)arg)->released++;
}

static struct coding_tee tee_to(struct taker *t, size_t max)
{
    return (struct coding_tee){.max = max, .done = take_coded, .release = release_taker, .arg = t};
}

// Codes a text with a tee of that maximum; how long the coded text is.
static size_t run_tee(enum coding c, struct taker *t, size_t max)
{
    struct giver g = giver_of(str_of(text, 100 * KIB), 5000);
    struct coding_tee tee = tee_to(t, max);
    struct body_source *s = coded(c, &g, &tee);
    struct buf got;
    buf_init(&got, MIB);
    assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_END);
    assert_int_equal(t->released, 0);
    finish(s, &g);
    assert_int_equal(t->released, 1);
    if (t->got.n)
        assert_true(str_eq(buf_str(&t->got), buf_str(&got)));
    size_t n = got.n;
    buf_fini(&got);
    return n;
}

static void check_tee(enum coding c)
{
    struct taker t = {.take = true};
    size_t before = held_now();
    size_t n = run_tee(c, &t, MIB);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.got.n, n);
    buf_fini(&t.got);

    t = (struct taker){.take = true};
    run_tee(c, &t, n); // exactly as long as it may be
    assert_int_equal(t.got.n, n);
    buf_fini(&t.got);

    t = (struct taker){.take = true};
    run_tee(c, &t, n - 1);
    assert_int_equal(t.done, 0);

    t = (struct taker){.take = false}; // it looks, and takes nothing
    run_tee(c, &t, MIB);
    assert_int_equal(t.done, 1);
    assert_int_equal(held_now(), before);
}

static void the_tee_gets_the_whole_text_or_nothing(void **state)
{
    (void)state;
    for_each_coding(check_tee);
}

// Clients that stop just before the end hold what was collected for them, each a text of its own.
static void tees_of_slow_clients_have_a_maximum_together(void **state)
{
    (void)state;
    enum { CLIENTS = 24, EACH = MIB };
    struct giver g[CLIENTS];
    struct taker t[CLIENTS];
    struct body_source *s[CLIENTS];
    struct buf got;
    size_t before = held_now();
    char *all = malloc(EACH);
    assert_non_null(all);
    for (size_t i = 0; i < EACH; i++)
        all[i] = noise[i % sizeof noise]; // further apart than gzip looks
    for (int i = 0; i < CLIENTS; i++) {
        g[i] = giver_of(str_of(all, EACH), 16 * KIB);
        t[i] = (struct taker){.take = false};
        struct coding_tee tee = tee_to(&t[i], 2 * MIB);
        s[i] = coded(CODING_GZIP, &g[i], &tee);
        buf_init(&got, 2 * MIB);
        while (g[i].at < EACH)
            assert_int_equal(pull_into(s[i], &got, 1), BODY_SOME);
        buf_fini(&got);
        assert_true(teed <= CODING_TEED_MAX);
    }
    for (int i = 0; i < CLIENTS; i++) {
        buf_init(&got, 2 * MIB);
        assert_int_equal(pull_into(s[i], &got, UINT32_MAX), BODY_END);
        buf_fini(&got);
        finish(s[i], &g[i]);
        assert_int_equal(t[i].released, 1);
    }
    assert_int_equal(t[0].done, 0);
    assert_int_equal(t[CLIENTS - 1].done, 1);
    assert_int_equal(teed, 0);
    assert_null(oldest);
    free(all);
    assert_int_equal(held_now(), before);
}

// --- how it ends ---

static void check_failure(enum coding c)
{
    struct giver g = giver_of(str_of(text, 100 * KIB), 5000);
    struct taker t = {.take = true};
    struct coding_tee tee = tee_to(&t, MIB);
    g.after = THEN_FAIL;
    struct body_source *s = coded(c, &g, &tee);
    struct buf got;
    buf_init(&got, MIB);
    assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_FAILED);
    finish(s, &g);
    assert_int_equal(t.done, 0);
    assert_int_equal(t.released, 1);
    buf_fini(&got);
}

static void failures_pass_through(void **state)
{
    (void)state;
    for_each_coding(check_failure);
}

// Closed after every number of pulls: everything is given back, once.
static void check_close_anywhere(enum coding c)
{
    enum body_pull what = BODY_SOME;
    size_t before = held_now();
    for (unsigned pulls = 0; what != BODY_END; pulls++) {
        struct giver g = giver_of(str_of(noise, 40 * KIB), 3000);
        struct taker t = {.take = false};
        struct coding_tee tee = tee_to(&t, MIB);
        struct body_source *s = coded(c, &g, &tee);
        struct buf got;
        buf_init(&got, MIB);
        assert_true(pulls < 1000);
        what = pull_into(s, &got, pulls);
        finish(s, &g);
        assert_int_equal(t.released, 1);
        buf_fini(&got);
        assert_int_equal(held_now(), before);
        assert_int_equal(full_states, 0);
    }
}

static void closing_anywhere_gives_everything_back(void **state)
{
    (void)state;
    for_each_coding(check_close_anywhere);
}

// One allocation fails: there is no source and inner is untouched, or the body fails, or only the
// tee did without; never a text that is not whole.
static enum body_pull run_without_memory(enum coding c, long allocations)
{
    struct giver g = giver_of(str_of(text, 100 * KIB), 50000);
    struct taker t = {.take = false};
    struct coding_tee tee = tee_to(&t, MIB);
    struct buf got;
    buf_init(&got, MIB);
    assert_non_null(buf_room(&got, 200 * KIB)); // so that this one does not count
    allocations_left = allocations;
    struct body_source *s = coding_source_new(c, LEVEL, &g.source, &tee);
    enum body_pull what = s ? pull_into(s, &got, UINT32_MAX) : BODY_FAILED;
    bool starved = allocations_left < 0;
    allocations_left = -1;
    if (s)
        s->ops->close(s);
    assert_int_equal(g.closed, s != NULL);
    assert_int_equal(t.released, s != NULL);
    if (what == BODY_END)
        check_decodes(c, buf_str(&got), g.all, true);
    assert_true(t.done == 0 || what == BODY_END);
    buf_fini(&got);
    return starved ? BODY_FAILED : what;
}

static void check_without_memory(enum coding c)
{
    size_t before = held_now();
    long n = 0;
    while (run_without_memory(c, n) != BODY_END) {
        assert_true(n++ < 200);
        assert_int_equal(held_now(), before);
        assert_int_equal(full_states, 0);
    }
    assert_true(n > 1);
}

static void sources_without_memory(void **state)
{
    (void)state;
    for_each_coding(check_without_memory);
}

// --- memory ---

static size_t state_of(struct body_source *s)
{
#ifdef HAVE_ZSTD
    struct coding_source *source = (struct coding_source *)s;
    if (source->coder && source->coder->ops == &coder_zstd)
        return ZSTD_sizeof_CCtx(((struct zstd_coder *)source->coder)->context);
#endif
    (void)s;
    return 0;
}

// The figures of the header, in KiB, and that the state goes with the end of the body.
static void check_memory(enum coding c)
{
    static const size_t full[] = {0, 263, 1850, 1024}, small[] = {0, 39, 46, 86};
    enum { SOURCES = CODING_FULL_MAX + 6 };
    struct giver g[SOURCES];
    struct body_source *s[SOURCES];
    struct buf got;
    buf_init(&got, MIB);
    check_source(c, STR(""), 1); // what is held for all of them is there from then on
    for (int i = 0; i < SOURCES; i++) {
        size_t before = held_bytes, most = 0;
        struct str piece;
        g[i] = giver_of(str_of(text, 200 * KIB), 64 * KIB);
        s[i] = coded(c, &g[i], NULL);
        for (int pulls = 0; pulls < 5; pulls++) {
            assert_int_equal(s[i]->ops->pull(s[i], &piece), BODY_SOME);
            size_t now = held_bytes - before + state_of(s[i]);
            most = now > most ? now : most;
        }
        size_t limit = i < CODING_FULL_MAX ? full[c] : small[c];
        assert_in_range(most, limit * KIB / 3, limit * KIB + CODING_OUT + KIB);
        s[i]->ops->close(s[i]);
        g[i] = giver_of(str_of(text, 200 * KIB), 64 * KIB);
        s[i] = coded(c, &g[i], NULL);
    }
    for (int i = SOURCES - 1; i >= 0; i--) {
        buf_clear(&got);
        assert_int_equal(pull_into(s[i], &got, UINT32_MAX), BODY_END);
        check_decodes(c, buf_str(&got), g[i].all, true);
        assert_null(((struct coding_source *)s[i])->coder);
    }
    assert_int_equal(full_states, 0);
    for (int i = 0; i < SOURCES; i++)
        finish(s[i], &g[i]);
    buf_fini(&got);
}

static void states_are_as_large_as_the_header_says(void **state)
{
    (void)state;
    for_each_coding(check_memory);
}

// --- files ---

static void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

// What a source of a file with `size` bytes of text gives from `at`, n bytes.
static enum body_pull read_file(int64_t size, off_t at, int64_t n, struct buf *got)
{
    FILE *f = tmpfile();
    unsigned released = 0;
    assert_int_equal(fwrite(text, 1, (size_t)size, f), size);
    fflush(f);
    struct body_source *s = coding_file_source(fileno(f), at, n, count_release, &released);
    enum body_pull what;
    struct str piece;
    while ((what = s->ops->pull(s, &piece)) == BODY_SOME) {
        assert_in_range(piece.n, 1, CODING_FILE_BLOCK);
        assert_true(buf_add(got, piece));
    }
    assert_int_equal(released, 0);
    s->ops->close(s);
    assert_int_equal(released, 1);
    fclose(f);
    return what;
}

static void files_are_read_in_blocks(void **state)
{
    static const struct {
        int64_t size;
        off_t at;
        int64_t n;
        enum body_pull end;
        size_t got;
    } rows[] = {
        {0, 0, 0, BODY_END, 0},
        {1, 0, 1, BODY_END, 1},
        {100, 50, 20, BODY_END, 20},
        {65536, 0, 65536, BODY_END, 65536},
        {65537, 0, 65537, BODY_END, 65537},
        {MIB, 1000, MIB - 1000, BODY_END, MIB - 1000},
        {100, 0, 101, BODY_FAILED, 100}, // became shorter meanwhile
        {100, 100, 1, BODY_FAILED, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf got;
        buf_init(&got, 2 * MIB);
        assert_int_equal(read_file(rows[i].size, rows[i].at, rows[i].n, &got), rows[i].end);
        assert_int_equal(got.n, rows[i].got);
        if (got.n)
            assert_int_equal(memcmp(got.p, text + rows[i].at, got.n), 0);
        buf_fini(&got);
    }
}

static void files_that_cannot_be_read_fail(void **state)
{
    struct str piece;
    (void)state;
    struct body_source *s = coding_file_source(-1, 0, 10, NULL, NULL);
    assert_int_equal(s->ops->pull(s, &piece), BODY_FAILED);
    s->ops->close(s);
    allocations_left = 0;
    assert_null(coding_file_source(-1, 0, 10, NULL, NULL));
    allocations_left = -1;
}

static void a_coded_file(void **state)
{
    FILE *f = tmpfile();
    unsigned released = 0;
    struct buf got;
    (void)state;
    buf_init(&got, MIB);
    assert_int_equal(fwrite(text, 1, 300 * KIB, f), 300 * KIB);
    fflush(f);
    struct body_source *file =
        coding_file_source(fileno(f), 0, 300 * KIB, count_release, &released);
    struct body_source *s = coding_source_new(CODING_GZIP, LEVEL, file, NULL);
    assert_int_equal(pull_into(s, &got, UINT32_MAX), BODY_END);
    check_decodes(CODING_GZIP, buf_str(&got), str_of(text, 300 * KIB), true);
    s->ops->close(s);
    assert_int_equal(released, 1);
    buf_fini(&got);
    fclose(f);
}

static void says_what_is_there(void **state)
{
    (void)state;
    assert_true(coding_available(CODING_IDENTITY));
    assert_true(coding_available(CODING_GZIP));
    assert_true(coding_all() & 1u << CODING_GZIP);
    assert_false(coding_all() & 1u << CODING_IDENTITY);
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        assert_int_equal(coding_available(c), (coding_all() >> c) & 1);
    assert_null(coder_of(CODING_IDENTITY));
}

static int give_back(void **state)
{
    (void)state;
    return held_now() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_there),
        cmocka_unit_test(whole_bodies_come_back),
        cmocka_unit_test(identity_is_a_copy),
        cmocka_unit_test(kept_states_remember_nothing),
        cmocka_unit_test(the_maximum_holds),
        cmocka_unit_test(whole_bodies_without_memory),
        cmocka_unit_test(sources_come_back),
        cmocka_unit_test(what_was_given_before_later_can_be_decoded),
        cmocka_unit_test(a_pause_is_flushed_once),
        cmocka_unit_test(the_tee_gets_the_whole_text_or_nothing),
        cmocka_unit_test(tees_of_slow_clients_have_a_maximum_together),
        cmocka_unit_test(failures_pass_through),
        cmocka_unit_test(closing_anywhere_gives_everything_back),
        cmocka_unit_test(sources_without_memory),
        cmocka_unit_test(states_are_as_large_as_the_header_says),
        cmocka_unit_test(files_are_read_in_blocks),
        cmocka_unit_test(files_that_cannot_be_read_fail),
        cmocka_unit_test(a_coded_file),
    };
    return cmocka_run_group_tests(tests, make_texts, give_back);
}

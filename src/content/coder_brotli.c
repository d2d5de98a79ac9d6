// Brotli, by libbrotlienc. Its better qualities take tables of 1.8 MiB whatever the window; small is
// quality 1, which needs 45 KiB and compresses less. A state cannot be used again.
//
// The library, as it is commonly built, ends the process when memory is out. So that only the body
// fails there is a reserve, larger than a state and never touched: it is given up for the
// allocation that was refused, and no coder is made before there is another.
#include "content/coder.h"

#ifdef HAVE_BROTLI

#include <brotli/encode.h>
#include <stdlib.h>

enum {
    QUALITY_MAX = 5, // those beyond take several times as long: for files that are coded once
    LGWIN = 16,      // bits of the window
    RESERVE = 4 * 1024 * 1024,
    SMALL_QUALITY = 1,
    SMALL_LGWIN = 12,
};

struct brotli_coder {
    struct coder coder;
    BrotliEncoderState *state;
    bool starved; // it lives on the reserve
};

static void *reserve;

static void brotli_fini(void)
{
    free(reserve);
    reserve = NULL;
}

static bool have_reserve(void)
{
    if (!reserve)
        reserve = malloc(RESERVE);
    return reserve;
}

static void *brotli_alloc(void *opaque, size_t n)
{
    void *p = malloc(n);
    if (p)
        return p;
    ((struct brotli_coder *)opaque)->starved = true;
    brotli_fini();
    return malloc(n);
}

static void brotli_release(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

static struct coder *brotli_new(int level, bool small)
{
    struct brotli_coder *c = have_reserve() ? malloc(sizeof *c) : NULL;
    if (!c)
        return NULL;
    *c = (struct brotli_coder){.coder = {&coder_brotli}};
    c->state = BrotliEncoderCreateInstance(brotli_alloc, brotli_release, c);
    if (!c->state) {
        free(c);
        return NULL;
    }
    int quality = small ? SMALL_QUALITY : level < QUALITY_MAX ? level : QUALITY_MAX;
    uint32_t bits = small ? SMALL_LGWIN : LGWIN;
    BrotliEncoderSetParameter(c->state, BROTLI_PARAM_QUALITY, (uint32_t)quality);
    BrotliEncoderSetParameter(c->state, BROTLI_PARAM_LGWIN, bits);
    return &c->coder;
}

static enum coder_step brotli_step(struct coder *coder, enum coder_op op, struct str *in, char *out,
                                   size_t *room)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS,
        BROTLI_OPERATION_FLUSH,
        BROTLI_OPERATION_FINISH,
    };
    struct brotli_coder *c = (struct brotli_coder *)coder;
    const uint8_t *from = (const uint8_t *)in->p;
    uint8_t *to = (uint8_t *)out;
    size_t left = *room;
    bool ok =
        BrotliEncoderCompressStream(c->state, operations[op], &in->n, &from, &left, &to, NULL);
    in->p = (const char *)from;
    *room -= left;
    if (!ok || c->starved)
        return CODER_FAILED;
    return in->n || BrotliEncoderHasMoreOutput(c->state) ? CODER_GOES_ON : CODER_DONE;
}

static void brotli_free(struct coder *coder)
{
    struct brotli_coder *c = (struct brotli_coder *)coder;
    BrotliEncoderDestroyInstance(c->state);
    free(c);
}

const struct coder_ops coder_brotli = {
    .new = brotli_new,
    .step = brotli_step,
    .free = brotli_free,
    .fini = brotli_fini,
};

#else

const struct coder_ops coder_brotli = {.new = NULL};

#endif

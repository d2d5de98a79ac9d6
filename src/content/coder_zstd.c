// Zstandard, by libzstd. Left to itself it takes tables for megabytes of input; with a window of 64
// KiB and tables to match the state is about 1 MiB, with one of 4 KiB 85 KiB.
#include "content/coder.h"

#ifdef HAVE_ZSTD

#include <stdlib.h>
#include <zstd.h>

enum {
    BITS = 16, // of the window and both tables
    SMALL_BITS = 12,
};

struct zstd_coder {
    struct coder coder;
    ZSTD_CCtx *context;
};

static bool set(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value));
}

// gzip's levels 1 … 9 become 1 … 5: the higher ones take gzip's time for gzip's size.
static bool set_level(ZSTD_CCtx *context, int level)
{
    return set(context, ZSTD_c_compressionLevel, (level + 1) / 2);
}

static struct coder *zstd_new(int level, bool small)
{
    struct zstd_coder *c = malloc(sizeof *c);
    ZSTD_CCtx *context = c ? ZSTD_createCCtx() : NULL;
    int bits = small ? SMALL_BITS : BITS;
    if (context && set_level(context, level) && set(context, ZSTD_c_windowLog, bits) &&
        set(context, ZSTD_c_hashLog, bits) && set(context, ZSTD_c_chainLog, bits)) {
        *c = (struct zstd_coder){{&coder_zstd}, context};
        return &c->coder;
    }
    ZSTD_freeCCtx(context);
    free(c);
    return NULL;
}

static bool zstd_reset(struct coder *coder, int level)
{
    ZSTD_CCtx *context = ((struct zstd_coder *)coder)->context;
    return !ZSTD_isError(ZSTD_CCtx_reset(context, ZSTD_reset_session_only)) &&
           set_level(context, level);
}

static enum coder_step zstd_step(struct coder *coder, enum coder_op op, struct str *in, char *out,
                                 size_t *room)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {out, *room, 0};
    size_t left =
        ZSTD_compressStream2(((struct zstd_coder *)coder)->context, &to, &from, directives[op]);
    *in = str_of(in->p + from.pos, in->n - from.pos);
    *room = to.pos;
    if (ZSTD_isError(left))
        return CODER_FAILED;
    bool done = op == CODER_MORE ? in->n == 0 : left == 0;
    return done ? CODER_DONE : CODER_GOES_ON;
}

static void zstd_free(struct coder *coder)
{
    struct zstd_coder *c = (struct zstd_coder *)coder;
    ZSTD_freeCCtx(c->context);
    free(c);
}

const struct coder_ops coder_zstd = {
    .new = zstd_new,
    .reset = zstd_reset,
    .step = zstd_step,
    .free = zstd_free,
    .small_max = 1 << SMALL_BITS,
};

#else

const struct coder_ops coder_zstd = {.new = NULL};

#endif

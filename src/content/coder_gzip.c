// gzip, by zlib. The state is a window, two hash tables of it and the symbols of a block: 262 KiB by
// default, 38 KiB small.
#include "content/coder.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    GZIP_WRAPPER = 16,    // added to the bits of the window: a gzip header and trailer
    TAKE_MAX = 1 << 30,   // zlib counts in unsigned int
    SMALL_MAX = 4 * 1024, // the small window, and what one block of its symbols holds
    SMALL_WINDOW_BITS = 12,
    SMALL_MEM_LEVEL = 5,
    WINDOW_BITS = 15,
    MEM_LEVEL = 8,
};

struct gzip_coder {
    struct coder coder;
    z_stream z;
    int level;
};

static void *gzip_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return malloc((size_t)items * size);
}

static void gzip_release(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

static struct coder *gzip_new(int level, bool small)
{
    struct gzip_coder *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct gzip_coder){
        .coder = {&coder_gzip},
        .z = {.zalloc = gzip_alloc, .zfree = gzip_release},
        .level = level,
    };
    int bits = GZIP_WRAPPER + (small ? SMALL_WINDOW_BITS : WINDOW_BITS);
    int memory = small ? SMALL_MEM_LEVEL : MEM_LEVEL;
    if (deflateInit2(&c->z, level, Z_DEFLATED, bits, memory, Z_DEFAULT_STRATEGY) == Z_OK)
        return &c->coder;
    free(c);
    return NULL;
}

static bool gzip_reset(struct coder *coder, int level)
{
    struct gzip_coder *c = (struct gzip_coder *)coder;
    if (deflateReset(&c->z) != Z_OK)
        return false;
    if (c->level != level && deflateParams(&c->z, level, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    c->level = level;
    return true;
}

static enum coder_step gzip_step(struct coder *coder, enum coder_op op, struct str *in, char *out,
                                 size_t *room)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = &((struct gzip_coder *)coder)->z;
    size_t take = in->n < TAKE_MAX ? in->n : TAKE_MAX;
    z->next_in = (Bytef *)in->p; // zlib does not write to it
    z->avail_in = (uInt)take;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)*room;
    int code = deflate(z, take < in->n ? Z_NO_FLUSH : flushes[op]);
    assert(code != Z_STREAM_ERROR);
    take -= z->avail_in;
    *in = str_of(in->p + take, in->n - take);
    *room -= z->avail_out;
    bool done = op == CODER_END ? code == Z_STREAM_END : in->n == 0 && z->avail_out > 0;
    return done ? CODER_DONE : CODER_GOES_ON;
}

static void gzip_free(struct coder *coder)
{
    struct gzip_coder *c = (struct gzip_coder *)coder;
    deflateEnd(&c->z);
    free(c);
}

const struct coder_ops coder_gzip = {
    .new = gzip_new,
    .reset = gzip_reset,
    .step = gzip_step,
    .free = gzip_free,
    .small_max = SMALL_MAX,
};

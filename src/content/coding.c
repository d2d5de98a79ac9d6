// Whole bodies. Making a state costs as much as coding a small body, so those of the libraries that
// can begin anew are kept: one for small bodies and one for others.
#include "content/coding.h"

#include "content/coder.h"

#include <assert.h>

enum {
    ROOM_MIN = 1024,      // so that little is left over where the text is small
    ROOM_MAX = 64 * 1024, // what a coder takes at most
};

static struct coder *kept[CODINGS][2]; // by whether it is small

const struct coder_ops *coder_of(enum coding c)
{
    static const struct coder_ops *const coders[CODINGS] = {
        [CODING_GZIP] = &coder_gzip,
        [CODING_BROTLI] = &coder_brotli,
        [CODING_ZSTD] = &coder_zstd,
    };
    return coders[c] && coders[c]->new ? coders[c] : NULL;
}

bool coding_available(enum coding c)
{
    return c == CODING_IDENTITY || coder_of(c);
}

unsigned coding_all(void)
{
    unsigned all = 0;
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        all |= coding_available(c) ? 1u << c : 0;
    return all;
}

void coding_fini(void)
{
    for (int i = 0; i < CODINGS * 2; i++) {
        struct coder **place = &kept[i / 2][i % 2];
        if (*place)
            (*place)->ops->free(*place);
        *place = NULL;
    }
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        if (coder_of(c) && coder_of(c)->fini)
            coder_of(c)->fini();
}

// The kept one, if it can be used again, or a new one.
static struct coder *take_coder(const struct coder_ops *ops, struct coder **place, int level,
                                bool small)
{
    struct coder *coder = *place;
    *place = NULL;
    if (coder && ops->reset(coder, level))
        return coder;
    if (coder)
        ops->free(coder);
    return ops->new (level, small);
}

// One that failed is good for nothing any more.
static void keep_coder(struct coder *coder, struct coder **place, enum coder_step last)
{
    if (coder->ops->reset && last != CODER_FAILED)
        *place = coder;
    else
        coder->ops->free(coder);
}

static size_t room_for(struct str in, const struct buf *out)
{
    size_t room = in.n / 2 > ROOM_MIN ? in.n / 2 : ROOM_MIN, left = out->max - out->n;
    room = room < ROOM_MAX ? room : ROOM_MAX;
    return room < left ? room : left;
}

// CODER_GOES_ON when there is no more room.
static enum coder_step code(struct coder *coder, struct str in, struct buf *out)
{
    enum coder_step step = CODER_GOES_ON;
    while (step == CODER_GOES_ON) {
        size_t n = room_for(in, out);
        char *room = n ? buf_room(out, n) : NULL;
        if (!room)
            break;
        step = coder->ops->step(coder, CODER_END, &in, room, &n);
        buf_added(out, n);
    }
    return step;
}

bool coding_whole(enum coding c, int level, struct str in, struct buf *out)
{
    if (c == CODING_IDENTITY)
        return buf_add(out, in);
    const struct coder_ops *ops = coder_of(c);
    assert(ops && level >= CODING_LEVEL_MIN && level <= CODING_LEVEL_MAX);
    bool small = in.n <= ops->small_max;
    struct coder **place = &kept[c][small];
    struct coder *coder = take_coder(ops, place, level, small);
    size_t before = out->n;
    if (!coder)
        return false;
    enum coder_step last = code(coder, in, out);
    keep_coder(coder, place, last);
    if (last != CODER_DONE)
        out->n = before;
    return last == CODER_DONE;
}

// Whole texts in and out of gzip: see the header. zlib counts input in an unsigned int, so it gets
// its bytes in pieces.
#include "content/gzip.h"

#include <zlib.h>

enum {
    PIECE = 1 << 30,      // bytes of input at a time
    ROOM_FIRST = 4 << 10, // bytes of output at a time, at first and at most
    ROOM_MAX = 1 << 20,
    GZIP_WINDOW = 15 + 16, // the largest window, and gzip's header rather than zlib's
    MEMORY_LEVEL = 8,      // zlib's own choice
    OVER = 100,            // beside zlib's codes: a byte more than the maximum
};

// What zlib is given next of the input.
static void feed(z_stream *z, struct str *s)
{
    if (z->avail_in > 0 || s->n == 0)
        return;
    size_t n = s->n < PIECE ? s->n : PIECE;
    z->next_in = (Bytef *)(uintptr_t)s->p; // zlib does not write there
    z->avail_in = (uInt)n;
    *s = str_of(s->p + n, s->n - n);
}

size_t gzip_bound(size_t n)
{
    return n + n / 1000 + 64; // stored blocks: five bytes for 16 KiB and the frame; with a margin
}

bool gzip_pack(struct str s, int level, struct buf *out)
{
    z_stream z = {0};
    int rc = deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (rc != Z_OK)
        return false;
    while (rc == Z_OK) {
        size_t left = out->max - out->n, want = left < ROOM_MAX ? left : ROOM_MAX;
        char *room = buf_room(out, want);
        if (!room || want == 0)
            break;
        feed(&z, &s);
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)want;
        rc = deflate(&z, s.n > 0 ? Z_NO_FLUSH : Z_FINISH);
        buf_added(out, want - z.avail_out);
    }
    deflateEnd(&z);
    return rc == Z_STREAM_END;
}

// Unpacks until the member or the input ends, or the room: Z_OK where there is more to do. At out's
// maximum there is one byte of room that must stay empty.
static int unpack_some(z_stream *z, struct buf *out)
{
    size_t left = out->max - out->n, want = out->n > ROOM_FIRST ? out->n : ROOM_FIRST;
    char spare, *room = &spare;
    want = want < ROOM_MAX ? want : ROOM_MAX;
    want = want < left ? want : left;
    if (want > 0 && !(room = buf_room(out, want)))
        return Z_MEM_ERROR;
    z->next_out = (Bytef *)room;
    z->avail_out = (uInt)(want > 0 ? want : 1);
    int rc = inflate(z, Z_NO_FLUSH);
    if (want > 0)
        buf_added(out, want - z->avail_out);
    else if (z->avail_out == 0)
        return OVER;
    return rc;
}

static bool begins_member(const z_stream *z)
{
    return z->next_in[0] == 0x1f && (z->avail_in == 1 || z->next_in[1] == 0x8b);
}

// One member; s is what zlib has not been given yet. It is too short when zlib, given all of it and
// room, does nothing any more.
static enum gzip_verdict unpack_member(z_stream *z, struct str *s, struct buf *out)
{
    for (;;) {
        feed(z, s);
        switch (unpack_some(z, out)) {
        case Z_OK:
            break;
        case Z_STREAM_END:
            return GZIP_WHOLE;
        case Z_BUF_ERROR:
            return GZIP_SHORT;
        case OVER:
            return GZIP_TOO_LARGE;
        case Z_MEM_ERROR:
            return GZIP_NO_MEMORY;
        default:
            return GZIP_BAD;
        }
    }
}

static enum gzip_verdict unpack_members(z_stream *z, struct str s, struct buf *out)
{
    for (;;) {
        enum gzip_verdict v = unpack_member(z, &s, out);
        feed(z, &s);
        if (v != GZIP_WHOLE || z->avail_in == 0)
            return v;
        if (!begins_member(z))
            return GZIP_TRAILING;
        inflateReset(z);
    }
}

enum gzip_verdict gzip_unpack(struct str s, struct buf *out)
{
    z_stream z = {0};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return GZIP_NO_MEMORY;
    enum gzip_verdict v = unpack_members(&z, s, out);
    inflateEnd(&z);
    return v;
}

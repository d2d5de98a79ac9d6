// Several ranges as one body: see the header. All heads are written when the source is made, into
// one text, so that its length is known and a pull only walks: head, range, head, range, …, end.
#include "content/byteranges.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct byteranges {
    struct body_source source; // first
    struct byteranges_from from;
    struct byte_range ranges[RANGES_MAX];
    uint32_t head_end[RANGES_MAX]; // where the head of a range ends in heads
    unsigned n;
    unsigned at;   // the range in hand; n: the closing delimiter
    bool in_range; // its head was given
    bool over;
    struct buf heads; // all heads, and the closing delimiter
    char *block;      // of a file
};

static struct str piece_of_heads(const struct byteranges *b)
{
    uint32_t from = b->at ? b->head_end[b->at - 1] : 0;
    uint32_t to = b->at < b->n ? b->head_end[b->at] : (uint32_t)b->heads.n;
    return str_of(b->heads.p + from, to - from);
}

// The next bytes of the range in hand, at most a block. False when the file does not have them.
static bool take(struct byteranges *b, struct str *out)
{
    struct byte_range *r = &b->ranges[b->at];
    uint64_t left = r->last - r->first + 1;
    size_t n = left < BYTERANGES_BLOCK ? (size_t)left : BYTERANGES_BLOCK;
    if (b->from.fd < 0) {
        *out = str_of(b->from.bytes.p + r->first, n);
    } else {
        ssize_t got;
        do
            got = pread(b->from.fd, b->block, n, b->from.at + (off_t)r->first);
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            return false;
        *out = str_of(b->block, (size_t)got);
    }
    if (out->n == left) {
        b->at++;
        b->in_range = false;
    } else {
        r->first += out->n;
    }
    return true;
}

static enum body_pull pull(struct body_source *s, struct str *out)
{
    struct byteranges *b = (struct byteranges *)s;
    if (b->over)
        return BODY_END;
    if (b->in_range)
        return take(b, out) ? BODY_SOME : BODY_FAILED;
    *out = piece_of_heads(b);
    b->over = b->at == b->n;
    b->in_range = !b->over;
    return BODY_SOME;
}

static void free_it(struct byteranges *b)
{
    buf_fini(&b->heads);
    free(b->block);
    free(b);
}

static void close_it(struct body_source *s)
{
    struct byteranges *b = (struct byteranges *)s;
    if (b->from.release)
        b->from.release(b->from.arg);
    free_it(b);
}

static const struct body_source_ops ops = {.pull = pull, .close = close_it};

static bool add_head(struct byteranges *b, const char *boundary, struct str type, unsigned i)
{
    const struct byte_range *r = &b->ranges[i];
    bool ok = buf_addf(&b->heads, "%s--%s\r\n", i ? "\r\n" : "", boundary);
    if (type.n)
        ok = ok && buf_add(&b->heads, STR("Content-Type: ")) && buf_add(&b->heads, type) &&
             buf_add(&b->heads, STR("\r\n"));
    ok = ok && buf_addf(&b->heads, "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
                        (unsigned long long)r->first, (unsigned long long)r->last,
                        (unsigned long long)b->from.size);
    b->head_end[i] = (uint32_t)b->heads.n;
    return ok;
}

static bool add_heads(struct byteranges *b, struct str type, const char *boundary)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < b->n; i++)
        ok = add_head(b, boundary, type, i);
    return ok && buf_addf(&b->heads, "\r\n--%s--\r\n", boundary);
}

struct body_source *byteranges_new(const struct byteranges_from *from,
                                   const struct byte_range *ranges, unsigned n,
                                   struct str content_type, char type[static BYTERANGES_TYPE],
                                   int64_t *length)
{
    unsigned long long secret[2];
    char boundary[40];
    struct byteranges *b = calloc(1, sizeof *b);
    if (!b || getrandom(secret, sizeof secret, 0) != sizeof secret) {
        free(b);
        return NULL;
    }
    b->source.ops = &ops;
    b->from = *from;
    b->n = n;
    memcpy(b->ranges, ranges, n * sizeof *ranges);
    buf_init(&b->heads, BYTERANGES_HEADS);
    b->block = from->fd < 0 ? NULL : malloc(BYTERANGES_BLOCK);
    snprintf(boundary, sizeof boundary, "%016llx%016llx", secret[0], secret[1]);
    if ((from->fd >= 0 && !b->block) || !add_heads(b, content_type, boundary)) {
        free_it(b);
        return NULL;
    }
    snprintf(type, BYTERANGES_TYPE, "multipart/byteranges; boundary=%s", boundary);
    uint64_t total = b->heads.n;
    for (unsigned i = 0; i < n; i++)
        total += ranges[i].last - ranges[i].first + 1;
    *length = (int64_t)total;
    return &b->source;
}

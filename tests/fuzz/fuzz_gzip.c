// Gzip from arbitrary bytes: the maximum holds, a smaller one changes nothing but whether the
// result is too large, and what is packed comes back.
// sources: src/base/str.c src/base/buf.c src/content/gzip.c
// packages: zlib
#include "content/gzip.h"

#include <assert.h>
#include <string.h>

enum { MAX = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bound(struct str s, enum gzip_verdict whole, const struct buf *result)
{
    struct buf less;
    if (result->n == 0)
        return;
    buf_init(&less, result->n - 1);
    enum gzip_verdict v = gzip_unpack(s, &less);
    assert(v == GZIP_TOO_LARGE && less.n == less.max);
    assert(memcmp(less.p ? less.p : "", result->p, less.n) == 0);
    buf_fini(&less);
    if (whole == GZIP_TOO_LARGE)
        return;
    buf_init(&less, result->n); // exactly enough
    assert(gzip_unpack(s, &less) == whole && less.n == result->n);
    buf_fini(&less);
}

static void check_unpack(struct str s)
{
    struct buf out;
    buf_init(&out, MAX);
    enum gzip_verdict v = gzip_unpack(s, &out);
    assert(v != GZIP_NO_MEMORY && out.n <= MAX);
    assert(v != GZIP_WHOLE || s.n >= 18);
    check_bound(s, v, &out);
    buf_fini(&out);
}

static void check_pack(struct str s)
{
    struct buf packed, twice, back;
    buf_init(&packed, gzip_bound(s.n));
    buf_init(&back, 2 * s.n);
    assert(gzip_pack(s, s.n % 10, &packed) && packed.n <= gzip_bound(s.n));
    buf_init(&twice, 2 * packed.n);
    assert(buf_add(&twice, buf_str(&packed)) && buf_add(&twice, buf_str(&packed)));
    assert(gzip_unpack(buf_str(&twice), &back) == GZIP_WHOLE && back.n == 2 * s.n);
    assert(s.n == 0 || memcmp(back.p, s.p, s.n) == 0);
    for (size_t cut = 1; cut <= 9 && cut < packed.n; cut++) {
        buf_clear(&back);
        assert(gzip_unpack(str_of(packed.p, packed.n - cut), &back) == GZIP_SHORT);
    }
    buf_fini(&packed);
    buf_fini(&twice);
    buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_of((const char *)data, size);
    check_unpack(input);
    if (size > 0 && size % 16 == 0) // it takes its time
        check_pack(input);
    return 0;
}

// Byte ranges: see the header. A set that is wrong anywhere is ignored as a whole, since the client
// then meant something else than we would send.
#include "http/range.h"

// 1*DIGIT; what does not fit counts as the largest number.
static bool saturating(struct str s, uint64_t *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    if (!str_to_u64(s, out))
        *out = UINT64_MAX;
    return s.n > 0;
}

enum spec {
    SPEC_BAD,
    SPEC_BEYOND, // well-formed, but nothing of the representation is in it
    SPEC_OK,
};

// "-500": the last 500 bytes.
static enum spec suffix_spec(struct str digits, uint64_t size, struct byte_range *out)
{
    uint64_t length;
    if (!saturating(digits, &length))
        return SPEC_BAD;
    if (length == 0 || size == 0)
        return SPEC_BEYOND;
    *out = (struct byte_range){length < size ? size - length : 0, size - 1};
    return SPEC_OK;
}

// "0-499", "500-" or a suffix.
static enum spec range_spec(struct str s, uint64_t size, struct byte_range *out)
{
    uint64_t first, last = UINT64_MAX;
    ptrdiff_t dash = str_find(s, '-');
    if (dash < 0)
        return SPEC_BAD;
    struct str end = str_of(s.p + dash + 1, s.n - (size_t)dash - 1);
    if (dash == 0)
        return suffix_spec(end, size, out);
    if (!saturating(str_of(s.p, (size_t)dash), &first) || (end.n && !saturating(end, &last)))
        return SPEC_BAD;
    if (first > last)
        return SPEC_BAD;
    if (first >= size)
        return SPEC_BEYOND;
    *out = (struct byte_range){first, last < size ? last : size - 1};
    return SPEC_OK;
}

// How many of the ranges share a byte with another one.
static unsigned overlapping(const struct byte_range *r, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        bool shares = false;
        for (unsigned k = 0; k < n; k++)
            shares |= k != i && r[k].first <= r[i].last && r[i].first <= r[k].last;
        count += shares;
    }
    return count;
}

// The part of field behind "bytes=", with nothing but the list in it.
static bool byte_set(struct str field, struct str *set)
{
    static const struct str unit = STR("bytes=");
    if (field.n <= unit.n || !str_ieq(str_of(field.p, unit.n), unit))
        return false;
    *set = str_of(field.p + unit.n, field.n - unit.n);
    return set->p[0] != ' ' && set->p[0] != '\t';
}

enum range_verdict range_parse(struct str field, uint64_t size,
                               struct byte_range out[static RANGES_MAX], unsigned *n)
{
    struct str set, piece;
    unsigned asked = 0, some = 0;
    *n = 0;
    if (!byte_set(field, &set))
        return RANGE_NONE;
    while (str_split(&set, ',', &piece)) {
        piece = str_trim(piece);
        if (piece.n == 0)
            continue; // a list may have empty elements (§5.6.1.2)
        if (asked++ == RANGES_MAX)
            return RANGE_NONE;
        enum spec spec = range_spec(piece, size, &out[some]);
        if (spec == SPEC_BAD)
            return RANGE_NONE;
        some += spec == SPEC_OK;
    }
    if (asked == 0 || overlapping(out, some) > 2)
        return RANGE_NONE;
    *n = some;
    return some ? RANGE_SOME : RANGE_UNSATISFIABLE;
}

// Names and values of forms and query strings. Nothing here is an error: the format has a meaning
// for every sequence of bytes.
//
// One look at each byte finds where a pair and its name end, and whether there is anything to decode.
#include "http/form.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 16 }; // bytes that are looked at together

// Which of the bytes of a block are one of & = + %: a bit each.
static inline unsigned marks_in(const char *p)
{
#ifdef __SSE2__
    __m128i w = _mm_loadu_si128((const __m128i *)p);
    __m128i ends =
        _mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('&')), _mm_cmpeq_epi8(w, _mm_set1_epi8('=')));
    __m128i coded =
        _mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('+')), _mm_cmpeq_epi8(w, _mm_set1_epi8('%')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(ends, coded));
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        bits |= (unsigned)(p[i] == '&' || p[i] == '=' || p[i] == '+' || p[i] == '%') << i;
    return bits;
#endif
}

// The same for what is left of a text.
static inline unsigned marks_at(const char *p, const char *end)
{
    char last[BLOCK] = {0};
    if (end - p >= BLOCK)
        return marks_in(p);
    memcpy(last, p, (size_t)(end - p));
    return marks_in(last);
}

// The pair from p on. Returns where it ends.
static const char *read_pair(const char *p, const char *end, struct form_pair *pair)
{
    const char *from = p, *equals = NULL;
    bool coded = false, name_coded = false;
    while (p < end) {
        for (unsigned bits = marks_at(p, end); bits; bits &= bits - 1) {
            const char *at = p + __builtin_ctz(bits);
            if (*at == '&') {
                end = at;
                break;
            }
            if (*at != '=') {
                coded = true;
            } else if (!equals) {
                equals = at;
                name_coded = coded;
                coded = false;
            }
        }
        p = end - p > BLOCK ? p + BLOCK : end;
    }
    pair->name = str_of(from, (size_t)((equals ? equals : end) - from));
    pair->value = equals ? str_of(equals + 1, (size_t)(end - equals - 1)) : str_of(end, 0);
    pair->name_coded = equals ? name_coded : coded;
    pair->value_coded = equals && coded;
    return end;
}

bool form_next(struct str *rest, struct form_pair *pair)
{
    if (rest->n == 0)
        return false;
    const char *p = rest->p, *end = p + rest->n;
    while (p < end && *p == '&')
        p++;
    bool some = p < end;
    if (some)
        p = read_pair(p, end, pair);
    *rest = str_of(p, (size_t)(end - p));
    return some;
}

size_t form_count(struct str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] != '&' && (i == 0 || text.p[i - 1] == '&');
    return n;
}

size_t form_decode(char *dst, struct str s)
{
    return pct_decode_any(dst, s, ' ');
}

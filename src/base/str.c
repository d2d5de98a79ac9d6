// Slices: see the header. Everything here is a loop over bytes, or eight of them, with a bound in
// sight.
#include "base/str.h"

#include <string.h>

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

struct str str_z(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

bool str_same_bytes(const char *a, const char *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0;
}

// --- letters, eight bytes at a time ---

#define BYTES(c) (0x0101010101010101u * (uint64_t)(c))

// A sum reaches a byte's highest bit, which only bytes beyond ASCII have themselves, from a letter
// on.
static inline uint64_t lower_word(uint64_t w)
{
    uint64_t low = w & BYTES(0x7f);
    uint64_t upper = (low + BYTES(0x80 - 'A')) & ~(low + BYTES(0x7f - 'Z')) & ~w & BYTES(0x80);
    return w | upper >> 2; // 'A' and 'a' differ in the bit 0x20
}

// Whether they are the same but for the case of letters: what differs is the bit 0x20 of a letter.
static inline bool same_word(uint64_t a, uint64_t b)
{
    uint64_t differs = a ^ b, low = (a | BYTES(0x20)) & BYTES(0x7f);
    uint64_t letters = (low + BYTES(0x80 - 'a')) & ~(low + BYTES(0x7f - 'z')) & ~a;
    return (differs & ~(letters >> 2 & BYTES(0x20))) == 0;
}

// The n bytes at p, as long as they are fewer than eight, as a number of their own.
static inline uint64_t load_few(const char *p, size_t n)
{
    uint64_t w = 0;
    if (n >= 4) { // twice what lies in the middle
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        return (uint64_t)first << 32 | last;
    }
    for (size_t i = 0; i < n; i++)
        w = w << 8 | (unsigned char)p[i];
    return w;
}

static inline uint64_t load(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

bool str_same_letters(const char *a, const char *b, size_t n)
{
    if (n < 8)
        return same_word(load_few(a, n), load_few(b, n));
    for (size_t i = 0; i < n - 8; i += 8)
        if (!same_word(load(a + i), load(b + i)))
            return false;
    return same_word(load(a + n - 8), load(b + n - 8));
}

int str_order(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_of(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_of(s.p + (s.n - suffix.n), suffix.n), suffix);
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *piece)
{
    if (!rest->p)
        return false;
    ptrdiff_t at = str_find(*rest, sep);
    if (at < 0) {
        *piece = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    *piece = str_of(rest->p, (size_t)at);
    *rest = str_of(rest->p + at + 1, rest->n - (size_t)at - 1);
    return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

char *str_put_u64(char *p, uint64_t v)
{
    int n = 1;
    for (uint64_t rest = v; rest >= 10; rest /= 10)
        n++;
    for (int i = n; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int pct_byte(struct str s)
{
    if (s.n < 3 || s.p[0] != '%')
        return -1;
    int high = hex_value((unsigned char)s.p[1]);
    int low = hex_value((unsigned char)s.p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

ptrdiff_t pct_decode(char *dst, struct str s)
{
    char *d = dst;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            *d++ = s.p[i];
            continue;
        }
        int byte = pct_byte(str_of(s.p + i, s.n - i));
        if (byte < 0)
            return -1;
        *d++ = (char)byte;
        i += 2;
    }
    return d - dst;
}

size_t pct_decode_any(char *dst, struct str s, char plus)
{
    char *d = dst;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            *d++ = s.p[i] == '+' ? plus : s.p[i];
            continue;
        }
        int byte = pct_byte(str_of(s.p + i, s.n - i));
        *d++ = byte < 0 ? '%' : (char)byte;
        i += byte < 0 ? 0 : 2;
    }
    return (size_t)(d - dst);
}

void ascii_lower(char *dst, const char *src, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t w = lower_word(load(src + i));
        memcpy(dst + i, &w, 8);
    }
    for (; i < n; i++)
        dst[i] = (char)lower((unsigned char)src[i]);
}

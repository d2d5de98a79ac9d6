// JSON strings and numbers.
//
// Most strings need no escape and most floats have few digits, so both have a short way through: a
// string is looked at eight bytes at a time and copied whole; a float is tried as an integer over a
// power of ten, then with 128 bits, before printf and strtod are asked.
#include "script/json_text.h"

#include "base/utf8.h"
#include "script/json_number.h"
#include "script/json_plain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

// Room for n more bytes, without a call where there is some already.
static inline char *room(struct buf *b, size_t n)
{
    return b->cap - b->n >= n && b->p ? b->p + b->n : buf_room(b, n);
}

// --- strings ---

// What follows the backslash for each byte that has to be escaped; 'u' is \u00XX.
static const char escapes[256] = {
    [0 ... 7] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',    ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static bool add_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char *d = room(out, 6);
    if (!d)
        return false;
    d[0] = '\\';
    d[1] = escapes[c];
    if (escapes[c] != 'u') {
        buf_added(out, 2);
        return true;
    }
    memcpy(d + 2, "00", 2);
    d[4] = hex[c >> 4];
    d[5] = hex[c & 15];
    buf_added(out, 6);
    return true;
}

// The bytes of a string from one that is not plain to end.
static enum json_text add_mixed(struct buf *out, const char *p, const char *end, bool replace)
{
    const char *from = p; // what is not yet copied
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        int step = c < 0x80 ? 1 : utf8_step(p, (size_t)(end - p));
        if (step > 0 && c >= 0x80) {
            p = json_plain_skip(p + step, end);
            continue;
        }
        if (step < 0 && !replace)
            return JSON_TEXT_NOT_UTF8;
        if (!buf_add(out, str_of(from, (size_t)(p - from))))
            return JSON_TEXT_FULL;
        if (!(step < 0 ? buf_add(out, STR("\xef\xbf\xbd")) : add_escape(out, c)))
            return JSON_TEXT_FULL;
        from = p + abs(step);
        p = json_plain_skip(from, end);
    }
    return buf_add(out, str_of(from, (size_t)(end - from))) ? JSON_TEXT_OK : JSON_TEXT_FULL;
}

enum json_text json_text_string(struct buf *out, struct str s, bool replace)
{
    char *d = s.n <= out->max ? room(out, s.n + 2) : NULL;
    if (!d)
        return JSON_TEXT_FULL;
    d[0] = '"';
    if (json_plain_whole(d + 1, s.p, s.n)) {
        d[s.n + 1] = '"';
        out->n += s.n + 2;
        return JSON_TEXT_OK;
    }
    const char *end = s.p + s.n, *p = json_plain_copy(d + 1, s.p, end);
    out->n += 1 + (size_t)(p - s.p);
    enum json_text r = add_mixed(out, p, end, replace);
    if (r != JSON_TEXT_OK)
        return r;
    return buf_addc(out, '"') ? JSON_TEXT_OK : JSON_TEXT_FULL;
}

enum json_text json_text_key(struct buf *out, char mark, struct str key, bool replace)
{
    char *d = key.n <= out->max ? room(out, key.n + 4) : NULL;
    if (!d)
        return JSON_TEXT_FULL;
    d[0] = mark;
    d[1] = '"';
    if (json_plain_whole(d + 2, key.p, key.n)) {
        memcpy(d + 2 + key.n, "\":", 2);
        out->n += key.n + 4;
        return JSON_TEXT_OK;
    }
    out->n++;
    enum json_text r = json_text_string(out, key, replace);
    if (r != JSON_TEXT_OK)
        return r;
    return buf_addc(out, ':') ? JSON_TEXT_OK : JSON_TEXT_FULL;
}

// --- numbers ---

// The decimal digits of v, which end at end. Returns where they begin.
static char *digits(char *end, uint64_t v)
{
    do {
        *--end = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return end;
}

size_t json_text_format_integer(char dst[static JSON_TEXT_NUMBER], int64_t v)
{
    char text[JSON_TEXT_NUMBER], *end = text + sizeof text;
    char *p = digits(end, v < 0 ? -(uint64_t)v : (uint64_t)v);
    if (v < 0)
        *--p = '-';
    memcpy(dst, p, (size_t)(end - p));
    return (size_t)(end - p);
}

// The decimal n/10^k, k at least 1: 0.05 is the digits 005 over 10^2. Returns the length.
static size_t put_decimal(char *dst, uint64_t n, int k)
{
    char all[JSON_TEXT_NUMBER], *end = all + sizeof all;
    char *p = digits(end, n);
    while (end - p <= k)
        *--p = '0';
    size_t whole = (size_t)(end - p) - (size_t)k;
    memcpy(dst, p, whole);
    dst[whole] = '.';
    memcpy(dst + whole + 1, p + whole, (size_t)k);
    return whole + 1 + (size_t)k;
}

// Of the usual size are those from 1e-4 to below 1e15.

// v of the usual size as a decimal of at most 15 digits, if that is exactly v: v*10^k is then close
// to an integer r below 10^15, both r and 10^k are exact doubles, and so r/10^k is the double
// nearest to the decimal. The first k that succeeds has the fewest digits. Returns the length, 0
// for none.
static size_t short_decimal(char *dst, double v)
{
    double scale = 10;
    for (int k = 1; k <= 18; k++, scale *= 10) {
        double r = (double)(int64_t)(v * scale + 0.5);
        if (r >= 1e15)
            return 0;
        if (r / scale == v)
            return put_decimal(dst, (uint64_t)r, k);
    }
    return 0;
}

// v·10^k, rounded, for v of the usual size and k at most 20. As m/2^shift·10^k that takes less than
// 53 + 67 bits.
static uint64_t scaled(double v, int k)
{
    int exponent;
    wide m = (wide)ldexp(frexp(v, &exponent), 53);
    int shift = 53 - exponent;
    for (; k > 0; k--)
        m *= 10;
    return (uint64_t)((m + ((wide)1 << (shift - 1))) >> shift);
}

// v of the usual size, which 15 digits are too few for, with 16 if they read back as v, else 17.
static size_t middle_decimal(char *dst, double v)
{
    int whole = 0, zeros = 0; // digits before the point, or zeros behind it
    double back;
    for (double power = 1; power <= v; power *= 10)
        whole++;
    for (double power = 0.1; power > v; power /= 10)
        zeros++;
    int k = 16 - whole + zeros;
    uint64_t n = scaled(v, k);
    if (json_number_small(n, -k, &back) && back == v)
        return put_decimal(dst, n, k);
    return put_decimal(dst, scaled(v, k + 1), k + 1);
}

// Any finite v with as few digits, from 15 to 17, as read back. A script may have set a locale
// whose decimal point is another, even one of several bytes.
static size_t long_decimal(char *dst, double v)
{
    char text[JSON_TEXT_NUMBER];
    int precision = 15;
    do
        snprintf(text, sizeof text, "%.*g", precision, v);
    while (precision++ < 17 && strtod(text, NULL) != v);
    size_t n = 0;
    bool foreign = false;
    for (const char *p = text; *p; p++) {
        bool known = (*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == 'e';
        if (known || !foreign)
            dst[n++] = known ? *p : '.';
        foreign = !known;
    }
    return n;
}

size_t json_text_format_float(char dst[static JSON_TEXT_NUMBER], double v)
{
    if (!isfinite(v))
        return 0;
    if (v == 0 && signbit(v)) {
        memcpy(dst, "-0.0", 4);
        return 4;
    }
    if (fabs(v) <= 0x1p53 && (double)(int64_t)v == v)
        return json_text_format_integer(dst, (int64_t)v);
    size_t sign = v < 0;
    double positive = fabs(v);
    dst[0] = '-';
    if (positive < 1e-4 || positive >= 1e15)
        return sign + long_decimal(dst + sign, positive);
    size_t n = short_decimal(dst + sign, positive);
    return sign + (n ? n : middle_decimal(dst + sign, positive));
}

static enum json_text add_number(struct buf *out, const char *p, size_t n)
{
    char *d = room(out, n);
    if (!d)
        return JSON_TEXT_FULL;
    memcpy(d, p, n);
    out->n += n;
    return JSON_TEXT_OK;
}

enum json_text json_text_integer(struct buf *out, int64_t v)
{
    char text[JSON_TEXT_NUMBER];
    size_t n = json_text_format_integer(text, v);
    return add_number(out, text, n);
}

enum json_text json_text_float(struct buf *out, double v)
{
    char text[JSON_TEXT_NUMBER];
    size_t n = json_text_format_float(text, v);
    return n ? add_number(out, text, n) : JSON_TEXT_NOT_FINITE;
}

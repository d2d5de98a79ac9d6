// Base64: see the header. Three bytes and four digits are the same 24 bits.
#include "base/base64.h"

size_t base64_length(size_t n, enum base64_form form)
{
    static const size_t digits[] = {0, 2, 3};
    if (form == BASE64_STANDARD)
        return (n + 2) / 3 * 4;
    return n / 3 * 4 + digits[n % 3];
}

size_t base64_encode(char *dst, struct str s, enum base64_form form)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *alphabet = form == BASE64_URL ? url : standard;
    char *d = dst;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i < 3 ? s.n - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < left ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k <= left; k++)
            *d++ = alphabet[bits >> (18 - 6 * k) & 63];
        for (size_t k = left; form == BASE64_STANDARD && k < 3; k++)
            *d++ = '=';
    }
    return (size_t)(d - dst);
}

// The six bits of a digit, or -1.
static int digit_value(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

// The digits of s, without the padding that belongs to them.
static struct str without_padding(struct str s)
{
    for (int i = 0; i < 2 && s.n % 4 != 1 && s.n > 0 && s.p[s.n - 1] == '='; i++)
        s.n--;
    return s;
}

ptrdiff_t base64_decode(char *dst, struct str s, enum base64_form form)
{
    struct str digits = s.n % 4 == 0 && form == BASE64_STANDARD ? without_padding(s) : s;
    uint32_t bits = 0;
    char *d = dst;
    for (size_t i = 0; i < digits.n; i++) {
        int value = digit_value((unsigned char)digits.p[i], form == BASE64_URL);
        if (value < 0)
            return -1 - (ptrdiff_t)i;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        if (i % 4 > 0)
            *d++ = (char)(bits >> (6 - 2 * (i % 4)));
    }
    bool early = digits.n % 4 == 1 || (form == BASE64_STANDARD && s.n % 4 != 0);
    if (early)
        return -1 - (ptrdiff_t)s.n;
    uint32_t over = digits.n % 4 == 2 ? bits & 15 : digits.n % 4 == 3 ? bits & 3 : 0;
    return over ? -(ptrdiff_t)digits.n : d - dst; // the last digit is wrong
}

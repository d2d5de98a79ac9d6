// Reading numbers, in three ways: most have so few digits that one multiplication or division of
// doubles is exact; nearly all others fit in 128 bits; the rest is left to strtod.
#include "script/json_number.h"

#include "script/json_scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

enum {
    DIGITS = 19,             // as many decimal digits always fit in 64 bits
    DIGITS_KEPT = 800,       // more than decide how a decimal is rounded to a double: 767
    EXPONENT_BOUND = 100000, // far beyond the doubles, even for DIGITS_KEPT digits
};
// Up to here each integer is a double.
#define REAL_EXACT ((uint64_t)1 << 53)
// Exponents are counted no further: what is larger would need as many digits to matter.
#define EXPONENT_COUNTED ((int64_t)1 << 50)

// Powers of ten that are doubles, and those that fit in 64 bits.
static const double real_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t powers[] = {1u,
                                  10u,
                                  100u,
                                  1000u,
                                  10000u,
                                  100000u,
                                  1000000u,
                                  10000000u,
                                  100000000u,
                                  1000000000u,
                                  10000000000u,
                                  100000000000u,
                                  1000000000000u,
                                  10000000000000u,
                                  100000000000000u,
                                  1000000000000000u,
                                  10000000000000000u,
                                  100000000000000000u,
                                  1000000000000000000u,
                                  10000000000000000000u};

// digits/power. The quotient has 64 bits at least, and its lowest one also stands for all that
// follow: so the conversion to a double rounds right.
static double quotient(uint64_t digits, uint64_t power)
{
    int shift = 64 + __builtin_clzll(digits);
    wide n = (wide)digits << shift, q = n / power;
    q |= q * power != n;
    return ldexp((double)q, -shift);
}

bool json_number_small(uint64_t digits, int64_t exponent, double *out)
{
    if (digits <= REAL_EXACT && exponent >= -22 && exponent <= 22) {
        double d = (double)digits;
        *out = exponent < 0 ? d / real_powers[-exponent] : d * real_powers[exponent];
    } else if (exponent < -DIGITS || exponent > DIGITS) {
        return false;
    } else {
        *out = exponent < 0 ? quotient(digits, powers[-exponent])
                            : (double)((wide)digits * powers[exponent]);
    }
    return true;
}

// --- reading ---

// A number as it is written: digits·10^exponent.
struct decimal {
    const char *from, *to; // the digits, and perhaps a point among them
    size_t count;          // how many digits, leading zeros too
    uint64_t digits;       // as a number, right for up to DIGITS of them
    int64_t exponent;
};

static inline bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

// The digits at in->p, of which there must be one.
static inline bool take_digits(struct json_scan *in, struct decimal *number)
{
    const char *p = in->p;
    uint64_t digits = number->digits;
    for (; is_digit(p, in->end); p++)
        digits = digits * 10 + (uint64_t)(*p - '0');
    number->digits = digits;
    number->count += (size_t)(p - in->p);
    if (p == in->p)
        return json_scan_expected(in, "a digit");
    in->p = p;
    return true;
}

static bool take_whole(struct json_scan *in, struct decimal *number)
{
    if (in->end - in->p >= 2 && *in->p == '0' && is_digit(in->p + 1, in->end))
        return json_scan_fail(in, "a number with a leading zero");
    return take_digits(in, number);
}

// The fraction, whose point is at in->p.
static bool take_fraction(struct json_scan *in, struct decimal *number)
{
    size_t whole = number->count;
    in->p++;
    if (!take_digits(in, number))
        return false;
    number->exponent = (int64_t)whole - (int64_t)number->count;
    return true;
}

// The exponent, whose 'e' is at in->p.
static bool take_exponent(struct json_scan *in, struct decimal *number)
{
    int64_t exponent = 0;
    in->p++;
    bool negative = in->p < in->end && *in->p == '-';
    if (in->p < in->end && (*in->p == '-' || *in->p == '+'))
        in->p++;
    if (!is_digit(in->p, in->end))
        return json_scan_expected(in, "a digit");
    for (; is_digit(in->p, in->end); in->p++)
        if (exponent < EXPONENT_COUNTED)
            exponent = exponent * 10 + (*in->p - '0');
    number->exponent += negative ? -exponent : exponent;
    return true;
}

// Any number, by strtod: it gets digits and an exponent without a point, for which a locale might
// have another character. Digits that cannot matter any more are left out, but for a 1 in their
// place when they are not all zeros: that tells a tie from what is above it.
static double slow_real(const struct decimal *number)
{
    char text[DIGITS_KEPT + 32];
    size_t n = 0;
    int64_t exponent = number->exponent;
    bool more = false;
    for (const char *p = number->from; p < number->to; p++) {
        if (*p == '.' || (*p == '0' && n == 0))
            continue;
        if (n < DIGITS_KEPT) {
            text[n++] = *p;
        } else {
            more |= *p != '0';
            exponent++;
        }
    }
    if (n == 0)
        return 0;
    if (more) {
        text[n++] = '1';
        exponent--;
    }
    if (exponent > EXPONENT_BOUND || exponent < -EXPONENT_BOUND)
        exponent = exponent < 0 ? -EXPONENT_BOUND : EXPONENT_BOUND;
    snprintf(text + n, sizeof text - n, "e%lld", (long long)exponent);
    return strtod(text, NULL);
}

static bool set_integer(struct json_number *out, const struct decimal *number, bool negative)
{
    // In two's complement there is one more below zero.
    if (number->count > DIGITS || number->digits > (uint64_t)INT64_MAX + negative)
        return false;
    out->integral = true;
    out->integer = (int64_t)(negative ? -number->digits : number->digits);
    return true;
}

static void set_real(struct json_number *out, const struct decimal *number, bool negative)
{
    double v;
    if (number->count > DIGITS || !json_number_small(number->digits, number->exponent, &v))
        v = slow_real(number);
    out->integral = false;
    out->real = negative ? -v : v;
}

bool json_scan_number(struct json_scan *in, struct json_number *out)
{
    const char *start = in->p;
    bool negative = *in->p == '-';
    in->p += negative;
    struct decimal number = {.from = in->p};
    if (!take_whole(in, &number))
        return false;
    if (in->p == in->end || (*in->p != '.' && (*in->p | 0x20) != 'e')) {
        if (set_integer(out, &number, negative))
            return true;
    } else if (*in->p == '.' && !take_fraction(in, &number)) {
        return false;
    }
    number.to = in->p;
    if (in->p < in->end && (*in->p | 0x20) == 'e' && !take_exponent(in, &number))
        return false;
    set_real(out, &number, negative);
    if (!isinf(out->real))
        return true;
    in->p = start;
    return json_scan_fail(in, "a number too large for a float");
}

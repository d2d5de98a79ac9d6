// Reading numbers, in three ways: most have so few digits that one multiplication or division of
// doubles is exact; nearly all others fit in 128 bits; the rest is left to strtod.
#include "script/json_number.h"

#include "script/json_scan.h"

#include <math.h>
#include <stdlib.h>

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

// The powers of ten that are doubles, and those of five that fit in 64 bits.
static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
// clang-format off
static const uint64_t fives[] = {
    1u, 5u, 25u, 125u, 625u, 3125u, 15625u, 78125u, 390625u, 1953125u, 9765625u, 48828125u,
    244140625u, 1220703125u, 6103515625u, 30517578125u, 152587890625u, 762939453125u,
    3814697265625u, 19073486328125u, 95367431640625u, 476837158203125u, 2384185791015625u,
    11920928955078125u, 59604644775390625u, 298023223876953125u, 1490116119384765625u,
    7450580596923828125u,
};
// clang-format on
enum { TENS = sizeof tens / sizeof *tens - 1, FIVES = sizeof fives / sizeof *fives - 1 };

// digits/five·2^exponent. The quotient has 64 bits at least, and its lowest one also stands for all that would
// follow: so the conversion to a double rounds right.
static double divide(uint64_t digits, uint64_t five, int exponent)
{
    int shift = 64 + __builtin_clzll(digits);
    wide n = (wide)digits << shift, q = n / five;
    q |= q * five != n;
    return ldexp((double)q, exponent - shift);
}

bool json_number_small(uint64_t digits, int64_t exponent, double *out)
{
    if (digits <= REAL_EXACT && exponent >= -TENS && exponent <= TENS) {
        double d = (double)digits;
        *out = exponent < 0 ? d / tens[-exponent] : d * tens[exponent];
        return true;
    }
    if (digits == 0 || exponent < -FIVES || exponent > FIVES)
        return false;
    // 10^e is 5^e·2^e, and the latter takes no bits.
    *out = exponent < 0 ? divide(digits, fives[-exponent], (int)exponent)
                        : ldexp((double)((wide)digits * fives[exponent]), (int)exponent);
    return true;
}

// --- reading ---

// A number as it is written: digits·10^exponent.
struct decimal {
    const char *from, *to; // the digits, and perhaps a point among them
    size_t count;          // how many digits, without zeros before all others
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
    if (!is_digit(p, in->end))
        return json_scan_expected(in, "a digit");
    while (digits == 0 && is_digit(p, in->end) && *p == '0')
        p++;
    const char *first = p;
    for (; is_digit(p, in->end); p++)
        digits = digits * 10 + (uint64_t)(*p - '0');
    number->digits = digits;
    number->count += (size_t)(p - first);
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
    const char *point = in->p++;
    if (!take_digits(in, number))
        return false;
    number->exponent = -(in->p - point - 1);
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

// Writes the digits that decide how a number is rounded, without zeros before them; those behind
// are left out, but for a 1 in their place when they are not all zeros: that tells a tie from what
// is above it. Returns how many, and sets *exponent to that of the last one.
static size_t keep_digits(char dst[static DIGITS_KEPT + 1], const struct decimal *number,
                          int64_t *exponent)
{
    size_t n = 0;
    bool more = false;
    *exponent = number->exponent;
    for (const char *p = number->from; p < number->to; p++) {
        if (*p == '.' || (*p == '0' && n == 0))
            continue;
        if (n < DIGITS_KEPT) {
            dst[n++] = *p;
        } else {
            more |= *p != '0';
            ++*exponent;
        }
    }
    if (more) {
        dst[n++] = '1';
        --*exponent;
    }
    return n;
}

// Any number, by strtod: it gets digits and an exponent without a point, for which a locale might
// have another character.
static double slow_real(const struct decimal *number)
{
    char text[DIGITS_KEPT + 32];
    int64_t exponent;
    size_t n = keep_digits(text, number, &exponent);
    if (n == 0)
        return 0;
    if (exponent > EXPONENT_BOUND || exponent < -EXPONENT_BOUND)
        exponent = exponent < 0 ? -EXPONENT_BOUND : EXPONENT_BOUND;
    text[n++] = 'e';
    text[n++] = exponent < 0 ? '-' : '+';
    *str_put_u64(text + n, (uint64_t)llabs(exponent)) = 0;
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

static inline bool at_exponent(const struct json_scan *in)
{
    return in->p < in->end && (*in->p | 0x20) == 'e';
}

bool json_scan_number(struct json_scan *in, struct json_number *out)
{
    const char *start = in->p;
    bool negative = *in->p == '-';
    in->p += negative;
    struct decimal number = {.from = in->p};
    if (!take_whole(in, &number))
        return false;
    bool fraction = in->p < in->end && *in->p == '.';
    if (!fraction && !at_exponent(in) && set_integer(out, &number, negative))
        return true;
    if (fraction && !take_fraction(in, &number))
        return false;
    number.to = in->p;
    if (at_exponent(in) && !take_exponent(in, &number))
        return false;
    set_real(out, &number, negative);
    if (!isinf(out->real))
        return true;
    in->p = start;
    return json_scan_fail(in, "a number too large for a float");
}

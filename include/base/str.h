// Slices: a pointer and a length into bytes that somebody else owns.
//
// A slice is passed by value, is never NUL-terminated and may hold any byte. The functions here
// look at slices; nothing allocates. Letters mean ASCII letters, whatever the locale.
#ifndef LUNETTE_BASE_STR_H
#define LUNETTE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p; // may be NULL only when n is 0
    size_t n;      // bytes
};

// A slice of a string literal, usable as an initialiser and as an argument.
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
// For printf: printf("%.*s", STR_ARG(s)). Lengths beyond INT_MAX are cut by printf itself.
#define STR_ARG(s) (int)((s).n), (s).p

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

// The slice of a NUL-terminated string; NULL gives an empty slice.
struct str str_z(const char *z);

// Equality: byte for byte, and with letters folded. Most slices that are compared differ in length,
// which costs no call.
bool str_same_bytes(const char *a, const char *b, size_t n);
bool str_same_letters(const char *a, const char *b, size_t n);
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && str_same_bytes(a.p, b.p, a.n);
}
static inline bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_same_letters(a.p, b.p, a.n);
}

// Below, above or equal to 0 as a stands before, behind or with b, byte by byte. Neither p is NULL.
int str_order(struct str a, struct str b);

bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

// The position of byte c in s, or -1.
ptrdiff_t str_find(struct str s, char c);

// s without leading and trailing spaces and tabs: HTTP's optional whitespace (RFC 9110 §5.6.3).
struct str str_trim(struct str s);

// Takes the next piece of *rest up to byte sep, which is skipped. False when nothing is left, which
// a NULL rest->p marks: "a,,b" gives "a", "", "b"; "a," gives "a", ""; "" gives one empty piece.
bool str_split(struct str *rest, char sep, struct str *piece);

// The whole of s as a decimal number: digits only, at least one, no sign, no overflow.
bool str_to_u64(struct str s, uint64_t *out);

// Writes v in decimal at p, at most 20 bytes and no NUL; returns the end of what it wrote.
char *str_put_u64(char *p, uint64_t v);

// The value of a hexadecimal digit, or -1.
int hex_value(unsigned char c);

// The byte of the escape (%XX) at the front of s, or -1 when there is none.
int pct_byte(struct str s);
// Writes s to dst with %XX decoded. dst holds at least s.n bytes and may be s.p itself.
// Returns the length written, or -1 at a '%' that two hexadecimal digits do not follow.
ptrdiff_t pct_decode(char *dst, struct str s);
// The same for texts in which nothing is wrong: a '%' that is no escape stays, and plus (' ' or '+') is
// written for '+'. Returns the length.
size_t pct_decode_any(char *dst, struct str s, char plus);

// Lower-cases n bytes from src into dst, which may be the same.
void ascii_lower(char *dst, const char *src, size_t n);

#endif

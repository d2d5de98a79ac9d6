// Bytes that stand for themselves in a JSON string, looked for eight at a time: ASCII from the
// space up, without '"' and '\\' (RFC 8259 §7). For the reader and the writer of strings.
#ifndef LUNETTE_SCRIPT_JSON_PLAIN_H
#define LUNETTE_SCRIPT_JSON_PLAIN_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define JSON_PLAIN_BYTES(c) (0x0101010101010101u * (c))

static inline bool json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

// Of eight bytes, in order of their addresses from the lowest bits up, how many plain ones come
// first. A subtraction borrows only from a byte that is itself not plain, so all below the first
// such byte is exact.
static inline unsigned json_plain_word(uint64_t w)
{
    uint64_t below_space = w - JSON_PLAIN_BYTES(0x20);
    uint64_t quote = (w ^ JSON_PLAIN_BYTES('"')) - JSON_PLAIN_BYTES(1);
    uint64_t backslash = (w ^ JSON_PLAIN_BYTES('\\')) - JSON_PLAIN_BYTES(1);
    uint64_t marks = (w | below_space | quote | backslash) & JSON_PLAIN_BYTES(0x80);
    return marks ? (unsigned)__builtin_ctzll(marks) / 8 : 8;
}

// The first byte from p on that is not plain, or end.
static inline const char *json_plain_skip(const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        unsigned n = json_plain_word(le64toh(w));
        if (n < 8)
            return p + n;
    }
    while (p < end && json_is_plain((unsigned char)*p))
        p++;
    return p;
}

// Copies n bytes to d as long as they are plain. Whether all of them are: if not, what lies at d is
// undefined.
static inline bool json_plain_whole(char *d, const char *p, size_t n)
{
    uint64_t w;
    size_t i = 0;
    if (n >= 8) {
        for (; i + 8 < n; i += 8) {
            memcpy(&w, p + i, 8);
            memcpy(d + i, &w, 8);
            if (json_plain_word(w) < 8)
                return false;
        }
        memcpy(&w, p + n - 8, 8); // some of them once more
        memcpy(d + n - 8, &w, 8);
        return json_plain_word(w) == 8;
    }
    if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        memcpy(d, &first, 4);
        memcpy(d + n - 4, &last, 4);
        return json_plain_word((uint64_t)first << 32 | last) == 8;
    }
    for (; i < n && json_is_plain((unsigned char)p[i]); i++)
        d[i] = p[i];
    return i == n;
}

// As json_plain_skip, and copies what it passes to d, where there is room for end - p bytes: what lies there
// beyond the copy is undefined.
static inline const char *json_plain_copy(char *d, const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8, d += 8) {
        memcpy(&w, p, 8);
        memcpy(d, &w, 8);
        unsigned n = json_plain_word(le64toh(w));
        if (n < 8)
            return p + n;
    }
    while (p < end && json_is_plain((unsigned char)*p))
        *d++ = *p++;
    return p;
}

#endif

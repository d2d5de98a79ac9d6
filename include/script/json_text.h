// The leaves of JSON text (RFC 8259): strings and numbers, appended to a buffer. Knows nothing of
// Lua.
#ifndef LUNETTE_SCRIPT_JSON_TEXT_H
#define LUNETTE_SCRIPT_JSON_TEXT_H

#include "base/buf.h"

enum json_text {
    JSON_TEXT_OK,
    JSON_TEXT_FULL,       // the buffer's max or memory is reached
    JSON_TEXT_NOT_UTF8,   // only strings
    JSON_TEXT_NOT_FINITE, // only floats: NaN and the infinities
};

// After any result but OK the buffer may hold a part of the text.

// s in quotes, with the escapes that RFC 8259 §7 requires and no other. With replace, each maximal
// piece that is not UTF-8 becomes U+FFFD.
enum json_text json_text_string(struct buf *out, struct str s, bool replace);
// mark, which is '{' or ',', then key as such a string and a colon.
enum json_text json_text_key(struct buf *out, char mark, struct str key, bool replace);
enum json_text json_text_integer(struct buf *out, int64_t v);
enum json_text json_text_float(struct buf *out, double v);

// Numbers alone, without a buffer. Both return the length; 0 for NaN and the infinities. A float is
// the shortest text that reads back as v; integral values within 2^53 have no fraction (5, not
// 5.0).
enum { JSON_TEXT_NUMBER = 32 }; // bytes, longer than any number
size_t json_text_format_integer(char dst[static JSON_TEXT_NUMBER], int64_t v);
size_t json_text_format_float(char dst[static JSON_TEXT_NUMBER], double v);

#endif

// The tokens of JSON text (RFC 8259): strings, numbers, words, and where a fault is. Knows nothing
// of Lua, allocates nothing, and reads no byte outside its text, which needs no NUL behind it.
//
// Each function takes one token at in->p and moves behind it. False at the first fault, which is
// noted in `in`; nothing more may be taken then, but json_scan_message may be asked.
#ifndef LUNETTE_SCRIPT_JSON_SCAN_H
#define LUNETTE_SCRIPT_JSON_SCAN_H

#include "base/str.h"

struct json_scan {
    const char *start, *p, *end;

    // After a fault: where it is, and what: a sentence, or what is expected there.
    const char *at, *what;
    bool expected;
};

static inline void json_scan_init(struct json_scan *in, struct str text)
{
    const char *p = text.p ? text.p : "";
    *in = (struct json_scan){.start = p, .p = p, .end = p + text.n};
}

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Skips whitespace. The byte that comes then, which is not taken, or -1 at the end.
static inline int json_scan_peek(struct json_scan *in)
{
    while (in->p < in->end && json_is_space(*in->p))
        in->p++;
    return in->p < in->end ? (unsigned char)*in->p : -1;
}

// The string whose opening quote is at in->p: its body is what lies between the quotes, all of it
// checked: UTF-8 (RFC 3629), no control characters, well-formed escapes, surrogates only in pairs.
// If an escape is in it, json_scan_unescape gives the characters.
struct json_string {
    struct str body;
    bool escaped;
};
bool json_scan_string(struct json_scan *in, struct json_string *out);

// Writes a checked body without its escapes at dst, where there is room for body.n bytes and which
// is not in the body. Returns how many bytes it has; what lies behind them at dst is undefined.
size_t json_scan_unescape(char *dst, struct str body);

// The number at in->p, where a digit or '-' is. Without fraction and exponent it is an integer as
// long as it fits in 64 bits ("-0" is 0); any other is the nearest double, ties to even, and a
// fault if that is infinite.
struct json_number {
    bool integral;
    union {
        int64_t integer;
        double real;
    };
};
bool json_scan_number(struct json_scan *in, struct json_number *out);

// The word, "true", "false" or "null", of which the first byte is at in->p.
bool json_scan_word(struct json_scan *in, struct str word);

// Nothing but whitespace may be left.
bool json_scan_end(struct json_scan *in);

// Notes a fault at in->p: a sentence; or what is expected there, so that the message can say what
// there is instead. Both return false.
bool json_scan_fail(struct json_scan *in, const char *sentence);
bool json_scan_expected(struct json_scan *in, const char *what);

// The fault as text: "line 3, column 14: ',' or ']' expected, not 'x'". Columns count characters,
// lines end with "\n"; both begin with 1. Returns its length.
enum { JSON_SCAN_MESSAGE = 160 }; // bytes, longer than any message, with a NUL
size_t json_scan_message(const struct json_scan *in, char dst[static JSON_SCAN_MESSAGE]);

#endif

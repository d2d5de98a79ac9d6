// JSON tokens: see the header. Numbers are in json_number.c.
#include "script/json_scan.h"

#include "base/utf8.h"
#include "script/json_plain.h"

#include <stdio.h>
#include <string.h>

// --- faults ---

static bool fail_at(struct json_scan *in, const char *at, const char *sentence)
{
    in->at = at;
    in->what = sentence;
    in->expected = false;
    return false;
}

bool json_scan_fail(struct json_scan *in, const char *sentence)
{
    return fail_at(in, in->p, sentence);
}

bool json_scan_expected(struct json_scan *in, const char *what)
{
    fail_at(in, in->p, what);
    in->expected = true;
    return false;
}

// What there is where something else is expected.
static void describe(char *dst, size_t size, const struct json_scan *in)
{
    unsigned char c = in->at < in->end ? (unsigned char)*in->at : 0;
    if (in->at == in->end)
        snprintf(dst, size, "but the text ends");
    else if (c == '\'')
        snprintf(dst, size, "not a single quote");
    else if (c == ' ')
        snprintf(dst, size, "not a space");
    else if (c > 0x20 && c < 0x7f)
        snprintf(dst, size, "not '%c'", c);
    else
        snprintf(dst, size, "not the byte 0x%02x", c);
}

// All text before a fault is valid UTF-8, so that a character is a byte that continues none.
size_t json_scan_message(const struct json_scan *in, char dst[static JSON_SCAN_MESSAGE])
{
    size_t line = 1, column = 1;
    for (const char *p = in->start; p < in->at; p++) {
        column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
        line += *p == '\n';
    }
    char found[32] = "";
    if (in->expected)
        describe(found, sizeof found, in);
    return (size_t)snprintf(dst, JSON_SCAN_MESSAGE, "line %zu, column %zu: %s%s%s", line, column,
                            in->what, in->expected ? " expected, " : "", found);
}

// --- words ---

bool json_scan_word(struct json_scan *in, struct str word)
{
    if ((size_t)(in->end - in->p) < word.n || memcmp(in->p, word.p, word.n) != 0)
        return json_scan_fail(in, "the words of JSON are true, false and null");
    in->p += word.n;
    return true;
}

bool json_scan_end(struct json_scan *in)
{
    return json_scan_peek(in) < 0 || json_scan_expected(in, "the end of the text");
}

// --- strings ---

// The number that four hexadecimal digits at p make; -1 where they do not.
static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value((unsigned char)p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static inline bool is_high(int unit)
{
    return unit >> 10 == 0xd800 >> 10;
}

static inline bool is_low(int unit)
{
    return unit >> 10 == 0xdc00 >> 10;
}

// The \u at in->p, with the second one that the first half of a surrogate pair needs.
static bool take_unicode(struct json_scan *in)
{
    int unit = hex4(in->p + 2, in->end);
    if (unit < 0)
        return json_scan_fail(in, "\\u needs four hexadecimal digits");
    bool pair = is_high(unit) && in->end - in->p >= 12 && in->p[6] == '\\' && in->p[7] == 'u' &&
                is_low(hex4(in->p + 8, in->end));
    if (is_low(unit) || (is_high(unit) && !pair))
        return json_scan_fail(in, "half of a surrogate pair");
    in->p += pair ? 12 : 6;
    return true;
}

static bool take_escape(struct json_scan *in)
{
    char c = in->end - in->p >= 2 ? in->p[1] : 0;
    if (c == 'u')
        return take_unicode(in);
    if (!c || !strchr("\"\\/bfnrt", c))
        return json_scan_fail(in, "no escape begins like this: there are \\\" \\\\ \\/ \\b \\f \\n "
                                  "\\r \\t and \\u");
    in->p += 2;
    return true;
}

// The characters at in->p, up to one of ASCII.
static bool take_utf8(struct json_scan *in)
{
    do {
        int step = utf8_step(in->p, (size_t)(in->end - in->p));
        if (step < 0)
            return json_scan_fail(in, "not UTF-8");
        in->p += step;
    } while (in->p < in->end && (unsigned char)*in->p >= 0x80);
    return true;
}

// What is not plain, at in->p inside a string.
static bool take_special(struct json_scan *in, struct json_string *out)
{
    unsigned char c = (unsigned char)*in->p;
    if (c >= 0x80)
        return take_utf8(in);
    if (c != '\\')
        return json_scan_fail(in, "a control character in a string, where it needs an escape");
    out->escaped = true;
    return take_escape(in);
}

bool json_scan_string(struct json_scan *in, struct json_string *out)
{
    const char *quote = in->p++;
    out->escaped = false;
    while ((in->p = json_plain_skip(in->p, in->end)) < in->end) {
        if (*in->p == '"') {
            out->body = str_of(quote + 1, (size_t)(in->p++ - quote - 1));
            return true;
        }
        if (!take_special(in, out))
            return false;
    }
    return fail_at(in, quote, "a string that is not closed");
}

static char *put_utf8(char *d, int c)
{
    if (c < 0x80) {
        *d++ = (char)c;
        return d;
    }
    if (c < 0x800) {
        *d++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *d++ = (char)(0xe0 | c >> 12);
        } else {
            *d++ = (char)(0xf0 | c >> 18);
            *d++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *d++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *d++ = (char)(0x80 | (c & 0x3f));
    return d;
}

// The character of the \u, or of the two, at *p, which moves behind them.
static int unicode(const char **p, const char *end)
{
    int unit = hex4(*p + 2, end);
    *p += 6;
    if (!is_high(unit))
        return unit;
    int low = hex4(*p + 2, end);
    *p += 6;
    return 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
}

static char simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; // '"', '\\', '/'
    }
}

size_t json_scan_unescape(char *dst, struct str body)
{
    const char *p = body.p, *end = p + body.n;
    char *d = dst;
    while (p < end) {
        const char *from = p;
        p = json_plain_copy(d, p, end);
        d += p - from;
        while (p < end && (unsigned char)*p >= 0x80)
            *d++ = *p++;
        if (p == end || *p != '\\')
            continue;
        if (p[1] == 'u') {
            d = put_utf8(d, unicode(&p, end));
        } else {
            *d++ = simple_escape(p[1]);
            p += 2;
        }
    }
    return (size_t)(d - dst);
}

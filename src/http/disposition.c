// Content-Disposition: see the header.
#include "http/disposition.h"

#include "base/utf8.h"

#include <string.h>

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_plain(char c)
{
    return (unsigned char)c < 0x80 && !is_control(c) && !strchr("\"\\/%", c);
}

static char *put(char *dst, struct str s)
{
    memcpy(dst, s.p, s.n);
    return dst + s.n;
}

// A run of bytes beyond ASCII is one character or a few: one underscore.
static char *put_plain(char *dst, struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        bool ascii = (unsigned char)name.p[i] < 0x80;
        if (is_plain(name.p[i]))
            *dst++ = name.p[i];
        else if (ascii || i == 0 || (unsigned char)name.p[i - 1] < 0x80)
            *dst++ = '_';
    }
    return dst;
}

// value-chars of RFC 8187 §3.2.1; everything else is percent-encoded.
static bool is_attr_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$&+-.^_`|~", c));
}

static char *put_encoded(char *dst, struct str name)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < name.n; i++) {
        char c = is_control(name.p[i]) ? '_' : name.p[i];
        if (is_attr_char(c)) {
            *dst++ = c;
            continue;
        }
        *dst++ = '%';
        *dst++ = hex[(unsigned char)c >> 4];
        *dst++ = hex[(unsigned char)c & 15];
    }
    return dst;
}

static bool is_plain_throughout(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_plain(name.p[i]))
            return false;
    return true;
}

struct str disposition_attachment(struct str name, struct arena *a)
{
    if (name.n == 0)
        return STR("attachment");
    char *value = arena_alloc(a, 64 + 4 * name.n), *end = value;
    if (!value)
        return str_of(NULL, 0);
    end = put(end, STR("attachment; filename=\""));
    end = put_plain(end, name);
    end = put(end, STR("\""));
    if (!is_plain_throughout(name) && utf8_valid(name)) {
        end = put(end, STR("; filename*=UTF-8''"));
        end = put_encoded(end, name);
    }
    return str_of(value, (size_t)(end - value));
}

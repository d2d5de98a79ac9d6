// Paths: see the header.
#include "script/json_place.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 40 }; // bytes of one key that are shown

void json_place_init(struct json_place *p)
{
    p->from = sizeof p->text;
    p->cut = false;
}

// Room for "..." is always left.
static void prepend(struct json_place *p, const char *text, int n)
{
    if (p->cut)
        return;
    if ((size_t)n + 3 > p->from) {
        json_place_cut(p);
        return;
    }
    p->from -= (size_t)n;
    memcpy(p->text + p->from, text, (size_t)n);
}

void json_place_cut(struct json_place *p)
{
    if (p->cut)
        return;
    p->cut = true;
    p->from -= 3;
    memcpy(p->text + p->from, "...", 3);
}

static bool is_identifier(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], letter = (char)(c | 0x20);
        bool digit = c >= '0' && c <= '9';
        if (!(letter >= 'a' && letter <= 'z') && c != '_' && !(digit && i > 0))
            return false;
    }
    return s.n > 0;
}

// The first KEY_MAX bytes of s, less what would be half a UTF-8 character.
static struct str cut_key(struct str s)
{
    if (s.n <= KEY_MAX)
        return s;
    for (s.n = KEY_MAX; s.n && (s.p[s.n] & 0xc0) == 0x80;)
        s.n--;
    return s;
}

void json_place_name(struct json_place *p, struct str key)
{
    char piece[4 * KEY_MAX + 16];
    struct str shown = cut_key(key);
    bool plain = is_identifier(key);
    int n = snprintf(piece, sizeof piece, plain ? "." : "[\"");
    for (size_t i = 0; i < shown.n; i++) {
        unsigned char c = (unsigned char)shown.p[i];
        bool escape = c < 0x20 || c == 0x7f || c == '"' || c == '\\';
        n += snprintf(piece + n, sizeof piece - (size_t)n, escape ? "\\x%02x" : "%c", c);
    }
    n += snprintf(piece + n, sizeof piece - (size_t)n, "%s%s", shown.n < key.n ? "..." : "",
                  plain ? "" : "\"]");
    prepend(p, piece, n);
}

void json_place_item(struct json_place *p, int64_t i)
{
    char piece[24];
    prepend(p, piece, snprintf(piece, sizeof piece, "[%lld]", (long long)i));
}

struct str json_place_str(const struct json_place *p)
{
    struct str s = str_of(p->text + p->from, sizeof p->text - p->from);
    if (s.n == 0)
        return STR("the value");
    if (s.p[0] == '.' && !p->cut)
        return str_of(s.p + 1, s.n - 1);
    return s;
}

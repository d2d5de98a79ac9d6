// Cookies as sent: pairs that other software wrote, so that what is odd is skipped, not refused.
#include "http/cookie.h"

#include "http/h1_parse.h"

static struct str unquote(struct str s)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? str_of(s.p + 1, s.n - 2) : s;
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

bool cookie_next(struct str *rest, struct str *name, struct str *value)
{
    struct str pair;
    while (str_split(rest, ';', &pair)) {
        const char *p = skip_space(pair.p, pair.p + pair.n), *end = pair.p + pair.n, *from = p;
        while (p < end && h1_is(H1_TCHAR, *p))
            p++;
        const char *equals = skip_space(p, end);
        if (p == from || equals == end || *equals != '=')
            continue;
        *name = str_of(from, (size_t)(p - from));
        *value = unquote(str_trim(str_of(equals + 1, (size_t)(end - equals - 1))));
        return true;
    }
    return false;
}

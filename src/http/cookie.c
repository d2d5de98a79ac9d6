// Cookies as sent: pairs that other software wrote, so that what is odd is skipped, not refused.
#include "http/cookie.h"

#include "http/h1_parse.h"

static struct str unquote(struct str s)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? str_of(s.p + 1, s.n - 2) : s;
}

bool cookie_next(struct str *rest, struct str *name, struct str *value)
{
    struct str pair;
    while (str_split(rest, ';', &pair)) {
        ptrdiff_t equals = str_find(pair, '=');
        if (equals < 0)
            continue;
        struct str before = str_trim(str_of(pair.p, (size_t)equals));
        if (before.n == 0 || !h1_is_token(before))
            continue;
        *name = before;
        *value = unquote(str_trim(str_of(pair.p + equals + 1, pair.n - (size_t)equals - 1)));
        return true;
    }
    return false;
}

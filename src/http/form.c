// Names and values of forms and query strings. Nothing here is an error: the format has a meaning
// for every sequence of bytes.
#include "http/form.h"

bool form_next(struct str *rest, struct str *name, struct str *value)
{
    struct str piece;
    while (str_split(rest, '&', &piece)) {
        if (piece.n == 0)
            continue;
        ptrdiff_t equals = str_find(piece, '=');
        size_t end = equals < 0 ? piece.n : (size_t)equals;
        size_t begin = equals < 0 ? piece.n : end + 1;
        *name = str_of(piece.p, end);
        *value = str_of(piece.p + begin, piece.n - begin);
        return true;
    }
    return false;
}

size_t form_count(struct str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] != '&' && (i == 0 || text.p[i - 1] == '&');
    return n;
}

bool form_needs_decode(struct str s)
{
    return str_find(s, '+') >= 0 || str_find(s, '%') >= 0;
}

size_t form_decode(char *dst, struct str s)
{
    return pct_decode_any(dst, s, ' ');
}

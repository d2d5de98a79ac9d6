// Text for HTML: see the header.
#include "base/html.h"

const struct html_entity html_entities[256] = {
    ['&'] = {"&amp;", 5},  ['<'] = {"&lt;", 4},   ['>'] = {"&gt;", 4},
    ['"'] = {"&quot;", 6}, ['\''] = {"&#39;", 5},
};

bool html_add(struct buf *out, struct str s)
{
    size_t from = 0; // first byte that is not yet in out
    for (size_t i = 0; i < s.n; i++) {
        const struct html_entity *e = &html_entities[(unsigned char)s.p[i]];
        if (!e->n)
            continue;
        if (!buf_add(out, str_of(s.p + from, i - from)) || !buf_add(out, str_of(e->text, e->n)))
            return false;
        from = i + 1;
    }
    return from == s.n || buf_add(out, str_of(s.p + from, s.n - from));
}

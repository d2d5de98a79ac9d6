// Signed text: see the header. It is read from its end, where the text cannot disturb.
#include "script/signed.h"

#include "base/base64.h"

#include <assert.h>
#include <string.h>

// Cuts *s at its last dot: what follows it is *tail. False where there is none.
static bool cut_last(struct str *s, struct str *tail)
{
    const char *dot = s->n ? memrchr(s->p, '.', s->n) : NULL;
    if (!dot)
        return false;
    size_t before = (size_t)(dot - s->p);
    *tail = str_of(dot + 1, s->n - before - 1);
    s->n = before;
    return true;
}

static bool parse_time(struct str s, uint64_t *t)
{
    bool spelt_once = s.n == 1 || (s.n > 1 && s.p[0] != '0');
    return spelt_once && str_to_u64(s, t) && *t <= SIGNED_TIME_MAX;
}

static bool parse_stamp(struct str s, struct signed_text *out)
{
    ptrdiff_t hyphen = str_find(s, '-');
    out->until = UINT64_MAX;
    if (hyphen < 0)
        return parse_time(s, &out->at);
    size_t at = (size_t)hyphen;
    return parse_time(str_of(s.p, at), &out->at) &&
           parse_time(str_of(s.p + at + 1, s.n - at - 1), &out->until);
}

bool signed_parse(struct str s, struct signed_text *out)
{
    char mac[SIGNED_MAC + 2];
    struct str tail, stamp;
    if (!cut_last(&s, &tail) || tail.n != base64_length(SIGNED_MAC, BASE64_URL))
        return false;
    if (base64_decode(mac, tail, BASE64_URL) != SIGNED_MAC)
        return false;
    memcpy(out->mac, mac, SIGNED_MAC);
    out->body = s;
    if (!cut_last(&s, &stamp))
        return false;
    out->text = s;
    return parse_stamp(stamp, out);
}

size_t signed_stamp(char dst[static SIGNED_STAMP_MAX], uint64_t at, uint64_t until)
{
    char *p = dst;
    assert(at <= SIGNED_TIME_MAX);
    *p++ = '.';
    p = str_put_u64(p, at);
    if (until == UINT64_MAX)
        return (size_t)(p - dst);
    assert(until <= SIGNED_TIME_MAX);
    *p++ = '-';
    return (size_t)(str_put_u64(p, until) - dst);
}

size_t signed_tail(char dst[static SIGNED_TAIL_MAX], const unsigned char mac[static SIGNED_MAC])
{
    dst[0] = '.';
    return 1 + base64_encode(dst + 1, str_of((const char *)mac, SIGNED_MAC), BASE64_URL);
}

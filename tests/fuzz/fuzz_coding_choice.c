// The choice of a coding from arbitrary fields: what is chosen is accepted and allowed, and what
// the client says beyond that changes nothing. The input is lines: the options in a few bytes, then
// Accept-Encoding, Content-Type, Cache-Control, an entity tag, and media types for the list.
//
// sources: src/content/coding_choice.c src/base/str.c src/http/accept.c src/http/h1_parse.c src/http/h1_framing.c src/http/method.c
#include "content/coding_choice.h"

#include "http/accept.h"

#include <assert.h>
#include <string.h>

enum { LINES = 8, TYPES = 5, TAG_MAX = 1100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepts(struct str field, enum coding c)
{
    struct str name = coding_name(c);
    return accept_encoding(field, &name, 1) == 0;
}

static void check_choice(const struct coding_query *q, const struct coding_options *o,
                         struct coding_choice c, bool identity)
{
    bool has_body = q->status >= 200 && q->status != 204 && q->status != 205 && q->status != 304 &&
                    q->length != 0;
    if (c.coding != CODING_IDENTITY) {
        assert(q->accept_encoding.p && accepts(q->accept_encoding, c.coding));
        assert(o->offered & 1u << c.coding);
        assert(!q->coded && !q->disabled && has_body && q->status != 206);
        assert(!str_ieq(str_trim(q->cache_control), STR("no-transform")));
        assert(c.vary && !c.unacceptable);
        assert(!q->range || !identity);
    }
    assert(!c.vary || (o->offered && !q->coded && !q->disabled));
    if (c.unacceptable)
        assert(!identity && has_body && q->status < 300);
}

// Whether it varies depends on the response, unless a client got a coding for refusing identity.
static void check_vary(const struct coding_query *q, const struct coding_options *o,
                       struct coding_choice with, bool identity)
{
    struct coding_query plain = *q;
    plain.accept_encoding = str_of(NULL, 0);
    struct coding_choice without = coding_choose(&plain, o);
    assert(without.coding == CODING_IDENTITY && !without.unacceptable);
    assert(!without.vary || with.vary);
    assert(with.vary == without.vary || (with.coding != CODING_IDENTITY && !identity));
}

// What forbids coding forbids it whatever else is said; one of the ways for each input.
static void check_forbidden(struct coding_query q, const struct coding_options *o, unsigned way,
                            bool identity)
{
    if (way == 0)
        q.cache_control = STR("max-age=1, no-transform");
    else if (way == 1)
        q.coded = true;
    else if (way == 2)
        q.status = 206;
    else if (!o->types && identity)
        q.content_type = STR("image/png");
    else
        return;
    struct coding_choice c = coding_choose(&q, o);
    assert(c.coding == CODING_IDENTITY && (way == 2 || !c.vary));
}

static void check_tag(struct str tag)
{
    char coded[TAG_MAX];
    for (enum coding c = CODING_IDENTITY; c < CODINGS; c++) {
        size_t n = coding_tag(tag, c, coded, sizeof coded);
        enum coding is = CODINGS;
        if (n == 0)
            continue;
        struct str made = str_of(coded, n);
        assert(n == tag.n + (c ? coding_name(c).n + 1 : 0));
        assert(coding_tag_is(made, tag, &is) && is == c);
        assert(c == CODING_IDENTITY || coding_of_tag(made) == c);
        assert(c == CODING_IDENTITY || !coding_tag_is(tag, made, &is));
    }
    enum coding of = coding_of_tag(tag), is = CODINGS;
    if (coding_tag_is(tag, STR("\"v\""), &is))
        assert(is == of);
    else
        assert(!str_eq(tag, STR("\"v\"")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 201, 206, 304, 204, 404, 205, 100};
    static const int64_t lengths[] = {-1, 0, 1, 255, 256, 1000000, INT64_MAX, 300};
    struct str rest = str_of((const char *)data, size), line[LINES + 2] = {0};
    unsigned char bits[3] = {0};
    for (int i = 0; i < LINES + 2 && str_split(&rest, '\n', &line[i]); i++)
        ;
    for (size_t i = 0; i < sizeof bits && i < line[0].n; i++)
        bits[i] = (unsigned char)line[0].p[i];
    struct coding_options o = {
        .offered = (bits[0] & 7u) << CODING_GZIP,
        .min_bytes = 256,
        .types = bits[0] & 8 ? line + 5 : NULL,
        .type_count = TYPES,
    };
    struct coding_query q = {
        .accept_encoding = line[1],
        .content_type = line[2],
        .cache_control = line[3],
        .status = statuses[bits[1] & 7],
        .length = lengths[bits[1] >> 3 & 7],
        .coded = bits[2] & 1,
        .range = bits[2] & 2,
        .disabled = bits[2] & 4,
    };
    struct coding_choice c = coding_choose(&q, &o);
    bool identity = accepts(q.accept_encoding, CODING_IDENTITY);
    check_choice(&q, &o, c, identity);
    check_vary(&q, &o, c, identity);
    check_forbidden(q, &o, bits[2] >> 4 & 3, identity);
    check_tag(line[4]);
    return 0;
}

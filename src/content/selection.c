// The decision: see the header. Nothing here looks at bytes of content.
#include "content/selection.h"

#include "http/accept.h"

// What of a request takes part in it, all values of a repeated field joined.
struct asked {
    struct conditions conditions;
    struct str accept_encoding, range;
};

unsigned selection_asks(const struct http_request *r)
{
    unsigned asks = 0;
    for (unsigned i = 0; i < r->field_count; i++) {
        struct str name = r->fields[i].name;
        char first = name.n ? name.p[0] | 0x20 : 0;
        if (first == 'a' && name.n == 15)
            asks |= SELECTION_CODING;
        else if (first == 'r' && name.n == 5)
            asks |= SELECTION_FORM;
        else if (first == 'i' && name.n > 3 && name.p[2] == '-')
            asks |= str_ieq(name, STR("If-None-Match")) ? SELECTION_FORM
                                                        : SELECTION_FORM | SELECTION_DATES;
    }
    return asks;
}

static void read_fields(const struct http_request *r, struct arena *a, struct asked *out)
{
    *out = (struct asked){
        .conditions =
            {
                .if_match = request_fields(r, STR("If-Match"), a),
                .if_none_match = request_fields(r, STR("If-None-Match"), a),
                .if_modified_since = request_fields(r, STR("If-Modified-Since"), a),
                .if_unmodified_since = request_fields(r, STR("If-Unmodified-Since"), a),
                .if_range = request_fields(r, STR("If-Range"), a),
            },
        .accept_encoding = request_fields(r, STR("Accept-Encoding"), a),
    };
    if (r->method == HTTP_GET)
        out->range = request_fields(r, STR("Range"), a);
}

// What Range asks for, as far as it counts at all.
static enum range_verdict judge_range(const struct representation *r, const struct asked *asked,
                                      struct selection *out)
{
    out->n = 0;
    if (!asked->range.p || r->length < 0 || r->coded ||
        !conditions_range(&asked->conditions, &r->validators))
        return RANGE_NONE;
    return range_parse(asked->range, (uint64_t)r->length, out->ranges, &out->n);
}

static struct coding_choice choose(const struct representation *r, const struct asked *asked,
                                   const struct coding_options *codings, bool range)
{
    struct coding_query q = {
        .accept_encoding = asked->accept_encoding,
        .content_type = r->content_type,
        .cache_control = r->cache_control,
        .length = r->length,
        .status = 200,
        .coded = r->coded,
        .range = range,
        .disabled = r->no_coding,
        .ready = r->ready,
    };
    return coding_choose(&q, codings);
}

void selection_use_coding(struct selection *s, struct str etag, enum coding c)
{
    s->coding = c;
    s->etag = etag;
    if (c == CODING_IDENTITY || etag.n == 0)
        return;
    size_t n = coding_tag(etag, c, s->tag, sizeof s->tag);
    s->etag = str_of(n ? s->tag : NULL, n);
}

static void use_coding(const struct representation *r, enum coding c, struct selection *out)
{
    selection_use_coding(out, r->validators.etag, c);
}

static enum verdict judge(const struct representation *r, const struct asked *asked,
                          const struct selection *s)
{
    struct validators v = r->validators;
    v.etag = s->etag;
    return conditions_judge(&asked->conditions, &v, true);
}

static bool takes_identity(const struct asked *asked)
{
    struct str identity = STR("identity");
    return !asked->accept_encoding.p || accept_encoding(asked->accept_encoding, &identity, 1) == 0;
}

// The verdict on the coded form; or on the identity form, where the client shows that it has that
// one and would take it.
static enum verdict judge_forms(const struct representation *r, const struct asked *asked,
                                struct selection *out)
{
    enum verdict coded = judge(r, asked, out);
    enum coding c = out->coding;
    if (c == CODING_IDENTITY || out->etag.n == 0 || coded == VERDICT_NOT_MODIFIED ||
        !takes_identity(asked))
        return coded;
    use_coding(r, CODING_IDENTITY, out);
    enum verdict plain = judge(r, asked, out);
    if (plain == VERDICT_NOT_MODIFIED)
        return plain;
    if (coded == VERDICT_FAILED && plain == VERDICT_GO) // If-Match names the identity form
        return plain;
    use_coding(r, c, out);
    return coded;
}

void selection_make(const struct representation *r, const struct http_request *request,
                    const struct coding_options *codings, struct arena *a, struct selection *out)
{
    struct asked asked;
    read_fields(request, a, &asked);
    enum range_verdict range = judge_range(r, &asked, out);
    struct coding_choice choice = choose(r, &asked, codings, range != RANGE_NONE);
    out->vary = choice.vary;
    use_coding(r, choice.coding, out);
    out->status = 200;
    switch (judge_forms(r, &asked, out)) {
    case VERDICT_NOT_MODIFIED:
        out->status = 304;
        return;
    case VERDICT_FAILED:
        out->status = 412;
        return;
    case VERDICT_GO:
        break;
    }
    if (range == RANGE_NONE || out->coding != CODING_IDENTITY)
        return;
    out->status = range == RANGE_SOME ? 206 : 416;
}

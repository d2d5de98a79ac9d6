// Conditional requests: see the header. An entity tag may hold commas, so that lists of them are
// scanned, not split; and a list is read to its end before it counts, so that a match at the front
// does not excuse what follows.
#include "http/conditions.h"

#include "http/date.h"

struct etag {
    bool weak;
    struct str opaque; // with its quotes
};

// etagc of §8.8.3: everything printable but the quote, and bytes above ASCII.
static bool is_etagc(unsigned char c)
{
    return c == 0x21 || (c >= 0x23 && c != 0x7f);
}

// Takes the entity tag at the front of *s.
static bool take_tag(struct str *s, struct etag *tag)
{
    size_t begin = str_starts(*s, STR("W/")) ? 2 : 0;
    size_t i = begin;
    if (i == s->n || s->p[i++] != '"')
        return false;
    while (i < s->n && is_etagc((unsigned char)s->p[i]))
        i++;
    if (i == s->n || s->p[i++] != '"')
        return false;
    *tag = (struct etag){begin > 0, str_of(s->p + begin, i - begin)};
    *s = str_of(s->p + i, s->n - i);
    return true;
}

// The whole of s as one entity tag.
static bool parse_tag(struct str s, struct etag *tag)
{
    return take_tag(&s, tag) && s.n == 0;
}

// §8.8.3.2: the strong comparison wants both tags strong, the weak one looks at their text alone.
static bool same_tag(const struct etag *a, const struct etag *b, bool strong)
{
    return str_eq(a->opaque, b->opaque) && !(strong && (a->weak || b->weak));
}

// What the content codings append to the text of a tag (content/coding_choice).
static struct str without_coding(struct str opaque)
{
    static const struct str endings[] = {STR("-gzip\""), STR("-br\""), STR("-zstd\"")};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (str_ends(opaque, endings[i]))
            return str_of(opaque.p, opaque.n - endings[i].n);
    return str_of(NULL, 0);
}

// The same, or the tag of a coded form of ours.
static bool same_form(const struct etag *tag, const struct etag *ours, bool strong, bool coded)
{
    if (same_tag(tag, ours, strong))
        return true;
    struct str text = coded ? without_coding(tag->opaque) : str_of(NULL, 0);
    return text.n && str_eq(text, str_of(ours->opaque.p, ours->opaque.n - 1)) &&
           !(strong && (tag->weak || ours->weak));
}

// Drops the commas and spaces before an element: a list may have empty ones (§5.6.1.2). Two tags
// with no comma between them are no list, which *comma tells.
static struct str skip_separators(struct str s, bool *comma)
{
    *comma = false;
    while (s.n && (s.p[0] == ',' || s.p[0] == ' ' || s.p[0] == '\t')) {
        *comma |= s.p[0] == ',';
        s = str_of(s.p + 1, s.n - 1);
    }
    return s;
}

// Whether a list of entity tags holds the representation's. "*" holds every one there is.
static bool list_holds(struct str list, const struct validators *v, bool strong)
{
    struct etag ours, tag;
    bool comma, found = false;
    if (str_eq(list, STR("*")))
        return true;
    if (!parse_tag(v->etag, &ours))
        return false;
    list = skip_separators(list, &comma);
    while (list.n) {
        if (!take_tag(&list, &tag))
            return false;
        found |= same_form(&tag, &ours, strong, v->coded);
        list = skip_separators(list, &comma);
        if (list.n && !comma)
            return false;
    }
    return found;
}

// Whether the representation changed after the date of the field; `without` when that cannot be
// told, because either date is missing or the field's is none.
static bool changed_since(struct str field, const struct validators *v, bool without)
{
    int64_t date;
    if (!field.p || v->last_modified == -1 || !date_parse(field, v->now, &date))
        return without;
    return v->last_modified > date;
}

enum verdict conditions_judge(const struct conditions *c, const struct validators *v, bool is_get)
{
    if (c->if_match.p) {
        if (!list_holds(c->if_match, v, true))
            return VERDICT_FAILED;
    } else if (changed_since(c->if_unmodified_since, v, false)) {
        return VERDICT_FAILED;
    }
    if (c->if_none_match.p) {
        if (list_holds(c->if_none_match, v, false))
            return is_get ? VERDICT_NOT_MODIFIED : VERDICT_FAILED;
    } else if (is_get && !changed_since(c->if_modified_since, v, true)) {
        return VERDICT_NOT_MODIFIED;
    }
    return VERDICT_GO;
}

bool conditions_range(const struct conditions *c, const struct validators *v)
{
    struct etag asked, ours;
    int64_t date;
    if (!c->if_range.p)
        return true;
    if (parse_tag(c->if_range, &asked))
        return parse_tag(v->etag, &ours) && same_tag(&asked, &ours, true);
    return v->last_modified != -1 && v->now > v->last_modified &&
           date_parse(c->if_range, v->now, &date) && date == v->last_modified;
}

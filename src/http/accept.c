// Negotiation in two steps: the field becomes a short list of weighted elements, and then each of
// the three fields has its own idea of what an element covers.
//
// Weights are counted in ten-thousandths, so that there is room below the least one that can be
// written (0.001) for what is acceptable without having been asked for.
#include "http/accept.h"

#include "http/h1_parse.h"

enum { WEIGHT_NONE = 0, WEIGHT_UNASKED = 1, WEIGHT_ONE = 10000 };

struct element {
    struct str value;  // before the first ';'
    struct str params; // behind it, the weight among them
    unsigned count;    // how many of them are no weight
    int weight;
};

struct list {
    struct element item[ACCEPT_MAX];
    int n;
};

// str_split for a separator that may also stand inside a quoted-string.
static bool split_unquoted(struct str *rest, char sep, struct str *piece)
{
    bool quoted = false;
    if (!rest->p)
        return false;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && c == sep) {
            *piece = str_of(rest->p, i);
            *rest = str_of(rest->p + i + 1, rest->n - i - 1);
            return true;
        }
    }
    *piece = *rest;
    *rest = (struct str){NULL, 0};
    return true;
}

// qvalue (§12.4.2): "0" or "1" and up to three decimals, which behind a 1 are zeros. A missing "0" is
// granted: Java's HttpURLConnection sends "*/*; q=.2" for all that it does not name.
static bool parse_weight(struct str s, int *weight)
{
    int value = 0, unit = WEIGHT_ONE / 10;
    if (s.n && (s.p[0] == '0' || s.p[0] == '1')) {
        value = (s.p[0] - '0') * WEIGHT_ONE;
        s = str_of(s.p + 1, s.n - 1);
    } else if (s.n < 2) {
        return false;
    }
    if (s.n > 4 || (s.n && s.p[0] != '.'))
        return false;
    for (size_t i = 1; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        value += (s.p[i] - '0') * unit;
    }
    *weight = value;
    return value <= WEIGHT_ONE;
}

static bool is_quoted(struct str s)
{
    if (s.n < 2 || s.p[0] != '"')
        return false;
    size_t i = 1;
    while (i < s.n && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return i == s.n - 1;
}

// parameter (§5.6.6): name "=" ( token / quoted-string ), no spaces around the "=".
static bool parse_param(struct str s, struct str *name, struct str *value)
{
    ptrdiff_t equals = str_find(s, '=');
    if (equals <= 0)
        return false;
    *name = str_of(s.p, (size_t)equals);
    *value = str_of(s.p + equals + 1, s.n - (size_t)equals - 1);
    return h1_is_token(*name) && value->n && (is_quoted(*value) || h1_is_token(*value));
}

// The parameters of an element: a weight, at most one and wherever it stands, and others, counted.
static bool parse_params(struct element *e)
{
    struct str rest = e->params, piece, name, value;
    bool weighted = false;
    while (split_unquoted(&rest, ';', &piece)) {
        piece = str_trim(piece);
        if (piece.n == 0)
            continue;
        if (!parse_param(piece, &name, &value))
            return false;
        if (!str_ieq(name, STR("q"))) {
            e->count++;
            continue;
        }
        if (weighted || !parse_weight(value, &e->weight))
            return false;
        weighted = true;
    }
    return true;
}

static bool parse_element(struct str s, struct element *e)
{
    *e = (struct element){.weight = WEIGHT_ONE, .params = s};
    split_unquoted(&e->params, ';', &e->value);
    e->value = str_trim(e->value);
    return e->value.n && parse_params(e);
}

// Whether an element may be in the list: each field has its own grammar.
typedef bool valid_fn(const struct element *e);

static void parse_list(struct str field, valid_fn *valid, struct list *l)
{
    struct str piece;
    l->n = 0;
    while (l->n < ACCEPT_MAX && split_unquoted(&field, ',', &piece)) {
        struct element *e = &l->item[l->n];
        if (parse_element(piece, e) && valid(e))
            l->n++;
    }
}

bool accept_is_long(struct str field)
{
    struct str piece;
    int n = 0;
    while (n <= ACCEPT_MAX && split_unquoted(&field, ',', &piece))
        n += str_trim(piece).n > 0;
    return n > ACCEPT_MAX;
}

// ---- Accept

static bool split_type(struct str s, struct str *type, struct str *subtype)
{
    ptrdiff_t slash = str_find(s, '/');
    if (slash < 0)
        return false;
    *type = str_of(s.p, (size_t)slash);
    *subtype = str_of(s.p + slash + 1, s.n - (size_t)slash - 1);
    return h1_is_token(*type) && h1_is_token(*subtype);
}

static bool is_star(struct str s)
{
    return str_eq(s, STR("*"));
}

static bool is_media_range(const struct element *e)
{
    struct str type, subtype;
    return split_type(e->value, &type, &subtype) && (!is_star(type) || is_star(subtype));
}

// Takes one byte of a parameter's value, lower-cased and without the backslash that may quote it.
// Zero at the end: no value holds a NUL.
static char take_byte(struct str *s)
{
    char c = '\0';
    if (s->n > 1 && s->p[0] == '\\')
        *s = str_of(s->p + 1, s->n - 1);
    if (s->n == 0)
        return c;
    ascii_lower(&c, s->p, 1);
    *s = str_of(s->p + 1, s->n - 1);
    return c;
}

// Equal whether written as a token or as a quoted-string.
static bool same_value(struct str a, struct str b)
{
    if (a.p[0] == '"')
        a = str_of(a.p + 1, a.n - 2);
    if (b.p[0] == '"')
        b = str_of(b.p + 1, b.n - 2);
    while (a.n || b.n)
        if (take_byte(&a) != take_byte(&b))
            return false;
    return true;
}

static bool has_param(struct str params, struct str name, struct str value)
{
    struct str piece, other_name, other_value;
    while (split_unquoted(&params, ';', &piece))
        if (parse_param(str_trim(piece), &other_name, &other_value) && str_ieq(other_name, name) &&
            same_value(other_value, value))
            return true;
    return false;
}

// Whether params hold every parameter of the range but its weight.
static bool has_params(struct str params, const struct element *range)
{
    struct str rest = range->params, piece, name, value;
    while (split_unquoted(&rest, ';', &piece)) {
        if (!parse_param(str_trim(piece), &name, &value) || str_ieq(name, STR("q")))
            continue;
        if (!has_param(params, name, value))
            return false;
    }
    return true;
}

// How specific the range is that covers the type: 0 when it does not.
static unsigned covers(const struct element *range, const struct element *type)
{
    struct str major, minor, range_major, range_minor;
    if (!split_type(type->value, &major, &minor) ||
        !split_type(range->value, &range_major, &range_minor))
        return 0;
    if (!is_star(range_major) && !str_ieq(range_major, major))
        return 0;
    if (!is_star(range_minor) && !str_ieq(range_minor, minor))
        return 0;
    if (!has_params(type->params, range))
        return 0;
    unsigned level = 1u + !is_star(range_major) + !is_star(range_minor);
    return level << 16 | (range->count < UINT16_MAX ? range->count : UINT16_MAX);
}

// The weight of a media type; of two ranges that are equally specific the heavier counts.
static int type_weight(const struct list *l, struct str offered)
{
    struct element type;
    unsigned best = 0;
    int weight = WEIGHT_NONE;
    if (!parse_element(offered, &type))
        return WEIGHT_NONE;
    for (int i = 0; i < l->n; i++) {
        unsigned specific = covers(&l->item[i], &type);
        if (specific > best || (specific && specific == best && l->item[i].weight > weight)) {
            best = specific;
            weight = l->item[i].weight;
        }
    }
    return weight;
}

// The first of the heaviest values offered, or -1 when all of them weigh nothing.
static int heaviest(int (*weigh)(const struct list *, struct str), const struct list *l,
                    const struct str *offered, int n)
{
    int best = -1, best_weight = WEIGHT_NONE;
    for (int i = 0; i < n; i++) {
        int weight = weigh(l, offered[i]);
        if (weight > best_weight) {
            best = i;
            best_weight = weight;
        }
    }
    return best;
}

static int first_of(int n)
{
    return n > 0 ? 0 : -1;
}

int accept_type(struct str field, const struct str *offered, int n)
{
    struct list l;
    parse_list(field, is_media_range, &l);
    return l.n ? heaviest(type_weight, &l, offered, n) : first_of(n);
}

// ---- Accept-Language

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A basic language range (RFC 4647 §2.1): subtags of one to eight letters, behind the first one
// digits too, or "*".
static bool is_language_range(const struct element *e)
{
    struct str rest = e->value, tag;
    if (e->count || is_star(rest))
        return e->count == 0;
    for (bool first = true; str_split(&rest, '-', &tag); first = false) {
        if (tag.n == 0 || tag.n > 8)
            return false;
        for (size_t i = 0; i < tag.n; i++)
            if (!is_alpha(tag.p[i]) && (first || tag.p[i] < '0' || tag.p[i] > '9'))
                return false;
    }
    return true;
}

// The range without its last subtag, nor single letters that would then be the last: they only
// introduce what was cut (RFC 4647 §3.4).
static struct str shorter(struct str range)
{
    while (range.n && range.p[--range.n] != '-')
        ;
    while (range.n >= 2 && range.p[range.n - 2] == '-')
        range.n -= 2;
    return range;
}

static bool is_prefix(struct str range, struct str tag)
{
    return tag.n >= range.n && str_ieq(str_of(tag.p, range.n), range) &&
           (tag.n == range.n || tag.p[range.n] == '-');
}

// Whether the longest range that is a prefix of the tag has weight 0; of a range that is there twice
// the heavier counts.
static bool is_excluded(const struct list *l, struct str tag)
{
    size_t longest = 0;
    int weight = WEIGHT_UNASKED;
    for (int i = 0; i < l->n; i++) {
        const struct element *e = &l->item[i];
        if (e->value.n < longest || !is_prefix(e->value, tag))
            continue;
        if (e->value.n > longest || e->weight > weight)
            weight = e->weight;
        longest = e->value.n;
    }
    return weight == WEIGHT_NONE;
}

// The tag on offer that one range leads to, or -1.
static int look_up(const struct list *l, struct str range, const struct str *offered, int n)
{
    for (; range.n; range = shorter(range))
        for (int i = 0; i < n; i++)
            if (str_ieq(offered[i], range) && !is_excluded(l, offered[i]))
                return i;
    return -1;
}

static int first_not_excluded(const struct list *l, const struct str *offered, int n)
{
    for (int i = 0; i < n; i++)
        if (!is_excluded(l, offered[i]))
            return i;
    return -1;
}

int accept_language(struct str field, const struct str *offered, int n)
{
    struct list l;
    int best = -1, best_weight = WEIGHT_NONE;
    bool any = false;
    parse_list(field, is_language_range, &l);
    if (l.n == 0)
        return first_of(n);
    for (int i = 0; i < l.n; i++) {
        const struct element *e = &l.item[i];
        if (is_star(e->value)) {
            any |= e->weight > WEIGHT_NONE;
            continue;
        }
        int found = e->weight > best_weight ? look_up(&l, e->value, offered, n) : -1;
        if (found >= 0) {
            best = found;
            best_weight = e->weight;
        }
    }
    return best < 0 && any ? first_not_excluded(&l, offered, n) : best;
}

// ---- Accept-Encoding

static bool is_coding(const struct element *e)
{
    return e->count == 0 && h1_is_token(e->value);
}

static struct str canonical(struct str coding)
{
    bool aliased = str_ieq(coding, STR("x-gzip")) || str_ieq(coding, STR("x-compress"));
    return aliased ? str_of(coding.p + 2, coding.n - 2) : coding;
}

static int coding_weight(const struct list *l, struct str offered)
{
    struct str coding = canonical(offered);
    int named = -1, star = -1;
    for (int i = 0; i < l->n; i++) {
        const struct element *e = &l->item[i];
        if (str_ieq(canonical(e->value), coding) && e->weight > named)
            named = e->weight;
        if (is_star(e->value) && e->weight > star)
            star = e->weight;
    }
    if (named >= 0)
        return named;
    if (star >= 0)
        return star;
    return str_ieq(coding, STR("identity")) ? WEIGHT_UNASKED : WEIGHT_NONE;
}

int accept_encoding(struct str field, const struct str *offered, int n)
{
    struct list l;
    if (!field.p)
        return first_of(n);
    parse_list(field, is_coding, &l);
    return heaviest(coding_weight, &l, offered, n);
}

// The decision about content codings: what may be coded, what is worth it, and what the client
// accepts are three questions, asked in this order.
#include "content/coding_choice.h"

#include "http/accept.h"

#include <string.h>

static const struct str names[CODINGS] = {
    [CODING_IDENTITY] = STR("identity"),
    [CODING_GZIP] = STR("gzip"),
    [CODING_BROTLI] = STR("br"),
    [CODING_ZSTD] = STR("zstd"),
};

// The cheapest first; see coding_choose.
static const enum coding preference[] = {CODING_ZSTD, CODING_BROTLI, CODING_GZIP};

enum { PREFERENCES = sizeof preference / sizeof preference[0] };

// What is text in one way or another, or bytes of machine code, glyphs and vertices that were not
// compressed yet. Images, sound, video, archives, WOFF and PDF are compressed by themselves.
static const struct str default_types[] = {
    STR("text/*"),
    STR("application/json"),
    STR("*/*+json"),
    STR("*/*+xml"),
    STR("application/javascript"),
    STR("application/x-javascript"),
    STR("application/xml"),
    STR("application/x-ndjson"),
    STR("application/yaml"),
    STR("application/toml"),
    STR("application/rtf"),
    STR("application/sql"),
    STR("application/wasm"),
    STR("application/vnd.apple.mpegurl"),
    STR("application/vnd.ms-fontobject"),
    STR("font/ttf"),
    STR("font/otf"),
    STR("font/collection"),
    STR("model/obj"),
};

// Not coded unless the configuration names it: an event is short, goes out by itself, and so shrinks
// little, while the coder's state would be held for as long as the client listens.
static const struct str event_stream = STR("text/event-stream");

struct str coding_name(enum coding c)
{
    return names[c];
}

// --- media types ---

static struct str without_params(struct str value)
{
    ptrdiff_t semicolon = str_find(value, ';');
    return str_trim(semicolon < 0 ? value : str_of(value.p, (size_t)semicolon));
}

static bool split_type(struct str type, struct str *major, struct str *minor)
{
    ptrdiff_t slash = str_find(type, '/');
    if (slash <= 0 || (size_t)slash == type.n - 1)
        return false;
    *major = str_of(type.p, (size_t)slash);
    *minor = str_of(type.p + slash + 1, type.n - (size_t)slash - 1);
    return true;
}

// "*" fits everything, "*+json" what ends with "+json".
static bool part_fits(struct str part, struct str pattern)
{
    if (pattern.p[0] != '*')
        return str_ieq(part, pattern);
    struct str suffix = str_of(pattern.p + 1, pattern.n - 1);
    return part.n >= suffix.n && str_ieq(str_of(part.p + part.n - suffix.n, suffix.n), suffix);
}

bool coding_type_fits(struct str content_type, struct str entry)
{
    struct str major, minor, major_pattern, minor_pattern;
    return split_type(without_params(content_type), &major, &minor) &&
           split_type(without_params(entry), &major_pattern, &minor_pattern) &&
           part_fits(major, major_pattern) && part_fits(minor, minor_pattern);
}

static bool in_list(struct str type, const struct str *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (coding_type_fits(type, types[i]))
            return true;
    return false;
}

static bool type_is_worth_it(struct str type, const struct coding_options *o)
{
    if (o->types)
        return in_list(type, o->types, o->type_count);
    return !coding_type_fits(type, event_stream) &&
           in_list(type, default_types, sizeof default_types / sizeof default_types[0]);
}

// --- the response ---

// A comma inside a quoted argument splits it too; at worst a body is then sent as it is.
static bool has_no_transform(struct str cache_control)
{
    struct str piece, rest = cache_control;
    while (str_split(&rest, ',', &piece)) {
        ptrdiff_t equals = str_find(piece, '=');
        if (equals >= 0)
            piece.n = (size_t)equals;
        if (str_ieq(str_trim(piece), STR("no-transform")))
            return true;
    }
    return false;
}

// 205 has no content either (RFC 9110 §15.3.6).
static bool has_body(const struct coding_query *q)
{
    return q->status >= 200 && q->status != 204 && q->status != 205 && q->status != 304 &&
           q->length != 0;
}

static bool may_be_coded(const struct coding_query *q, const struct coding_options *o)
{
    return (o->offered | q->ready) && !q->coded && !q->disabled &&
           !has_no_transform(q->cache_control);
}

// 304 is judged by what it stands for, so the length of its own that it may be said to have, none,
// does not count.
static bool is_worth_it(const struct coding_query *q, const struct coding_options *o)
{
    bool shows_body = has_body(q) || q->status == 304;
    bool is_short = q->length >= 0 && (uint64_t)q->length < o->min_bytes && q->status != 304;
    return shows_body && !is_short && type_is_worth_it(q->content_type, o);
}

// --- the client ---

static bool accepts_identity(struct str field)
{
    return accept_encoding(field, &names[CODING_IDENTITY], 1) == 0;
}

static bool is_named(struct str field, struct str name)
{
    struct str piece;
    while (str_split(&field, ',', &piece))
        if (str_ieq(without_params(piece), name))
            return true;
    return false;
}

// What the client likes best of what is offered; identity when it likes none.
static enum coding best(struct str field, unsigned offered, bool identity)
{
    struct str offer[CODINGS];
    enum coding meant[CODINGS];
    int n = 0;
    for (int i = 0; i < PREFERENCES; i++) {
        enum coding c = preference[i];
        if ((offered & 1u << c) && (c == CODING_GZIP || is_named(field, names[c]))) {
            offer[n] = names[c];
            meant[n++] = c;
        }
    }
    if (identity) {
        offer[n] = names[CODING_IDENTITY];
        meant[n++] = CODING_IDENTITY;
    }
    int chosen = accept_encoding(field, offer, n);
    return chosen < 0 ? CODING_IDENTITY : meant[chosen];
}

struct coding_choice coding_choose(const struct coding_query *q, const struct coding_options *o)
{
    struct coding_choice choice = {.coding = CODING_IDENTITY};
    bool possible = may_be_coded(q, o);
    bool identity = accepts_identity(q->accept_encoding);
    bool worth_it = o->offered && is_worth_it(q, o);
    unsigned codings = q->ready | (worth_it || !identity ? o->offered : 0);
    choice.vary = possible && (worth_it || q->ready);
    bool wanted = identity ? choice.vary && !q->range : possible;
    if (q->accept_encoding.p && wanted && has_body(q) && q->status != 206)
        choice.coding = best(q->accept_encoding, codings, identity);
    choice.vary |= choice.coding != CODING_IDENTITY;
    choice.unacceptable = !identity && choice.coding == CODING_IDENTITY && !q->coded &&
                          q->status < 300 && has_body(q);
    return choice;
}

// --- entity tags ---

// entity-tag (RFC 9110 §8.8.3), by its quotes: what is between them, and whether it is weak.
static bool parse_tag(struct str tag, struct str *opaque, bool *weak)
{
    *weak = str_starts(tag, STR("W/"));
    if (*weak)
        tag = str_of(tag.p + 2, tag.n - 2);
    if (tag.n < 2 || tag.p[0] != '"' || tag.p[tag.n - 1] != '"')
        return false;
    *opaque = str_of(tag.p + 1, tag.n - 2);
    return str_find(*opaque, '"') < 0;
}

size_t coding_tag(struct str etag, enum coding c, char *dst, size_t cap)
{
    struct str opaque;
    bool weak;
    size_t extra = c == CODING_IDENTITY ? 0 : 1 + names[c].n;
    if (!parse_tag(etag, &opaque, &weak) || etag.n > cap || cap - etag.n < extra)
        return 0;
    memcpy(dst, etag.p, etag.n);
    if (extra) {
        char *end = dst + etag.n - 1;
        *end++ = '-';
        memcpy(end, names[c].p, names[c].n);
        end[names[c].n] = '"';
    }
    return etag.n + extra;
}

// The opaque part without "-gzip" and the like, and which coding that was.
static enum coding cut_coding(struct str *opaque)
{
    for (enum coding c = CODING_GZIP; c < CODINGS; c++) {
        if (!str_ends(*opaque, names[c]) || opaque->n == names[c].n)
            continue;
        size_t rest = opaque->n - names[c].n - 1;
        if (opaque->p[rest] != '-')
            continue;
        opaque->n = rest;
        return c;
    }
    return CODING_IDENTITY;
}

enum coding coding_of_tag(struct str tag)
{
    struct str opaque;
    bool weak;
    return parse_tag(tag, &opaque, &weak) ? cut_coding(&opaque) : CODING_IDENTITY;
}

bool coding_tag_is(struct str tag, struct str etag, enum coding *c)
{
    struct str theirs, ours;
    bool weak;
    if (!parse_tag(tag, &theirs, &weak) || !parse_tag(etag, &ours, &weak))
        return false;
    *c = CODING_IDENTITY;
    if (str_eq(theirs, ours))
        return true;
    *c = cut_coding(&theirs);
    return *c != CODING_IDENTITY && str_eq(theirs, ours);
}

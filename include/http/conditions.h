// Conditional requests: a decision from the request's conditions and the representation's
// validators (RFC 9110 §8.8, §13). Pure functions of strings.
#ifndef LUNETTE_HTTP_CONDITIONS_H
#define LUNETTE_HTTP_CONDITIONS_H

#include "base/str.h"

// The fields of the request, all values of a repeated one joined by ", ". p is NULL for one that is
// absent, which is another thing than an empty one.
struct conditions {
    struct str if_match, if_none_match, if_modified_since, if_unmodified_since, if_range;
};

// The validators of the representation as it would be sent.
struct validators {
    struct str etag;       // "\"v\"" or "W/\"v\""; n 0, or one that is malformed: none
    int64_t last_modified; // seconds since 1970; -1: none
    int64_t now;           // for years of two digits, and to tell a strong date from a weak one
    bool coded;            // tags of its coded forms count as its own: "v-gzip" as "v"
};

enum verdict {
    VERDICT_GO,           // perform the method
    VERDICT_NOT_MODIFIED, // 304
    VERDICT_FAILED,       // 412
};

// The order of §13.2.2: If-Match, or else If-Unmodified-Since; then If-None-Match, or else, for GET
// and HEAD (is_get), If-Modified-Since. A list of entity tags that is malformed anywhere matches
// nothing; a date that is none is ignored.
enum verdict conditions_judge(const struct conditions *c, const struct validators *v, bool is_get);

// Whether Range may be honoured, given If-Range (§13.1.5): the same strong entity tag, or exactly
// the date of the last change once that is at least a second past (§8.8.2.2). True without the
// field.
bool conditions_range(const struct conditions *c, const struct validators *v);

#endif

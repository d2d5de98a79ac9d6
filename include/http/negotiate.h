// Decisions about a response from request fields: pure functions of strings (RFC 9110 §12, §13, §14).
#ifndef LUNETTE_HTTP_NEGOTIATE_H
#define LUNETTE_HTTP_NEGOTIATE_H

#include "base/str.h"

// The validators of a representation as it would be sent, and the request's conditions. A field that is absent has p NULL. All values of a repeated field joined by ", ".
struct conditions {
    struct str if_match, if_none_match, if_modified_since, if_unmodified_since, if_range;
};
struct validators {
    struct str etag;       // "\"v\"" or "W/\"v\""; n 0: none
    int64_t last_modified; // seconds since 1970; -1: none
    int64_t
        now; // for RFC 850 years, and to judge whether last_modified is strong enough for If-Range (§8.8.2.2: at least a second old)
};

enum verdict {
    VERDICT_GO,           // perform the method
    VERDICT_NOT_MODIFIED, // 304
    VERDICT_FAILED,       // 412
};

// The order of RFC 9110 §13.2.2: If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since. is_get: GET or HEAD.
enum verdict conditions_judge(const struct conditions *c, const struct validators *v, bool is_get);
// Whether Range may be honoured, given If-Range (§13.1.5): strong comparison, or an exact date; true without the field.
bool conditions_range(const struct conditions *c, const struct validators *v);

struct byte_range {
    uint64_t first, last; // inclusive, last < size
};
enum range_verdict {
    RANGE_NONE, // ignore the field: whole representation (malformed, unknown unit, too many, or more than two that overlap)
    RANGE_SOME, // 206 with n ranges, in the order asked for
    RANGE_UNSATISFIABLE, // 416
};
enum { RANGES_MAX = 16 };
// The Range field for a representation of size bytes (§14.1.2, §14.2). Unsatisfiable ones among several are dropped.
enum range_verdict range_parse(struct str field, uint64_t size,
                               struct byte_range out[static RANGES_MAX], unsigned *n);

// The best of n offered values for an Accept field (§12.5.1: q, specificity, parameters), Accept-Language (RFC 4647 §3.4 lookup) or
// Accept-Encoding (§12.5.3: identity acceptable unless excluded, '*'). field.p NULL (absent): the first. Ties: the first offered wins. The index, or -1 when none is acceptable.
int accept_type(struct str field, const struct str *offered, int n);
int accept_language(struct str field, const struct str *offered, int n);
int accept_encoding(struct str field, const struct str *offered, int n);

#endif

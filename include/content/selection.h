// Which form of a representation answers a request: its conditions, its content coding, its ranges,
// in the order of RFC 9110 §13.2.2. A pure decision, for files and for what handlers make.
#ifndef LUNETTE_CONTENT_SELECTION_H
#define LUNETTE_CONTENT_SELECTION_H

#include "content/coding_choice.h"
#include "http/conditions.h"
#include "http/exchange.h"
#include "http/range.h"

// A 200 to a GET, or to a HEAD as GET would get it.
struct representation {
    struct validators validators; // of its identity form
    int64_t length;               // −1: not known
    struct str content_type;      // n 0: none
    struct str cache_control;     // p NULL: none
    bool coded;                   // it has a Content-Encoding already
    bool no_coding;               // the route wants none
    unsigned ready;               // see coding_query
};

enum { SELECTION_TAG = 256 };

struct selection {
    unsigned status; // 200, 206, 304, 412 or 416
    enum coding coding;
    bool vary;       // "Vary: Accept-Encoding" is due
    struct str etag; // of the form that is selected: the representation's own, or in tag; n 0: none
    unsigned n;      // with 206: how many ranges of the identity form
    struct byte_range ranges[RANGES_MAX];
    char tag[SELECTION_TAG];
};

// What of a request could make the answer to GET or HEAD another than the plain 200: the sum of
// these. Most requests have the first one alone.
enum selection_asks {
    SELECTION_CODING = 1, // Accept-Encoding
    SELECTION_FORM = 2,   // Range or If-…
    // Perhaps a condition on the date of the last change: without it nobody needs to know that.
    SELECTION_DATES = 4,
};
unsigned selection_asks(const struct http_request *r);

// The identity form's tag becomes that of the coded form c, or stays.
void selection_use_coding(struct selection *s, struct str etag, enum coding c);

// Decides. codings: what the server can make; offered 0 for none. a: for fields that are repeated.
//
// A coded form has a tag of its own. A client that shows the tag of the identity form is told 304
// too, when it would take that form: what it has is still right. Ranges are served from the identity
// form, so that a request whose Range counts is not coded, unless it refuses identity: then Range
// is ignored (§14.2).
void selection_make(const struct representation *r, const struct http_request *request,
                    const struct coding_options *codings, struct arena *a, struct selection *out);

#endif

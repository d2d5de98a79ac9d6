// Request targets: path and query of an origin-form target (RFC 9112 §3.2.1, RFC 3986 §3.3, §5.2.4, §6.2.2).
#ifndef LUNETTE_HTTP_URI_H
#define LUNETTE_HTTP_URI_H

#include "base/str.h"

struct uri_path {
    struct str path; // decoded and normalised: "/a b/c"; begins with "/"
    bool
        encoded_slash; // a segment holds a decoded "/": split raw segments, not path, to tell them apart
    bool plain;        // path is byte for byte the raw path
};

// Splits origin-form (what h1_head calls origin; "" means "/") at the first "?". query is without it; *has_query tells "/x?" from "/x".
void uri_split(struct str origin, struct str *raw_path, struct str *query, bool *has_query);

// Decodes and normalises raw_path into dst (room for raw_path.n + 1 bytes; not NUL-terminated): %XX decoded segment by segment, then "." and
// ".." removed, runs of "/" merged, a trailing slash kept ("/a/." and "/a/b/.." give "/a/"). False, with *why a phrase for the log, for an
// invalid %XX, %00, a path that does not begin with "/" or one that climbs above "/".
// When the raw path needs no change, out->path is raw_path itself and dst is not written.
bool uri_normalise(struct str raw_path, char *dst, struct uri_path *out, const char **why);

// The raw path with dot segments removed and slashes merged as uri_normalise does, still percent-encoded, so that it can be split at "/" and
// each segment decoded on its own. Only for a path that uri_normalise accepted. dst has room for raw_path.n + 1 bytes; returns the slice written there.
struct str uri_clean(struct str raw_path, char *dst);

#endif

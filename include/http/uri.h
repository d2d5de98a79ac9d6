// Request targets: path and query of an origin-form target (RFC 9112 §3.2.1; RFC 3986 §3.3,
// §5.2.4, §6.2.2).
//
//      "/a/%2e%2e/b%2Fc//d%20e?x=1"    as sent
//      "/b%2Fc/d%20e"                  clean: no dot segments, no empty ones; still encoded
//      "/b/c/d e"                      path: decoded; encoded_slash tells of the one in b/c
#ifndef LUNETTE_HTTP_URI_H
#define LUNETTE_HTTP_URI_H

#include "base/str.h"

struct uri_path {
    struct str path;    // decoded and normalised: "/a b/c"; begins with "/"
    bool encoded_slash; // a segment held "%2F": split the clean path, not this one, to route
    bool plain;         // path is byte for byte the raw path
};

// Splits origin-form (what h1_head calls origin; "" means "/") at the first "?". query is what
// follows it; *has_query tells "/x?" from "/x". An empty path before the "?" means "/" too.
void uri_split(struct str origin, struct str *raw_path, struct str *query, bool *has_query);

// Decodes and normalises raw_path into dst (room for raw_path.n + 1 bytes; not NUL-terminated):
// "." and ".." removed segment by segment, %2E being a dot; %XX decoded; runs of "/" merged,
// decoded ones too, so that path may name a file; a trailing slash kept ("/a/." and "/a/b/.."
// give "/a/"). False, with *why a phrase for the log, for an invalid %XX, a NUL, a path that does
// not begin with "/", one that climbs above "/", and a "%2F" beside a dot segment ("..%2fetc").
// When nothing had to change, out->path is raw_path itself and plain is set.
bool uri_normalise(struct str raw_path, char *dst, struct uri_path *out, const char **why);

// The clean path: dot segments removed and slashes merged as uri_normalise does, still
// percent-encoded, so that it can be split at "/" and each segment decoded on its own. Only for a
// path that uri_normalise accepted. dst has room for raw_path.n + 1 bytes; returns the slice
// written there.
struct str uri_clean(struct str raw_path, char *dst);

#endif

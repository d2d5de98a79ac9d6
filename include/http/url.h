// URLs: parts, whole, and resolved against a base (RFC 3986). Pure functions of slices.
//
//      http://user:pw@example.com:8080/dir/page;v=1?x=1#top
//      scheme username password host port path params query fragment
//
// A part is what stands in the text, still percent-encoded and without its delimiter. What is not
// there is absent, which differs from empty: "http://h/?" has an empty query.
#ifndef LUNETTE_HTTP_URL_H
#define LUNETTE_HTTP_URL_H

#include "base/str.h"

struct url {
    struct str scheme, username, password; // p NULL: absent, here and below
    struct str host;                       // IPv6 without its brackets; "" in "file:///x"
    int port;                              // −1: absent
    struct str path;                       // never absent: ""
    struct str params; // behind the first ";" of the last segment, in schemes that have them
    struct str query, fragment;
};

// Reads any URL or relative reference. False, with a clause for people in why, for spaces and
// control bytes, a "\" or another byte that RFC 3986 does not have in the authority, brackets
// around what is no IPv6 address, and a port that is no number up to 65535. Elsewhere all other
// bytes are taken, those of UTF-8 too. Params are split off as Python's urlparse does: for http,
// https, ftp, sip and some more, and without a scheme.
bool url_parse(struct str s, struct url *out, const char **why);

// Bytes that url_format may write for u.
size_t url_format_max(const struct url *u);
// Writes the whole to dst: the same text that url_parse read, but for needless zeros in the port and
// an "@" in the user's name. Bytes that cannot stand in their part, such as a "?" in the path, are
// percent-encoded; "/" is put between host and path where it is missing; and a path that would be
// taken for a host or a scheme gets "/." or "./" in front. The scheme must be one (url_is_scheme),
// the host too (url_is_host), the port at most 65535; without a host user and port are not looked
// at. Returns the length.
size_t url_format(char *dst, const struct url *u);

bool url_is_scheme(struct str s);
// A name, an IPv4 address, or an IPv6 address without brackets; "" is one.
bool url_is_host(struct str s);

// Bytes that url_join writes beyond those of base and reference.
enum { URL_JOIN_EXTRA = 8 };
// Resolves ref against base by RFC 3986 §5.2.2, strictly ("http:g" is what it says), into dst, with
// room for base.n + ref.n + URL_JOIN_EXTRA bytes. base should have a scheme; the result has none if
// it has none, and its path then stays relative. Both must be URLs for url_parse. Returns the
// length.
size_t url_join(char *dst, struct str base, struct str ref);

// Decodes the escapes of s that are some, leaving the others as they are; "+" is no space. dst has
// room for s.n bytes and may be s.p itself. Returns the length.
size_t url_unquote(char *dst, struct str s);

#endif

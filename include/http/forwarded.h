// Who the client is, as proxies tell it: Forwarded (RFC 7239) and X-Forwarded-For, -Proto, -Host
// and -Port. Pure; slices point into what was given.
//
// Each proxy adds behind what it was sent, so the lists are read from their ends, and only as far as
// those who wrote them are trusted (RFC 7239 §8.1): the connection's peer wrote the last element,
// the client it names wrote the one before, and so on.
//
//      Forwarded: for=198.51.100.7, for=203.0.113.9;proto=https, for=10.0.0.2;proto=http
//                 anybody wrote it   10.0.0.2 wrote it            the peer wrote it
//
// With the peer and 10.0.0.2 trusted the client is 203.0.113.9 over https. Reading stops at an
// element that is malformed: it and those before it are not believed.
#ifndef LUNETTE_HTTP_FORWARDED_H
#define LUNETTE_HTTP_FORWARDED_H

#include "base/str.h"

#include <netinet/in.h>

// The fields of a request whose peer is trusted, those of one name joined by ", "; p NULL: absent.
struct forwarded_fields {
    struct str forwarded;
    struct str x_for, x_proto, x_host, x_port;
};

struct forwarded {
    char addr[INET6_ADDRSTRLEN]; // as inet_ntop has it, IPv4-mapped as IPv4; "": not told
    unsigned port;               // of that address; 0: not told
    struct str scheme;           // "http" or "https"; n 0: not told
    struct str host;             // host[:port] as sent; n 0: not told
    unsigned host_port;          // what the client connected to, when told apart from host; else 0
};

// Whether a proxy with that address is believed.
typedef bool forwarded_trusted_fn(void *arg, struct str address);

// Forwarded alone is read where it is there, with proto and host of the element whose "for" is
// taken. Else X-Forwarded-For says how far to go, and the other three give the element that is as
// far from their end, or their first where they are shorter (a proxy that replaces the field leaves
// one): nothing that was in front of what trusted proxies added. "ws" and "wss" count as http and
// https; a scheme, host or port that is none is not told.
//
// False when both Forwarded and X-Forwarded-For are there and lead to different clients: one of
// them was then let through by a proxy that writes only the other, and which is not to be seen.
bool forwarded_read(const struct forwarded_fields *f, forwarded_trusted_fn *trusted, void *arg,
                    struct forwarded *out);

enum { FORWARDED_ID_MAX = 128 };

// Whether s can be believed as X-Request-Id: 1 to FORWARDED_ID_MAX letters, digits and "-_.:=+/@",
// which no log, header or page has to escape.
bool forwarded_is_id(struct str s);

#endif

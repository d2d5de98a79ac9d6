// Networks as text, "10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "::1", "unix", and what is in them.
//
// An IPv4-mapped IPv6 address is the IPv4 address, in networks and in what is held against them; a
// network of one family holds no address of the other, "::/0" included.
#ifndef LUNETTE_NET_CIDR_H
#define LUNETTE_NET_CIDR_H

#include "net/addr.h"

struct cidr {
    sa_family_t family;      // AF_INET, AF_INET6, or AF_UNIX: any unix socket
    unsigned char bits;      // of the prefix: at most 32 or 128
    unsigned char bytes[16]; // the network's address, zero behind the prefix; 4 of them for AF_INET
};

struct cidr_list {
    const struct cidr *item;
    unsigned n;
};

enum { CIDR_WHY_MAX = 160 };

// Reads the whole of text. An address alone is a network of its own. False, with a clause for
// people in why ("its last bits are set: the network is 10.0.0.0/8"), for anything else.
bool cidr_parse(struct str text, struct cidr *out, char why[static CIDR_WHY_MAX]);

// Whether the peer is in one of the networks.
bool cidr_has(const struct cidr_list *list, const struct addr *peer);
// The same for a numeric address without port or brackets; other text is in none.
bool cidr_has_text(const struct cidr_list *list, struct str address);

#endif

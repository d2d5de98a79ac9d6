// Socket addresses as text: "127.0.0.1:8080", "[::]:80", "unix:/run/site.sock", "8080", ":8080".
#ifndef LUNETTE_NET_ADDR_H
#define LUNETTE_NET_ADDR_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
};

enum { ADDR_TEXT_MAX = 160 }; // bytes that addr_format needs at most, NUL included

// A listen address of API.md: "host:port" with a numeric IPv4 host or "localhost" (127.0.0.1),
// "[v6]:port", "unix:/path" (from the root, at most 107 bytes, none of them a control byte); a bare
// port or ":port" means 127.0.0.1. Port 0 lets the kernel choose. 0, or −EINVAL with *why a clause
// for people ("the port must be a number from 0 to 65535").
int addr_parse(struct str text, struct addr *out, const char **why);
// "127.0.0.1:8080", "[::1]:80", "unix:/path" (a unix peer without a path: "unix:"). Returns dst.
char *addr_format(const struct addr *a, char dst[static ADDR_TEXT_MAX]);
// The host alone ("127.0.0.1", "::1"; IPv4-mapped IPv6 as IPv4; "unix:" for unix sockets), and the
// port, 0 for unix.
char *addr_host(const struct addr *a, char dst[static ADDR_TEXT_MAX]);
unsigned addr_port(const struct addr *a);
// 127.0.0.0/8, ::1 or a unix socket.
bool addr_is_loopback(const struct addr *a);

#endif

// Hosts that cannot be somebody else's: see the header.
#include "http/own_host.h"

#include <arpa/inet.h>
#include <string.h>

enum { HOST_MAX = 253 }; // bytes of a name in the DNS

static bool is_ip(struct str host, int family)
{
    char text[INET6_ADDRSTRLEN]; // inet_pton wants a C string
    struct in6_addr address;
    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return strlen(text) == host.n && inet_pton(family, text, &address) == 1;
}

static bool is_bracketed_ip(struct str authority)
{
    ptrdiff_t end = str_find(authority, ']');
    return end > 1 && is_ip(str_of(authority.p + 1, (size_t)end - 1), AF_INET6);
}

// Without the port, and the dot that a whole name may end in.
static struct str name_of(struct str authority)
{
    ptrdiff_t colon = str_find(authority, ':');
    struct str name = colon < 0 ? authority : str_of(authority.p, (size_t)colon);
    if (str_ends(name, STR(".")))
        name.n--;
    return name;
}

static bool is_beneath(struct str name, struct str top)
{
    return name.n > top.n + 1 && name.p[name.n - top.n - 1] == '.' &&
           str_eq(str_of(name.p + name.n - top.n, top.n), top);
}

static bool fits(struct str name, struct str pattern)
{
    const struct str any = STR("*.");
    if (!str_starts(pattern, any))
        return str_eq(name, pattern);
    return is_beneath(name, str_of(pattern.p + any.n, pattern.n - any.n));
}

static bool is_one_of(struct str name, struct str names)
{
    struct str one;
    while (str_split(&names, '\n', &one))
        if (one.n && fits(name, one))
            return true;
    return false;
}

bool own_host(struct str authority, struct str names)
{
    const struct str local = STR("localhost");
    char lower[HOST_MAX];
    if (str_starts(authority, STR("[")))
        return is_bracketed_ip(authority);
    struct str name = name_of(authority);
    if (name.n == 0 || name.n > sizeof lower)
        return false;
    ascii_lower(lower, name.p, name.n);
    name.p = lower;
    return is_ip(name, AF_INET) || str_eq(name, local) || is_beneath(name, local) ||
           is_one_of(name, names);
}

// Networks: see the header. Everything is a family and its address bytes; the first bits of those
// are compared.
#include "net/cidr.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
enum { MAPPED_BITS = 96 };

__attribute__((format(printf, 2, 3))) static bool refuse(char why[static CIDR_WHY_MAX],
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, CIDR_WHY_MAX, format, args);
    va_end(args);
    return false;
}

static unsigned width(sa_family_t family)
{
    return family == AF_INET ? 32 : 128;
}

// A host as a network of all its bits, not yet unmapped. False when the text is no address.
static bool parse_address(struct str text, struct cidr *out)
{
    char host[INET6_ADDRSTRLEN]; // inet_pton wants a C string
    if (text.n >= sizeof host || str_find(text, '\0') >= 0)
        return false;
    memcpy(host, text.p, text.n);
    host[text.n] = '\0';
    *out = (struct cidr){.family = str_find(text, ':') >= 0 ? AF_INET6 : AF_INET};
    out->bits = (unsigned char)width(out->family);
    return inet_pton(out->family, host, out->bytes) == 1;
}

// A mapped network becomes the IPv4 one, if it says no more than IPv4 addresses.
static void unmap(struct cidr *c)
{
    if (c->family != AF_INET6 || c->bits < MAPPED_BITS || memcmp(c->bytes, mapped, 12) != 0)
        return;
    struct cidr v4 = {.family = AF_INET, .bits = (unsigned char)(c->bits - MAPPED_BITS)};
    memcpy(v4.bytes, c->bytes + 12, 4);
    *c = v4;
}

// Clears what is behind the prefix. Whether anything was set there.
static bool clear_rest(struct cidr *c)
{
    bool found = false;
    for (unsigned i = 0; i < width(c->family) / 8; i++) {
        unsigned before = c->bits > i * 8 ? c->bits - i * 8 : 0; // bits of the prefix from here on
        unsigned char keep = (unsigned char)(0xff00u >> (before < 8 ? before : 8));
        found |= (c->bytes[i] & ~keep) != 0;
        c->bytes[i] &= keep;
    }
    return found;
}

bool cidr_parse(struct str text, struct cidr *out, char why[static CIDR_WHY_MAX])
{
    char network[INET6_ADDRSTRLEN];
    ptrdiff_t slash = str_find(text, '/');
    uint64_t bits;
    if (str_eq(text, STR("unix"))) {
        *out = (struct cidr){.family = AF_UNIX};
        return true;
    }
    if (!parse_address(slash < 0 ? text : str_of(text.p, (size_t)slash), out))
        return refuse(why, "it must be a numeric address, a network like 10.0.0.0/8, or unix");
    if (slash >= 0) {
        struct str digits = str_of(text.p + slash + 1, text.n - (size_t)slash - 1);
        if (!str_to_u64(digits, &bits) || bits > width(out->family))
            return refuse(why, "the prefix must be a number from 0 to %u", width(out->family));
        out->bits = (unsigned char)bits;
    }
    if (clear_rest(out))
        return refuse(why, "its last bits are set: the network is %s/%u",
                      inet_ntop(out->family, out->bytes, network, sizeof network), out->bits);
    unmap(out);
    return true;
}

static bool holds(const struct cidr *c, const struct cidr *host)
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    if (c->family != host->family || memcmp(c->bytes, host->bytes, whole) != 0)
        return false;
    return rest == 0 || (c->bytes[whole] ^ host->bytes[whole]) >> (8 - rest) == 0;
}

static bool any_holds(const struct cidr_list *list, struct cidr *host)
{
    unmap(host);
    for (unsigned i = 0; i < list->n; i++)
        if (holds(&list->item[i], host))
            return true;
    return false;
}

bool cidr_has(const struct cidr_list *list, const struct addr *peer)
{
    struct cidr host = {.family = peer->sa.sa_family};
    if (host.family == AF_INET6)
        memcpy(host.bytes, &peer->v6.sin6_addr, 16);
    else if (host.family == AF_INET)
        memcpy(host.bytes, &peer->v4.sin_addr, 4);
    host.bits = (unsigned char)width(host.family);
    return any_holds(list, &host);
}

bool cidr_has_text(const struct cidr_list *list, struct str address)
{
    struct cidr host;
    return parse_address(address, &host) && any_holds(list, &host);
}

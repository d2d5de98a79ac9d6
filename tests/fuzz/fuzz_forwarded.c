// Networks and what proxies tell, from arbitrary bytes. The input is read as lines: trusted
// networks with spaces between, then Forwarded, X-Forwarded-For, -Proto, -Host, -Port; an empty
// line is an absent field.
//
// sources: src/base/str.c src/net/cidr.c src/net/addr.c src/http/forwarded.c src/http/h1_parse.c src/http/h1_framing.c src/http/method.c
#include "http/forwarded.h"
#include "http/h1_parse.h"
#include "net/cidr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NETWORKS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A network that was read is written and read again, holds its own address, and what is refused for
// its last bits names one that is taken.
static void check_cidr(const struct cidr *c)
{
    char text[INET6_ADDRSTRLEN + 8], why[CIDR_WHY_MAX];
    struct cidr again;
    struct cidr_list list = {c, 1};
    if (c->family == AF_UNIX)
        return;
    assert(inet_ntop(c->family, c->bytes, text, INET6_ADDRSTRLEN));
    assert(cidr_has_text(&list, str_z(text)));
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "/%u", c->bits);
    assert(cidr_parse(str_z(text), &again, why));
    assert(again.family == c->family && again.bits == c->bits);
    assert(memcmp(again.bytes, c->bytes, 16) == 0);
}

static void check_refusal(const char *why)
{
    struct cidr c;
    char again[CIDR_WHY_MAX];
    const char *network = strstr(why, "the network is ");
    assert(*why);
    assert(!network || cidr_parse(str_z(network + strlen("the network is ")), &c, again));
}

static unsigned read_networks(struct str line, struct cidr *networks)
{
    struct str piece;
    unsigned n = 0;
    char why[CIDR_WHY_MAX];
    while (n < NETWORKS && str_split(&line, ' ', &piece)) {
        if (cidr_parse(piece, &networks[n], why))
            check_cidr(&networks[n++]);
        else
            check_refusal(why);
    }
    return n;
}

static bool is_trusted(void *arg, struct str address)
{
    return cidr_has_text(arg, address);
}

static void check_told(const struct forwarded *f)
{
    char again[INET6_ADDRSTRLEN];
    struct in6_addr a;
    int family = strchr(f->addr, ':') ? AF_INET6 : AF_INET;
    assert(memchr(f->addr, '\0', sizeof f->addr));
    if (f->addr[0]) {
        assert(inet_pton(family, f->addr, &a) == 1);
        assert(inet_ntop(family, &a, again, sizeof again) && strcmp(again, f->addr) == 0);
        assert(family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&a));
    }
    assert(f->addr[0] || f->port == 0);
    assert(f->port <= UINT16_MAX && f->host_port <= UINT16_MAX);
    assert(f->scheme.n == 0 || str_eq(f->scheme, STR("http")) || str_eq(f->scheme, STR("https")));
    assert(h1_is_host(f->host));
}

static bool same(const struct forwarded *a, const struct forwarded *b)
{
    return strcmp(a->addr, b->addr) == 0 && a->port == b->port && str_eq(a->scheme, b->scheme) &&
           str_eq(a->host, b->host) && a->host_port == b->host_port;
}

// before, in front of the field that a trusted proxy ended with after.
static struct str joined(char *dst, struct str before, struct str after)
{
    if (before.n)
        memcpy(dst, before.p, before.n);
    memcpy(dst + before.n, after.p, after.n);
    return str_of(dst, before.n + after.n);
}

// Whatever a client sent, the element that a proxy puts behind it is the one that is believed.
static void check_smuggling(const struct forwarded_fields *f)
{
    static const struct str added = STR(", for=\"[2001:db8::9]:99\";proto=https;host=\"h:1\"");
    struct cidr_list nobody = {NULL, 0};
    struct forwarded got, want;
    char *text = malloc(f->forwarded.n + added.n), *list = malloc(f->x_for.n + 32);
    struct forwarded_fields one = {.forwarded = joined(text, f->forwarded, added)};
    assert(forwarded_read(&one, is_trusted, &nobody, &got));
    assert(strcmp(got.addr, "2001:db8::9") == 0 && got.port == 99);
    assert(str_eq(got.scheme, STR("https")) && str_eq(got.host, STR("h:1")));

    one = (struct forwarded_fields){.x_for = joined(list, f->x_for, STR(",192.0.2.9")),
                                    .x_proto = f->x_proto};
    assert(forwarded_read(&one, is_trusted, &nobody, &got));
    assert(strcmp(got.addr, "192.0.2.9") == 0 && got.port == 0);
    one.x_for = STR("192.0.2.9"); // how much there is in front does not shift the other lists
    assert(forwarded_read(&one, is_trusted, &nobody, &want));
    assert(same(&got, &want));
    free(text);
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), line[6] = {0};
    struct cidr networks[NETWORKS];
    for (int i = 0; i < 6 && str_split(&rest, '\n', &line[i]); i++)
        if (line[i].n == 0)
            line[i].p = NULL;
    struct cidr_list trusted = {networks, line[0].p ? read_networks(line[0], networks) : 0};
    struct forwarded_fields f = {line[1], line[2], line[3], line[4], line[5]};
    struct forwarded both, alone;
    bool agreed = forwarded_read(&f, is_trusted, &trusted, &both);
    check_told(&both);
    struct forwarded_fields first = f;
    first.x_for = (struct str){NULL, 0};
    assert(forwarded_read(&first, is_trusted, &trusted, &alone));
    assert(!f.forwarded.p || same(&both, &alone)); // Forwarded decides, where it is
    first = f;
    first.forwarded = (struct str){NULL, 0};
    assert(forwarded_read(&first, is_trusted, &trusted, &alone));
    check_told(&alone);
    bool two = f.forwarded.p && f.x_for.p;
    assert(agreed == (!two || strcmp(both.addr, alone.addr) == 0));
    check_smuggling(&f);
    assert(!forwarded_is_id(line[1]) ||
           (line[1].n <= FORWARDED_ID_MAX && h1_is_field_value(line[1])));
    return 0;
}

// Socket addresses as text: see the header. Names are not resolved here; "localhost" is the one
// word known.
#include "net/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -EINVAL;
}

static bool parse_port(struct str text, in_port_t *port)
{
    uint64_t n;
    if (!str_to_u64(text, &n) || n > 65535)
        return false;
    *port = htons((uint16_t)n);
    return true;
}

static bool has_control_byte(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

// The path goes into logs, status lines and the environment of a successor, where lines have an
// end.
static int parse_unix(struct str path, struct addr *out, const char **why)
{
    if (path.n == 0 || path.p[0] != '/')
        return refuse(why, "the path of a unix socket must begin with a slash");
    if (path.n >= sizeof out->un.sun_path)
        return refuse(why, "the path of a unix socket may have at most 107 bytes");
    if (str_find(path, '\0') >= 0)
        return refuse(why, "the path of a unix socket must not contain a NUL byte");
    if (has_control_byte(path))
        return refuse(why, "the path of a unix socket must not contain a control byte, such as a "
                           "line feed");
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path.p, path.n);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return 0;
}

// inet_pton wants a C string.
static bool parse_host(int family, struct str text, void *dst)
{
    char host[INET6_ADDRSTRLEN];
    if (text.n >= sizeof host || str_find(text, '\0') >= 0)
        return false;
    memcpy(host, text.p, text.n);
    host[text.n] = '\0';
    return inet_pton(family, host, dst) == 1;
}

// text begins behind the opening bracket.
static int parse_v6(struct str text, struct addr *out, const char **why)
{
    ptrdiff_t end = str_find(text, ']');
    if (end < 0)
        return refuse(why, "the bracket of the IPv6 address is not closed");
    struct str host = str_of(text.p, (size_t)end);
    struct str rest = str_of(text.p + end + 1, text.n - (size_t)end - 1);
    if (!str_starts(rest, STR(":")))
        return refuse(why, "a port must follow the IPv6 address: [::1]:8080");
    if (!parse_host(AF_INET6, host, &out->v6.sin6_addr))
        return refuse(why, "what stands in brackets is not an IPv6 address");
    if (!parse_port(str_of(rest.p + 1, rest.n - 1), &out->v6.sin6_port))
        return refuse(why, "the port must be a number from 0 to 65535");
    out->v6.sin6_family = AF_INET6;
    out->len = sizeof out->v6;
    return 0;
}

static int parse_v4(struct str text, struct addr *out, const char **why)
{
    ptrdiff_t colon = str_find(text, ':');
    struct str host = STR("");
    struct str port = text;
    if (colon >= 0) {
        host = str_of(text.p, (size_t)colon);
        port = str_of(text.p + colon + 1, text.n - (size_t)colon - 1);
    }
    if (str_find(port, ':') >= 0)
        return refuse(why, "an IPv6 address stands in brackets: [::1]:8080");
    if (host.n == 0 || str_eq(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (!parse_host(AF_INET, host, &out->v4.sin_addr))
        return refuse(why, "the host must be a numeric address or localhost");
    if (!parse_port(port, &out->v4.sin_port))
        return refuse(why, "the port must be a number from 0 to 65535");
    out->v4.sin_family = AF_INET;
    out->len = sizeof out->v4;
    return 0;
}

int addr_parse(struct str text, struct addr *out, const char **why)
{
    *out = (struct addr){0};
    if (text.n == 0)
        return refuse(why, "the address is empty");
    if (str_starts(text, STR("unix:")))
        return parse_unix(str_of(text.p + 5, text.n - 5), out, why);
    if (text.p[0] == '[')
        return parse_v6(str_of(text.p + 1, text.n - 1), out, why);
    return parse_v4(text, out, why);
}

// The bytes of the path: none for an unnamed socket and for the abstract names of Linux, which
// begin with a NUL. The kernel does not promise a NUL at the end.
static struct str unix_path(const struct addr *a)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t n = a->len > start ? a->len - start : 0;
    if (n > sizeof a->un.sun_path)
        n = sizeof a->un.sun_path;
    return str_of(a->un.sun_path, strnlen(a->un.sun_path, n));
}

static bool is_mapped(const struct addr *a)
{
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

char *addr_format(const struct addr *a, char dst[static ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    if (a->sa.sa_family == AF_UNIX) {
        struct str path = unix_path(a);
        snprintf(dst, ADDR_TEXT_MAX, "unix:%.*s", STR_ARG(path));
    } else if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
        snprintf(dst, ADDR_TEXT_MAX, "[%s]:%u", host, addr_port(a));
    } else {
        assert(a->sa.sa_family == AF_INET);
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
        snprintf(dst, ADDR_TEXT_MAX, "%s:%u", host, addr_port(a));
    }
    return dst;
}

// As inet_ntop does, which takes ten times as long: every line of the access log has one.
static void put_v4(char *dst, const void *address)
{
    const unsigned char *bytes = address;
    for (int i = 0; i < 4; i++) {
        dst = str_put_u64(dst, bytes[i]);
        *dst++ = i < 3 ? '.' : '\0';
    }
}

char *addr_host(const struct addr *a, char dst[static ADDR_TEXT_MAX])
{
    if (a->sa.sa_family == AF_UNIX)
        strcpy(dst, "unix:");
    else if (is_mapped(a))
        put_v4(dst, &a->v6.sin6_addr.s6_addr[12]);
    else if (a->sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->v6.sin6_addr, dst, ADDR_TEXT_MAX);
    else
        put_v4(dst, &a->v4.sin_addr);
    return dst;
}

unsigned addr_port(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET6)
        return ntohs(a->v6.sin6_port);
    return a->sa.sa_family == AF_INET ? ntohs(a->v4.sin_port) : 0;
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->sa.sa_family == AF_UNIX)
        return true;
    if (is_mapped(a))
        return a->v6.sin6_addr.s6_addr[12] == 127;
    if (a->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
    return a->sa.sa_family == AF_INET && ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

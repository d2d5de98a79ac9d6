// Reading what proxies added: see the header.
//
// Lists are cut from their ends. A quote that an untrusted client left open in front must not
// swallow what a trusted proxy wrote behind it, so quotes are paired from the end too. That needs
// quoted strings without escapes, and no address, scheme or host has any: an element with a
// backslash counts as malformed.
#include "http/forwarded.h"

#include "http/h1_parse.h"

#include <arpa/inet.h>
#include <string.h>

static void skip(struct str *s, size_t n)
{
    *s = str_of(s->p + n, s->n - n);
}

static bool take_byte(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    skip(s, 1);
    return true;
}

// Takes the last element of *list; quotes: a comma in a quoted string separates nothing. False when
// none is left.
static bool take_last(struct str *list, bool quotes, struct str *out)
{
    size_t at = list->n;
    bool quoted = false;
    if (!list->p)
        return false;
    while (at > 0 && (quoted || list->p[at - 1] != ',')) {
        at--;
        quoted ^= quotes && list->p[at] == '"';
    }
    *out = str_trim(str_of(list->p + at, list->n - at));
    *list = at ? str_of(list->p, at - 1) : (struct str){NULL, 0};
    return true;
}

// --- values ---

// The address in the one form that inet_ntop gives it. False when it is none.
static bool canonical(struct str text, int family, char dst[static INET6_ADDRSTRLEN])
{
    char host[INET6_ADDRSTRLEN]; // inet_pton wants a C string
    struct in6_addr a;
    if (text.n >= sizeof host || str_find(text, '\0') >= 0)
        return false;
    memcpy(host, text.p, text.n);
    host[text.n] = '\0';
    if (inet_pton(family, host, &a) != 1)
        return false;
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a))
        return inet_ntop(AF_INET, &a.s6_addr[12], dst, INET6_ADDRSTRLEN);
    return inet_ntop(family, &a, dst, INET6_ADDRSTRLEN);
}

static bool is_hidden(struct str node)
{
    return str_starts(node, STR("_")) || str_ieq(node, STR("unknown"));
}

static bool read_port(struct str text, unsigned *port)
{
    uint64_t n;
    if (!str_to_u64(text, &n) || n == 0 || n > UINT16_MAX)
        return false;
    *port = (unsigned)n;
    return true;
}

// ":port" or nothing. An obfuscated port (RFC 7239 §6.3) is one that is not told.
static bool read_node_port(struct str rest, unsigned *port)
{
    *port = 0;
    if (rest.n == 0)
        return true;
    return take_byte(&rest, ':') && (str_starts(rest, STR("_")) || read_port(rest, port));
}

// An address with or without a port (RFC 7239 §6). IPv6 stands in brackets, but for X-Forwarded-For,
// where nobody writes them: it then has no port. False, with addr "", for anything else.
static bool read_node(struct str s, char addr[static INET6_ADDRSTRLEN], unsigned *port)
{
    bool bracket = take_byte(&s, '[');
    ptrdiff_t colon = str_find(s, ':'), end = bracket ? str_find(s, ']') : colon;
    bool bare_v6 = !bracket && colon >= 0 &&
                   str_find(str_of(s.p + colon + 1, s.n - (size_t)colon - 1), ':') >= 0;
    size_t n = end < 0 || bare_v6 ? s.n : (size_t)end;
    struct str rest = str_of(s.p + n, s.n - n);
    bool good = canonical(str_of(s.p, n), bracket || bare_v6 ? AF_INET6 : AF_INET, addr) &&
                (!bracket || take_byte(&rest, ']')) && read_node_port(rest, port);
    if (!good)
        addr[0] = '\0';
    return good;
}

static struct str read_scheme(struct str s)
{
    if (str_ieq(s, STR("https")) || str_ieq(s, STR("wss")))
        return STR("https");
    return str_ieq(s, STR("http")) || str_ieq(s, STR("ws")) ? STR("http") : STR("");
}

static struct str read_host(struct str s)
{
    return h1_is_host(s) ? s : STR("");
}

// --- Forwarded ---

struct element {
    struct str node, proto, host; // p NULL: absent
};

static struct str take_word(struct str *s)
{
    size_t n = 0;
    while (n < s->n && (h1_is(H1_TCHAR, s->p[n]) || str_find(STR(":[]"), s->p[n]) >= 0))
        n++;
    struct str word = str_of(s->p, n);
    skip(s, n);
    return word;
}

// name=value or name="value". Unquoted values may hold ":", "[" and "]", which RFC 7239 would have
// quoted: what they mean is as clear.
static bool take_pair(struct str *s, struct str *name, struct str *value)
{
    *name = take_word(s);
    if (!h1_is_token(*name) || !take_byte(s, '='))
        return false;
    if (!take_byte(s, '"')) {
        *value = take_word(s);
        return value->n > 0;
    }
    ptrdiff_t end = str_find(*s, '"');
    if (end < 0)
        return false;
    *value = str_of(s->p, (size_t)end);
    skip(s, (size_t)end + 1);
    return str_find(*value, '\\') < 0;
}

// The place for a parameter of that name, or NULL for one that nobody asks for.
static struct str *place_of(struct element *e, struct str name)
{
    if (str_ieq(name, STR("for")))
        return &e->node;
    if (str_ieq(name, STR("proto")))
        return &e->proto;
    return str_ieq(name, STR("host")) ? &e->host : NULL;
}

// False when it is malformed; a parameter that occurs twice makes it so (RFC 7239 §4).
static bool read_element(struct str s, struct element *e)
{
    struct str name, value;
    *e = (struct element){0};
    do {
        s = str_trim(s);
        if (s.n == 0 || s.p[0] == ';') // a pair may be empty
            continue;
        if (!take_pair(&s, &name, &value))
            return false;
        struct str *place = place_of(e, name);
        if (place && place->p)
            return false;
        if (place)
            *place = value;
        s = str_trim(s);
    } while (take_byte(&s, ';'));
    return s.n == 0;
}

static void read_forwarded(struct str list, forwarded_trusted_fn *trusted, void *arg,
                           struct forwarded *out)
{
    struct str text;
    struct element e;
    while (take_last(&list, true, &text) && read_element(text, &e)) {
        struct forwarded here = {.scheme = read_scheme(e.proto), .host = read_host(e.host)};
        bool told = e.node.p && !is_hidden(e.node);
        if (told && !read_node(e.node, here.addr, &here.port))
            return;
        if (!told) { // its writer keeps to itself whom it speaks for: the writer stands for them
            memcpy(here.addr, out->addr, sizeof here.addr);
            here.port = out->port;
        }
        *out = here;
        if (!told || !trusted(arg, str_z(out->addr)))
            return;
    }
}

// --- X-Forwarded ---

// Sets the address. Returns how far from the list's end it stands.
static unsigned read_x_for(struct str list, forwarded_trusted_fn *trusted, void *arg,
                           struct forwarded *out)
{
    struct str text;
    for (unsigned i = 0;; i++) {
        char addr[INET6_ADDRSTRLEN];
        unsigned port;
        if (!take_last(&list, false, &text) || !read_node(text, addr, &port))
            return i ? i - 1 : 0;
        memcpy(out->addr, addr, sizeof addr);
        out->port = port;
        if (!trusted(arg, str_z(addr)))
            return i;
    }
}

// The element that far from the list's end, or the first.
static struct str element_at(struct str list, unsigned from_end)
{
    struct str text = STR("");
    for (unsigned i = 0; i <= from_end && take_last(&list, false, &text); i++)
        ;
    return text;
}

static void read_x(const struct forwarded_fields *f, forwarded_trusted_fn *trusted, void *arg,
                   struct forwarded *out)
{
    unsigned at = read_x_for(f->x_for, trusted, arg, out);
    out->scheme = read_scheme(element_at(f->x_proto, at));
    out->host = read_host(element_at(f->x_host, at));
    if (!read_port(element_at(f->x_port, at), &out->host_port))
        out->host_port = 0;
}

bool forwarded_read(const struct forwarded_fields *f, forwarded_trusted_fn *trusted, void *arg,
                    struct forwarded *out)
{
    *out = (struct forwarded){.port = 0};
    if (!f->forwarded.p) {
        read_x(f, trusted, arg, out);
        return true;
    }
    struct forwarded x = {.port = 0};
    read_forwarded(f->forwarded, trusted, arg, out);
    if (!f->x_for.p)
        return true;
    read_x_for(f->x_for, trusted, arg, &x);
    return strcmp(x.addr, out->addr) == 0;
}

bool forwarded_is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool plain = h1_is(H1_NAME, s.p[i]) && s.p[i] != '~';
        if (!plain && str_find(STR(":=+/@"), s.p[i]) < 0)
            return false;
    }
    return s.n > 0 && s.n <= FORWARDED_ID_MAX;
}

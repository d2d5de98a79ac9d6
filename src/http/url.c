// URLs: see the header. Splitting is that of RFC 3986 appendix B, which takes any text; what must
// not be in it is looked for apart.
#include "http/url.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

// --- which bytes ---

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(struct str set, char c)
{
    return str_find(set, c) >= 0;
}

// unreserved, sub-delims and "%": what names and user information are made of (§3.2).
static bool is_name_byte(char c)
{
    return is_alpha(c) || is_digit(c) || is_one_of(STR("-._~!$&'()*+,;=%"), c);
}

// Spaces, control bytes and DEL.
static bool is_control(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

bool url_is_scheme(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alpha(s.p[i]) && (i == 0 || !(is_digit(s.p[i]) || is_one_of(STR("+-."), s.p[i]))))
            return false;
    return s.n > 0;
}

static bool is_ipv6(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n >= sizeof text || is_one_of(s, '\0'))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool url_is_host(struct str s)
{
    if (is_one_of(s, ':'))
        return is_ipv6(s);
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_byte(s.p[i]))
            return false;
    return true;
}

static bool is_userinfo(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_byte(s.p[i]) && s.p[i] != ':' && s.p[i] != '@')
            return false;
    return true;
}

// --- splitting ---

struct parts {
    struct str scheme, authority, query, fragment; // p NULL: absent
    struct str path;
};

static struct str from(struct str s, size_t at)
{
    return str_of(s.p + at, s.n - at);
}

// Cuts *s at the first c; what is behind it, or an absent slice.
static struct str cut(struct str *s, char c)
{
    ptrdiff_t at = str_find(*s, c);
    if (at < 0)
        return (struct str){NULL, 0};
    struct str rest = from(*s, (size_t)at + 1);
    s->n = (size_t)at;
    return rest;
}

static void split(struct str s, struct parts *p)
{
    *p = (struct parts){.scheme = {NULL, 0}};
    if (!s.p)
        s = STR("");
    p->fragment = cut(&s, '#');
    p->query = cut(&s, '?');
    ptrdiff_t colon = str_find(s, ':');
    if (colon > 0 && url_is_scheme(str_of(s.p, (size_t)colon))) {
        p->scheme = str_of(s.p, (size_t)colon);
        s = from(s, (size_t)colon + 1);
    }
    if (str_starts(s, STR("//"))) {
        s = from(s, 2);
        ptrdiff_t slash = str_find(s, '/');
        p->authority = str_of(s.p, slash < 0 ? s.n : (size_t)slash);
        s = from(s, p->authority.n);
    }
    p->path = s;
}

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

// ":port", ":" or nothing.
static bool split_port(struct str s, int *port, const char **why)
{
    uint64_t number;
    *port = -1;
    if (s.n == 0 || (s.n == 1 && s.p[0] == ':'))
        return true;
    if (s.p[0] != ':')
        return refuse(why, "what follows the brackets is not a port");
    if (!str_to_u64(from(s, 1), &number) || number > UINT16_MAX)
        return refuse(why, "the port must be a number from 0 to 65535");
    *port = (int)number;
    return true;
}

static bool split_host(struct str s, struct url *out, const char **why)
{
    if (s.n == 0 || s.p[0] != '[') {
        ptrdiff_t colon = str_find(s, ':');
        out->host = str_of(s.p, colon < 0 ? s.n : (size_t)colon);
        if (!url_is_host(out->host))
            return refuse(why, "the host holds a byte that no host has");
        return split_port(from(s, out->host.n), &out->port, why);
    }
    ptrdiff_t end = str_find(s, ']');
    if (end < 0)
        return refuse(why, "the bracket of the IPv6 address is not closed");
    out->host = str_of(s.p + 1, (size_t)end - 1);
    if (!is_ipv6(out->host))
        return refuse(why, "what stands in brackets is not an IPv6 address");
    return split_port(from(s, (size_t)end + 1), &out->port, why);
}

// [user[:password]@]host[:port]. The last "@" counts: a host has none.
static bool split_authority(struct str s, struct url *out, const char **why)
{
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != '@')
        at--;
    if (at > 0) {
        out->username = str_of(s.p, at - 1);
        if (!is_userinfo(out->username))
            return refuse(why, "the user information holds a byte that it cannot have");
        out->password = cut(&out->username, ':');
    }
    return split_host(from(s, at), out, why);
}

static bool has_params(struct str scheme)
{
    static const char *const schemes[] = {"",      "ftp",   "hdl",  "prospero", "http",
                                          "https", "shttp", "rtsp", "sip",      "sips",
                                          "mms",   "sftp",  "tel"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (str_ieq(scheme, str_z(schemes[i])))
            return true;
    return false;
}

static void split_params(struct url *u)
{
    size_t last = u->path.n; // where the last segment begins
    while (last > 0 && u->path.p[last - 1] != '/')
        last--;
    struct str segment = from(u->path, last);
    u->params = cut(&segment, ';');
    u->path.n = last + segment.n;
}

bool url_parse(struct str s, struct url *out, const char **why)
{
    struct parts p;
    *out = (struct url){.port = -1};
    for (size_t i = 0; i < s.n; i++)
        if (is_control(s.p[i]))
            return refuse(why, "a space or control byte must be percent-encoded");
    split(s, &p);
    out->scheme = p.scheme;
    out->path = p.path;
    out->query = p.query;
    out->fragment = p.fragment;
    if (has_params(p.scheme))
        split_params(out);
    return !p.authority.p || split_authority(p.authority, out, why);
}

// --- writing ---

static char *put(char *d, struct str s)
{
    if (s.n)
        memcpy(d, s.p, s.n);
    return d + s.n;
}

static char *put_escaped(char *d, char c)
{
    static const char hex[] = "0123456789ABCDEF";
    *d++ = '%';
    *d++ = hex[(unsigned char)c >> 4];
    *d++ = hex[(unsigned char)c & 15];
    return d;
}

// Encodes control bytes, and those that would end the part.
static char *put_part(char *d, struct str s, struct str ends)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_control(s.p[i]) || is_one_of(ends, s.p[i]))
            d = put_escaped(d, s.p[i]);
        else
            *d++ = s.p[i];
    }
    return d;
}

// Encodes whatever is not surely plain.
static char *put_user(char *d, struct str s, bool colons)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_name_byte(s.p[i]) || (colons && s.p[i] == ':'))
            *d++ = s.p[i];
        else
            d = put_escaped(d, s.p[i]);
    }
    return d;
}

static char *put_authority(char *d, const struct url *u)
{
    bool brackets = is_one_of(u->host, ':');
    d = put(d, STR("//"));
    d = put_user(d, u->username, false);
    if (u->password.p) {
        *d++ = ':';
        d = put_user(d, u->password, true);
    }
    if (u->username.p || u->password.p)
        *d++ = '@';
    if (brackets)
        *d++ = '[';
    d = put(d, u->host);
    if (brackets)
        *d++ = ']';
    if (u->port >= 0) {
        *d++ = ':';
        d = str_put_u64(d, (uint64_t)u->port);
    }
    return d;
}

// What must stand before a path so that it is taken for one (§4.2, §3.3).
static struct str guard(bool scheme, bool authority, struct str path)
{
    ptrdiff_t colon = str_find(path, ':');
    if (authority)
        return path.n && path.p[0] != '/' ? STR("/") : STR("");
    if (str_starts(path, STR("//")))
        return STR("/.");
    bool like_scheme = colon > 0 && url_is_scheme(str_of(path.p, (size_t)colon));
    return !scheme && like_scheme ? STR("./") : STR("");
}

size_t url_format_max(const struct url *u)
{
    size_t n = u->scheme.n + u->username.n + u->password.n + u->host.n + u->path.n + u->params.n +
               u->query.n + u->fragment.n;
    return 3 * n + sizeof "://:@[]:65535/.;?#";
}

size_t url_format(char *dst, const struct url *u)
{
    char *d = dst;
    assert(!u->scheme.p || url_is_scheme(u->scheme));
    assert(u->port <= UINT16_MAX && url_is_host(u->host));
    if (u->scheme.p) {
        d = put(d, u->scheme);
        *d++ = ':';
    }
    if (u->host.p)
        d = put_authority(d, u);
    bool only_params = u->host.p && u->path.n == 0 && u->params.p;
    d = put(d, only_params ? STR("/") : guard(u->scheme.p, u->host.p, u->path));
    d = put_part(d, u->path, STR("?#"));
    if (u->params.p) {
        *d++ = ';';
        d = put_part(d, u->params, STR("?#/"));
    }
    if (u->query.p) {
        *d++ = '?';
        d = put_part(d, u->query, STR("#"));
    }
    if (u->fragment.p) {
        *d++ = '#';
        d = put_part(d, u->fragment, STR(""));
    }
    return (size_t)(d - dst);
}

// --- joining ---

// Removes the last segment, behind which a "/" stands; never what is in front of floor.
static size_t drop_segment(const char *p, size_t n, size_t floor)
{
    if (n > floor)
        n--;
    while (n > floor && p[n - 1] != '/')
        n--;
    return n;
}

// Removes dot segments in place (§5.2.4). A path that has no root gets none. Returns the length.
static size_t remove_dots(char *p, size_t n)
{
    size_t floor = n && p[0] == '/', out = floor;
    struct str rest = str_of(p + floor, n - floor), segment;
    while (str_split(&rest, '/', &segment)) {
        if (str_eq(segment, STR("..")))
            out = drop_segment(p, out, floor);
        if (str_eq(segment, STR("..")) || str_eq(segment, STR(".")))
            continue;
        memmove(p + out, segment.p, segment.n);
        out += segment.n;
        if (rest.p)
            p[out++] = '/';
    }
    return out;
}

// The base's path up to its last "/", and the reference's (§5.2.3).
static char *put_merged(char *d, const struct parts *base, struct str path)
{
    size_t n = base->path.n;
    while (n > 0 && base->path.p[n - 1] != '/')
        n--;
    if (base->authority.p && base->path.n == 0)
        *d++ = '/';
    return put(put(d, str_of(base->path.p, n)), path);
}

static char *put_target_path(char *d, const struct parts *base, const struct parts *ref, bool own)
{
    char *end;
    if (!own && ref->path.n == 0)
        return put(d, base->path);
    if (own || ref->path.p[0] == '/')
        end = put(d, ref->path);
    else
        end = put_merged(d, base, ref->path);
    return d + remove_dots(d, (size_t)(end - d));
}

// The path is written, and what must stand before it is put there then.
static char *put_guard(char *path, char *end, bool scheme, bool authority)
{
    struct str before = guard(scheme, authority, str_of(path, (size_t)(end - path)));
    memmove(path + before.n, path, (size_t)(end - path));
    put(path, before);
    return end + before.n;
}

size_t url_join(char *dst, struct str base_text, struct str ref_text)
{
    struct parts base, ref;
    char *d = dst;
    split(base_text, &base);
    split(ref_text, &ref);
    bool own = ref.scheme.p || ref.authority.p; // the reference says where its path begins
    struct str scheme = ref.scheme.p ? ref.scheme : base.scheme;
    struct str authority = own ? ref.authority : base.authority;
    struct str query = own || ref.path.n || ref.query.p ? ref.query : base.query;
    if (scheme.p) {
        ascii_lower(d, scheme.p, scheme.n);
        d += scheme.n;
        *d++ = ':';
    }
    if (authority.p)
        d = put(put(d, STR("//")), authority);
    char *path = d;
    d = put_target_path(d, &base, &ref, own);
    d = put_guard(path, d, scheme.p, authority.p);
    if (query.p)
        d = put(put(d, STR("?")), query);
    if (ref.fragment.p)
        d = put(put(d, STR("#")), ref.fragment);
    return (size_t)(d - dst);
}

// --- decoding ---

size_t url_unquote(char *dst, struct str s)
{
    return pct_decode_any(dst, s, '+');
}

// URLs from arbitrary bytes: what was read is written as it was, what is written is read again, and
// what two of them join to is a URL without dot segments. The input is two lines, base and
// reference.
#include "http/url.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(struct str a, struct str b)
{
    return !a.p == !b.p && str_eq(a, b);
}

static bool same_url(const struct url *a, const struct url *b)
{
    return same(a->scheme, b->scheme) && same(a->username, b->username) &&
           same(a->password, b->password) && same(a->host, b->host) && a->port == b->port &&
           str_eq(a->path, b->path) && same(a->params, b->params) && same(a->query, b->query) &&
           same(a->fragment, b->fragment);
}

static struct str formatted(const struct url *u)
{
    char *text = malloc(url_format_max(u));
    size_t n = url_format(text, u);
    assert(n <= url_format_max(u));
    return str_of(text, n);
}

static struct str from(struct str s, size_t at)
{
    return str_of(s.p + at, s.n - at);
}

// What follows the port is written as it was, and so is all in front but for an "@" in user names.
static void check_again(struct str s, const struct url *u)
{
    const char *why;
    struct url again;
    struct str text = formatted(u);
    assert(url_parse(text, &again, &why));
    bool at = (u->username.p && str_find(u->username, '@') >= 0) ||
              (u->password.p && str_find(u->password, '@') >= 0);
    assert(at || same_url(u, &again));
    if (!u->host.p) // and no host is between
        assert(str_eq(text, s));
    size_t tail = s.n - (size_t)(u->path.p - s.p);
    assert(text.n >= tail && str_eq(from(text, text.n - tail), from(s, s.n - tail)));
    free((char *)text.p);
}

// Parts of any bytes give a URL, and the same one when it was read and written again.
static void check_parts(struct str a, struct str b)
{
    const char *why;
    struct url u = {.port = -1, .path = a, .query = b, .fragment = a}, again;
    if (a.n % 2)
        u.params = b;
    if (a.n % 3) {
        u.host = STR("h");
        u.username = b;
        u.password = a;
        u.port = (int)(b.n & 0xffff);
    }
    if (b.n % 2)
        u.scheme = STR("http");
    struct str text = formatted(&u);
    assert(url_parse(text, &again, &why));
    assert(!again.scheme.p == !u.scheme.p && !again.host.p == !u.host.p && again.port == u.port);
    assert(again.query.p && again.fragment.p);
    struct str twice = formatted(&again);
    assert(str_eq(text, twice));
    free((char *)text.p);
    free((char *)twice.p);
}

// Single dots may be there: they keep a path from being taken for something else. "..;x" is a
// segment like any other.
static void check_dots(const struct url *u)
{
    struct str segment, path = str_of(u->path.p, u->path.n + (u->params.p ? 1 + u->params.n : 0));
    while (str_split(&path, '/', &segment))
        assert(!str_eq(segment, STR("..")));
}

static void check_join(struct str base, struct str ref, const struct url *b, const struct url *r)
{
    const char *why;
    struct url u;
    char *dst = malloc(base.n + ref.n + URL_JOIN_EXTRA);
    struct str text = str_of(dst, url_join(dst, base, ref));
    assert(text.n <= base.n + ref.n + URL_JOIN_EXTRA);
    assert(url_parse(text, &u, &why));
    assert(!u.scheme.p == !(r->scheme.p || b->scheme.p));
    assert(same(u.fragment, r->fragment));
    if (r->path.n)
        check_dots(&u);
    if (r->host.p)
        assert(same(u.host, r->host) && u.port == r->port);
    else if (!r->scheme.p)
        assert(same(u.host, b->host) && u.port == b->port);
    if (u.scheme.p && r->path.n) { // a whole URL stands for itself, whatever the base
        char *again = malloc(base.n + text.n + URL_JOIN_EXTRA);
        assert(str_eq(str_of(again, url_join(again, base, text)), text));
        free(again);
    }
    free(dst);
}

static void check_unquote(struct str s)
{
    char *dst = malloc(s.n + !s.n), *strict = malloc(s.n + !s.n);
    size_t n = url_unquote(dst, s);
    ptrdiff_t m = pct_decode(strict, s);
    assert(n <= s.n && (m < 0 || ((size_t)m == n && memcmp(dst, strict, n) == 0)));
    free(dst);
    free(strict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), line[2] = {STR(""), STR("")};
    struct url u[2];
    bool good[2];
    for (int i = 0; i < 2 && str_split(&rest, '\n', &line[i]); i++)
        ;
    for (int i = 0; i < 2; i++) {
        const char *why = NULL;
        good[i] = url_parse(line[i], &u[i], &why);
        assert(good[i] || (why && *why));
        if (good[i])
            check_again(line[i], &u[i]);
        check_unquote(line[i]);
    }
    check_parts(line[0], line[1]);
    if (good[0] && good[1])
        check_join(line[0], line[1], &u[0], &u[1]);
    return 0;
}

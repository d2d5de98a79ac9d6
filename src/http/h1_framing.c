// The judgement of a complete head: whom it is for, where its body ends, whether the connection
// stays (RFC 9112 §3.2, §6, §9.3; RFC 9110 §7.2, §10.1.1).
//
// When a proxy before us sees another end of a body than we do, a request is smuggled past it; so
// whatever is said twice or in two ways is refused. The judges stand in one table, the gravest
// first: what leaves the framing in doubt (400) comes before what is merely not served.
#include "http/h1_parse.h"

#include <arpa/inet.h>
#include <string.h>

// Host (RFC 9110 §7.2).

// The length of "[" IPv6 "]" at the start of s; 0 when it is none. No zones, no future formats.
static size_t bracketed_length(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    ptrdiff_t close = str_find(s, ']');
    if (close < 2 || (size_t)close > sizeof text)
        return 0;
    size_t n = (size_t)close - 1;
    memcpy(text, s.p + 1, n);
    text[n] = '\0';
    bool good = strlen(text) == n && inet_pton(AF_INET6, text, &address) == 1;
    return good ? n + 2 : 0;
}

static size_t name_length(struct str s)
{
    size_t n = 0;
    for (;;) {
        while (n < s.n && h1_is(H1_NAME, s.p[n]))
            n++;
        if (pct_byte(str_of(s.p + n, s.n - n)) < 0)
            return n;
        n += 3;
    }
}

static bool is_port(struct str s)
{
    uint64_t port;
    if (s.n == 0 || s.p[0] != ':')
        return s.n == 0;
    return s.n == 1 || (str_to_u64(str_of(s.p + 1, s.n - 1), &port) && port <= UINT16_MAX);
}

bool h1_is_host(struct str s)
{
    if (s.n == 0)
        return true;
    size_t n = s.p[0] == '[' ? bracketed_length(s) : name_length(s);
    return n > 0 && is_port(str_of(s.p + n, s.n - n));
}

static enum h1_error judge_host(struct h1_head *h, const char *base)
{
    uint32_t lines = h->known_lines[H1_HOST];
    if (lines > 1)
        return H1_MANY_HOSTS;
    if (lines == 0)
        return h->minor ? H1_NO_HOST : H1_OK;
    h->host = h->fields[h->known[H1_HOST]].value;
    if (!h->absolute)
        h->authority = h->host;
    return h1_is_host(h1_text(base, h->host)) ? H1_OK : H1_BAD_HOST;
}

// Lists that may go over several lines (RFC 9110 §5.3).

struct walk {
    enum h1_known known;
    uint32_t index; // where the next line may be
    uint32_t left;  // lines still to come
};

static struct walk walk_lines(const struct h1_head *h, enum h1_known k)
{
    return (struct walk){k, (uint32_t)h->known[k], h->known_lines[k]};
}

static bool next_line(const struct h1_head *h, const char *base, struct walk *w, struct str *value)
{
    if (w->left == 0)
        return false;
    w->left--;
    struct str name = h1_text(base, h->fields[h->known[w->known]].name);
    while (!str_ieq(name, h1_text(base, h->fields[w->index].name)))
        w->index++;
    *value = h1_text(base, h->fields[w->index++].value);
    return true;
}

// Transfer-Encoding (§6.1): "chunked" is the only coding we take, once, at the end.

struct codings {
    bool malformed; // an empty element, a parameter, something that is no token
    bool other;     // a coding that is not chunked
    bool chunked;   // chunked was seen
    bool behind;    // something came behind chunked
};

static void add_coding(struct codings *c, struct str coding)
{
    c->malformed |= !h1_is_token(coding);
    c->behind |= c->chunked;
    if (str_ieq(coding, STR("chunked")))
        c->chunked = true;
    else
        c->other = true;
}

static enum h1_error judge_coding(struct h1_head *h, const char *base)
{
    struct codings c = {0};
    struct str line, coding;
    if (h->known_lines[H1_TRANSFER_ENCODING] == 0)
        return H1_OK;
    if (h->known_lines[H1_CONTENT_LENGTH] > 0)
        return H1_LENGTH_AND_CODING;
    if (h->minor == 0)
        return H1_CODING_IN_10;
    for (struct walk w = walk_lines(h, H1_TRANSFER_ENCODING); next_line(h, base, &w, &line);)
        while (str_split(&line, ',', &coding))
            add_coding(&c, str_trim(coding));
    if (c.malformed || !c.chunked || c.behind)
        return H1_BAD_CODING;
    h->chunked = true;
    return c.other ? H1_UNKNOWN_CODING : H1_OK;
}

// Content-Length (§6.2, §6.3). A number is taken as it is, leading zeros included.

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool needs_length(const struct h1_head *h)
{
    return h->minor == 0 &&
           (h->method == HTTP_POST || h->method == HTTP_PUT || h->method == HTTP_PATCH);
}

static enum h1_error judge_length(struct h1_head *h, const char *base)
{
    uint64_t length;
    if (h->known_lines[H1_CONTENT_LENGTH] == 0)
        return H1_OK;
    struct str value = h1_text(base, h->fields[h->known[H1_CONTENT_LENGTH]].value);
    if (h->known_lines[H1_CONTENT_LENGTH] > 1 || str_find(value, ',') >= 0)
        return H1_MANY_LENGTHS;
    if (!is_digits(value))
        return H1_BAD_LENGTH;
    if (!str_to_u64(value, &length) || length > INT64_MAX)
        return H1_LENGTH_OVERFLOW;
    h->has_length = true;
    h->content_length = (int64_t)length;
    return H1_OK;
}

// What is well framed, but not served.

static enum h1_error judge_method(struct h1_head *h, const char *base)
{
    (void)base;
    if (h->method == HTTP_METHODS)
        return H1_UNKNOWN_METHOD;
    return needs_length(h) && !h->has_length ? H1_LENGTH_REQUIRED : H1_OK;
}

static enum h1_error judge_expect(struct h1_head *h, const char *base)
{
    if (h->known_lines[H1_EXPECT] == 0 || h->minor == 0)
        return H1_OK;
    struct str value = h1_text(base, h->fields[h->known[H1_EXPECT]].value);
    if (h->known_lines[H1_EXPECT] > 1 || !str_ieq(value, STR("100-continue")))
        return H1_BAD_EXPECT;
    h->expect_continue = h->chunked || h->content_length > 0;
    return H1_OK;
}

// Connection (§9.3): "close" wins; what is no known token means nothing to us.
static bool stays_open(const struct h1_head *h, const char *base)
{
    bool stays = h->minor > 0;
    struct str line, option;
    for (struct walk w = walk_lines(h, H1_CONNECTION); next_line(h, base, &w, &line);)
        while (str_split(&line, ',', &option)) {
            option = str_trim(option);
            if (str_ieq(option, STR("close")))
                return false;
            stays |= str_ieq(option, STR("keep-alive"));
        }
    return stays;
}

typedef enum h1_error judge_fn(struct h1_head *h, const char *base);

static const struct {
    judge_fn *judge;
    enum h1_known about; // whose line is named when it is bad; H1_KNOWN: the start line
} judges[] = {
    {judge_host, H1_HOST},
    {judge_coding, H1_TRANSFER_ENCODING},
    {judge_length, H1_CONTENT_LENGTH},
    {judge_method, H1_KNOWN},
    {judge_expect, H1_EXPECT},
};

static uint32_t line_of(const struct h1_head *h, enum h1_known k)
{
    bool sent = k != H1_KNOWN && h->known_lines[k] > 0;
    return sent ? h->fields[h->known[k]].name.at : h->skipped;
}

enum h1_error h1_head_judge(struct h1_head *h, const char *base)
{
    for (size_t i = 0; i < sizeof judges / sizeof *judges; i++) {
        enum h1_error e = judges[i].judge(h, base);
        if (e) {
            h->error_at = line_of(h, judges[i].about);
            return e;
        }
    }
    h->keep_alive = stays_open(h, base);
    return H1_OK;
}

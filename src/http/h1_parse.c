// The head of an HTTP/1 request, line by line (RFC 9112 §2 to §5).
//
// memchr finds the line end, from where the last call left off; only then is the line looked at, in
// one pass over a table of byte classes. So a head costs two passes over its bytes, the first of
// them at memory speed, and what a line is judged to be cannot depend on how its bytes arrived.
//
//      start line ──CRLF──▶ field line ──CRLF──▶ … ──empty line──▶ h1_head_judge ──▶ H1_DONE
//        │   ▲                                                      (h1_framing.c)
//        └───┘ empty lines before the start line are skipped: h->skipped moves along with h->line
#include "http/h1_parse.h"

#include <assert.h>
#include <string.h>

// No head is longer than this, so that offsets of it fit 32 bits with room to add.
#define HEAD_BYTES_MAX (1u << 30)

static struct h1_span span(uint32_t from, uint32_t to)
{
    return (struct h1_span){from, to - from};
}

// Values: eight bytes at a time, as long as none is a control byte.

static bool bytes_are(enum h1_class class, const char *p, const char *end)
{
    while (p < end && h1_is(class, *p))
        p++;
    return p == end;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

// True when one of the eight bytes is below 0x20 or DEL: HTAB too, which the caller looks at again.
static bool has_control(uint64_t word)
{
    uint64_t del = word ^ EACH(0x7f);
    uint64_t low = (word - EACH(0x20)) & ~word;
    return (low | ((del - EACH(1)) & ~del)) & EACH(0x80);
}

bool h1_is_field_value(struct str s)
{
    const char *p = s.p, *end = s.p + s.n;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        if (has_control(word) && !bytes_are(H1_VALUE, p, p + 8))
            return false;
    }
    return bytes_are(H1_VALUE, p, end);
}

bool h1_is_token(struct str s)
{
    return s.n > 0 && bytes_are(H1_TCHAR, s.p, s.p + s.n);
}

// The request target (§3.2).

// The length of "http://" or "https://" at the start of s, in any case; or 0.
static uint32_t scheme_length(struct str s)
{
    if (s.n >= 7 && str_ieq(str_of(s.p, 7), STR("http://")))
        return 7;
    if (s.n >= 8 && str_ieq(str_of(s.p, 8), STR("https://")))
        return 8;
    return 0;
}

static enum h1_error absolute_form(struct h1_head *h, const char *base)
{
    uint32_t scheme = scheme_length(h1_text(base, h->target));
    if (!scheme)
        return H1_BAD_TARGET;
    uint32_t from = h->target.at + scheme, end = h->target.at + h->target.n, at = from;
    while (at < end && base[at] != '/' && base[at] != '?')
        at++;
    h->authority = span(from, at);
    h->origin = span(at, end);
    h->absolute = true;
    h->secure = scheme == 8;
    bool good = h->authority.n > 0 && h1_is_host(h1_text(base, h->authority));
    return good ? H1_OK : H1_BAD_TARGET;
}

static enum h1_error target_form(struct h1_head *h, const char *base)
{
    h->origin = h->target;
    const char *p = base + h->target.at;
    if (p[0] == '/')
        return H1_OK;
    if (p[0] == '*' && h->target.n == 1)
        return h->method == HTTP_OPTIONS ? H1_OK : H1_BAD_TARGET;
    return absolute_form(h, base);
}

static enum h1_error judge_target(struct h1_head *h, const char *base)
{
    const char *p = base + h->target.at;
    if (h->target.n > h->limits.uri_bytes)
        return H1_TARGET_TOO_LONG;
    if (!bytes_are(H1_TARGET, p, p + h->target.n))
        return H1_BAD_TARGET;
    // Which forms an unknown method allows is as unknown: CONNECT has an authority (§3.2.3).
    return h->method == HTTP_METHODS ? H1_OK : target_form(h, base);
}

// The start line (§3).

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum h1_error judge_version(struct h1_head *h, const char *p, uint32_t n)
{
    if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' || !is_digit(p[7]))
        return memchr(p, ' ', n) ? H1_BAD_START_LINE : H1_BAD_VERSION;
    if (p[5] != '1')
        return H1_VERSION_UNSUPPORTED;
    h->minor = p[7] != '0';
    return H1_OK;
}

static enum h1_error start_line(struct h1_head *h, const char *base, uint32_t end)
{
    const char *line = base + h->line, *stop = base + end;
    const char *space = memchr(line, ' ', (size_t)(stop - line));
    const char *second = space ? memchr(space + 1, ' ', (size_t)(stop - space - 1)) : NULL;
    if (!second || space == line || second == space + 1 || second + 1 == stop)
        return H1_BAD_START_LINE;
    uint32_t version = (uint32_t)(second + 1 - base);
    h->method_span = span(h->line, (uint32_t)(space - base));
    h->target = span((uint32_t)(space + 1 - base), version - 1);
    struct str method = h1_text(base, h->method_span);
    h->method = method_parse(method);
    if (h->method == HTTP_METHODS && !h1_is_token(method))
        return H1_BAD_METHOD;
    enum h1_error e = judge_version(h, base + version, end - version);
    return e ? e : judge_target(h, base);
}

static enum h1_error lead_line(struct h1_head *h)
{
    if (h->skipped + 2 > H1_LEAD_MAX)
        return H1_BAD_START_LINE;
    h->skipped += 2;
    return H1_OK;
}

// Field lines (§5).

static enum h1_known known_of(struct str name)
{
    switch (name.n) {
    case 4:
        return str_ieq(name, STR("Host")) ? H1_HOST : H1_KNOWN;
    case 6:
        return str_ieq(name, STR("Expect")) ? H1_EXPECT : H1_KNOWN;
    case 10:
        return str_ieq(name, STR("Connection")) ? H1_CONNECTION : H1_KNOWN;
    case 14:
        return str_ieq(name, STR("Content-Length")) ? H1_CONTENT_LENGTH : H1_KNOWN;
    case 17:
        return str_ieq(name, STR("Transfer-Encoding")) ? H1_TRANSFER_ENCODING : H1_KNOWN;
    default:
        return H1_KNOWN;
    }
}

static void add_field(struct h1_head *h, const char *base, struct h1_field field)
{
    enum h1_known known = known_of(h1_text(base, field.name));
    if (known != H1_KNOWN && h->known_lines[known]++ == 0)
        h->known[known] = (int32_t)h->field_count;
    h->fields[h->field_count++] = field;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// end is the offset of the CR, so base[end] ends every run of tchar and of blanks.
static enum h1_error field_line(struct h1_head *h, const char *base, uint32_t end)
{
    if (h->field_count == h->limits.fields)
        return H1_TOO_MANY_FIELDS;
    if (is_blank(base[h->line]))
        return H1_FOLD;
    uint32_t at = h->line;
    while (h1_is(H1_TCHAR, base[at]))
        at++;
    if (base[at] != ':' || at == h->line)
        return memchr(base + at, ':', end - at) ? H1_BAD_FIELD_NAME : H1_NO_COLON;
    struct h1_span name = span(h->line, at++);
    while (is_blank(base[at]))
        at++;
    while (end > at && is_blank(base[end - 1]))
        end--;
    struct h1_span value = span(at, end);
    if (!h1_is_field_value(h1_text(base, value)))
        return H1_BAD_FIELD_VALUE;
    add_field(h, base, (struct h1_field){name, value});
    return H1_OK;
}

// Lines.

// The line from h->line, whose LF is at lf.
static enum h1_error take_line(struct h1_head *h, const char *base, uint32_t lf)
{
    if (lf == h->line || base[lf - 1] != '\r')
        return H1_BARE_LF;
    uint32_t end = lf - 1;
    bool first = h->line == h->skipped;
    if (end == h->line) {
        h->length = first ? 0 : lf + 1;
        return first ? lead_line(h) : h1_head_judge(h, base);
    }
    enum h1_error e = first ? start_line(h, base, end) : field_line(h, base, end);
    // No class of bytes has CR in it, so a line with one is bad already; say what it is bad for.
    return e && memchr(base + h->line, '\r', end - h->line) ? H1_BARE_CR : e;
}

// The line does not end before the limit. A start line whose target alone is too long says so.
static enum h1_error too_long(const struct h1_head *h, const char *base, uint32_t limit)
{
    const char *space = memchr(base + h->line, ' ', limit - h->line);
    if (h->line != h->skipped || !space)
        return H1_HEAD_TOO_LONG;
    size_t rest = (size_t)(base + limit - (space + 1));
    bool all_target =
        rest > h->limits.uri_bytes && !memchr(space + 1, ' ', h->limits.uri_bytes + 1);
    return all_target ? H1_TARGET_TOO_LONG : H1_HEAD_TOO_LONG;
}

static enum h1_result bad(struct h1_head *h, enum h1_error e)
{
    h->error = e;
    return H1_BAD;
}

void h1_head_init(struct h1_head *h, const struct h1_limits *limits, struct h1_field *fields)
{
    assert(limits->head_bytes <= HEAD_BYTES_MAX && limits->fields <= HEAD_BYTES_MAX);
    *h = (struct h1_head){.limits = *limits, .fields = fields, .method = HTTP_METHODS};
    for (int i = 0; i < H1_KNOWN; i++)
        h->known[i] = -1;
}

enum h1_result h1_head_parse(struct h1_head *h, struct str bytes)
{
    assert(!h->error && !h->length && bytes.n >= h->seen);
    for (;;) {
        uint32_t limit = h->skipped + h->limits.head_bytes;
        uint32_t end = bytes.n < limit ? (uint32_t)bytes.n : limit;
        const char *lf = end > h->seen ? memchr(bytes.p + h->seen, '\n', end - h->seen) : NULL;
        h->error_at = h->line;
        if (!lf) {
            h->seen = end;
            return end < limit ? H1_MORE : bad(h, too_long(h, bytes.p, limit));
        }
        uint32_t at = (uint32_t)(lf - bytes.p);
        enum h1_error e = take_line(h, bytes.p, at);
        if (e)
            return bad(h, e);
        if (h->length)
            return H1_DONE;
        h->line = h->seen = at + 1;
    }
}

// Tables.

const struct h1_error_info *h1_error_info(enum h1_error e)
{
    static const struct h1_error_info infos[H1_ERRORS] = {
        [H1_OK] = {200, "no error"},
        [H1_BAD_START_LINE] = {400, "a start line that is not method, target and version"},
        [H1_BAD_METHOD] = {400, "a method that is not a token"},
        [H1_UNKNOWN_METHOD] = {501, "an unknown method"},
        [H1_BAD_TARGET] = {400, "a malformed request target"},
        [H1_TARGET_TOO_LONG] = {414, "a request target over limits.uri_bytes"},
        [H1_BAD_VERSION] = {400, "a malformed HTTP version"},
        [H1_VERSION_UNSUPPORTED] = {505, "an HTTP version other than 1.x"},
        [H1_BARE_CR] = {400, "a CR that no LF follows"},
        [H1_BARE_LF] = {400, "an LF that no CR precedes"},
        [H1_FOLD] = {400, "a field line that begins with whitespace (obs-fold)"},
        [H1_BAD_FIELD_NAME] = {400, "a field name that is not a token"},
        [H1_NO_COLON] = {400, "a field line without a colon"},
        [H1_BAD_FIELD_VALUE] = {400, "a control byte in a field value"},
        [H1_HEAD_TOO_LONG] = {431, "a head or trailer section over limits.header_bytes"},
        [H1_TOO_MANY_FIELDS] = {431, "more fields than limits.headers"},
        [H1_NO_HOST] = {400, "HTTP/1.1 without Host"},
        [H1_MANY_HOSTS] = {400, "more than one Host"},
        [H1_BAD_HOST] = {400, "a malformed Host"},
        [H1_BAD_LENGTH] = {400, "a Content-Length that is not a number"},
        [H1_LENGTH_OVERFLOW] = {400, "a Content-Length over 2^63 - 1"},
        [H1_MANY_LENGTHS] = {400, "more than one Content-Length"},
        [H1_LENGTH_AND_CODING] = {400, "Content-Length beside Transfer-Encoding"},
        [H1_BAD_CODING] = {400, "a Transfer-Encoding that does not end in one chunked"},
        [H1_UNKNOWN_CODING] = {501, "a transfer coding other than chunked"},
        [H1_CODING_IN_10] = {400, "Transfer-Encoding in HTTP/1.0"},
        [H1_LENGTH_REQUIRED] = {411, "an HTTP/1.0 body without Content-Length"},
        [H1_BAD_EXPECT] = {417, "an expectation other than 100-continue"},
        [H1_BAD_CHUNK_SIZE] = {400, "a malformed chunk size"},
        [H1_CHUNK_OVERFLOW] = {400, "a chunk size over 2^63 - 1 or 16 digits"},
        [H1_BAD_CHUNK_EXT] = {400, "a control byte in a chunk extension"},
        [H1_CHUNK_EXT_TOO_LONG] = {400, "too many bytes of chunk extensions"},
        [H1_BAD_CHUNK_END] = {400, "chunk data that CRLF does not follow"},
    };
    assert(e < H1_ERRORS);
    return &infos[e];
}

enum {
    V = H1_VALUE,
    VU = H1_VALUE | H1_TARGET,
    VT = H1_VALUE | H1_TCHAR,
    VUT = H1_VALUE | H1_TARGET | H1_TCHAR,
    ALL = H1_VALUE | H1_TARGET | H1_TCHAR | H1_NAME,
};

const unsigned char h1_classes[256] = {
    ['\t'] = V,          [' '] = V,           ['!'] = VUT,
    ['"'] = V,           ['#'] = VT,          ['$' ... '\''] = VUT,
    ['(' ... ')'] = VU,  ['*' ... '+'] = VUT, [','] = VU,
    ['-' ... '.'] = ALL, ['/'] = VU,          ['0' ... '9'] = ALL,
    [':' ... ';'] = VU,  ['<'] = V,           ['='] = VU,
    ['>'] = V,           ['?' ... '@'] = VU,  ['A' ... 'Z'] = ALL,
    ['['] = VU,          ['\\'] = V,          [']'] = VU,
    ['^'] = VUT,         ['_'] = ALL,         ['`'] = VUT,
    ['a' ... 'z'] = ALL, ['{'] = VU,          ['|'] = VUT,
    ['}'] = VU,          ['~'] = ALL,         [0x80 ... 0xff] = V,
};

// multipart/form-data, framed: delimiters, header blocks and bodies of parts (RFC 2046 §5.1.1).
//
// Text is searched for the delimiter, everything else is read byte by byte:
//
// drawing:
//    PREAMBLE ─delimiter─▶ LINE ─'-'─▶ DASH ─'-'─▶ EPILOGUE
//                          ▲  │ ╲
//                          │  CR ╰─blank─▶ PAD ─CR─╮          every other byte leads to FAILED
//                          │  ▼                    │
//                          │ LINE_LF ◀─────────────╯
//                      delimiter  │ LF
//                          │      ▼
//                          │    HEAD ──▶ FIELD ─CR─▶ FIELD_LF ─LF─▶ HEAD
//                          │      │ CR
//                          │      ▼
//                         BODY ◀─LF─ HEAD_LF
//
// The delimiter is CR LF "--" boundary. No byte of it but the first is a CR, so a mismatch need not
// go back: what was held is data, and at most the byte that did not match begins a new delimiter.
// The two bytes before the body, and those that end a header block, count as the delimiter's CRLF:
// a body may begin with "--boundary", and a part may end with its head.
//
// The search costs one look at each byte and one more at what follows a CR, whatever the cuts.
#include "http/multipart.h"

#include <assert.h>
#include <string.h>

#include "http/h1_parse.h"
#include "http/params.h"

enum state {
    PREAMBLE, // before the first delimiter
    LINE,     // behind a delimiter
    DASH,     // behind its first '-'
    PAD,      // behind a space or tab: transport padding
    LINE_LF,  // behind the CR of the delimiter's line
    HEAD,     // at the start of a header line, or of the empty line
    FIELD,    // in a header line
    FIELD_LF, // behind its CR
    HEAD_LF,  // behind the CR of the empty line
    BODY,     //
    EPILOGUE, // behind the closing delimiter
    FAILED,   // m->error says why
};

enum { CRLF = 2 };

static enum multipart_event go(struct multipart *m, enum state state)
{
    m->state = (uint8_t)state;
    return MULTIPART_MORE;
}

// The next byte, at m->at, is the one that is wrong.
static enum multipart_event fail(struct multipart *m, enum multipart_error e)
{
    m->state = FAILED;
    m->error = e;
    m->error_at = m->at;
    return MULTIPART_BAD;
}

// ---- the line of a delimiter

static enum multipart_event line_byte(struct multipart *m, char byte)
{
    if (byte == '\r')
        return go(m, LINE_LF);
    if (byte == ' ' || byte == '\t')
        return go(m, PAD);
    return byte == '-' && m->state == LINE ? go(m, DASH) : fail(m, MULTIPART_BAD_LINE);
}

static enum multipart_event close_byte(struct multipart *m, char byte)
{
    if (byte != '-')
        return fail(m, MULTIPART_BAD_LINE);
    go(m, EPILOGUE);
    return MULTIPART_DONE;
}

static enum multipart_event line_end(struct multipart *m, char byte)
{
    if (byte != '\n')
        return fail(m, MULTIPART_BAD_LINE);
    if (m->parts == m->limits.parts)
        return fail(m, MULTIPART_MANY_PARTS);
    m->parts++;
    m->fields = 0;
    m->head_at = m->at + 1;
    return go(m, HEAD);
}

// ---- the header block of a part

static enum multipart_event head_byte(struct multipart *m, char byte)
{
    if (m->state == HEAD && byte == '\r')
        return go(m, HEAD_LF);
    if (m->state == HEAD && m->fields++ == m->limits.fields)
        return fail(m, MULTIPART_MANY_FIELDS);
    if (m->at - m->head_at >= m->limits.head_bytes)
        return fail(m, MULTIPART_LARGE_HEAD);
    if (m->state == FIELD_LF)
        return byte == '\n' ? go(m, HEAD) : fail(m, MULTIPART_BAD_HEAD);
    if (byte == '\r')
        return go(m, FIELD_LF);
    return byte == '\n' || byte == '\0' ? fail(m, MULTIPART_BAD_HEAD) : go(m, FIELD);
}

static enum multipart_event head_end(struct multipart *m, char byte)
{
    if (byte != '\n')
        return fail(m, MULTIPART_BAD_HEAD);
    m->head_n = (uint32_t)(m->at - 1 - m->head_at);
    m->body_at = m->at + 1;
    m->matched = CRLF;
    go(m, BODY);
    return MULTIPART_HEAD;
}

static enum multipart_event step(struct multipart *m, char byte)
{
    switch ((enum state)m->state) {
    case LINE:
    case PAD:
        return line_byte(m, byte);
    case DASH:
        return close_byte(m, byte);
    case LINE_LF:
        return line_end(m, byte);
    case HEAD_LF:
        return head_end(m, byte);
    default:
        return head_byte(m, byte);
    }
}

// ---- text: the preamble and the bodies of parts

// How many bytes at the front of s go on with the delimiter, of which some are matched.
static size_t match(const struct multipart *m, struct str s, size_t matched)
{
    size_t left = m->delimiter_n - matched, n = 0;
    if (left > s.n)
        left = s.n;
    while (n < left && s.p[n] == m->delimiter[matched + n])
        n++;
    return n;
}

// How many bytes at the front of s belong to no delimiter, be it whole or cut by the end of s.
static size_t plain(const struct multipart *m, struct str s)
{
    size_t at = 0;
    while (at < s.n) {
        // Runs of CR are walked, not searched: each search has a price.
        const char *cr = s.p[at] == '\r' ? s.p + at : memchr(s.p + at, '\r', s.n - at);
        if (!cr)
            return s.n;
        at = (size_t)(cr - s.p);
        size_t n = match(m, str_of(cr, s.n - at), 0);
        if (n == m->delimiter_n || n == s.n - at)
            return at;
        at += n;
    }
    return at;
}

// Nobody wants the preamble.
static enum multipart_event hand_out(const struct multipart *m, struct str text, struct str *data)
{
    if (m->state == PREAMBLE || text.n == 0)
        return MULTIPART_MORE;
    *data = text;
    return MULTIPART_DATA;
}

// The bytes held back are text after all, but for a CRLF that stands before the body.
static enum multipart_event give_back(struct multipart *m, struct str *data)
{
    uint64_t seen = m->at - m->body_at;
    size_t n = m->matched < seen ? m->matched : (size_t)seen;
    struct str held = str_of(m->delimiter + m->matched - n, n);
    m->matched = 0;
    return hand_out(m, held, data);
}

static enum multipart_event end_text(struct multipart *m)
{
    bool in_body = m->state == BODY;
    uint64_t seen = m->at - m->body_at;
    m->body_n = seen > m->delimiter_n ? seen - m->delimiter_n : 0;
    m->matched = 0;
    go(m, LINE);
    return in_body ? MULTIPART_TAIL : MULTIPART_MORE;
}

static enum multipart_event read_text(struct multipart *m, struct str rest, struct str *data)
{
    size_t n = m->matched ? 0 : plain(m, rest);
    m->at += n;
    if (n > 0)
        return hand_out(m, str_of(rest.p, n), data);
    n = match(m, rest, m->matched);
    m->at += n;
    m->matched = (uint8_t)(m->matched + n);
    if (m->matched == m->delimiter_n)
        return end_text(m);
    return n == rest.n ? MULTIPART_MORE : give_back(m, data);
}

// ---- the parser

// Takes some of rest, which is not empty, and moves m->at along.
static enum multipart_event advance(struct multipart *m, struct str rest, struct str *data)
{
    enum multipart_event e;
    switch ((enum state)m->state) {
    case PREAMBLE:
    case BODY:
        return read_text(m, rest, data);
    case EPILOGUE:
        m->at += rest.n;
        return MULTIPART_MORE;
    default:
        e = step(m, rest.p[0]);
        m->at += e != MULTIPART_BAD;
        return e;
    }
}

enum multipart_event multipart_parse(struct multipart *m, struct str bytes, size_t *consumed,
                                     struct str *data)
{
    enum multipart_event e = m->state == FAILED ? MULTIPART_BAD : MULTIPART_MORE;
    size_t n = 0;
    while (e == MULTIPART_MORE && n < bytes.n) {
        uint64_t from = m->at;
        e = advance(m, str_of(bytes.p + n, bytes.n - n), data);
        n += (size_t)(m->at - from);
    }
    *consumed = n;
    return e;
}

enum multipart_event multipart_end(struct multipart *m)
{
    if (m->state == EPILOGUE)
        return MULTIPART_DONE;
    return m->state == FAILED ? MULTIPART_BAD : fail(m, MULTIPART_NO_END);
}

// ---- the boundary

// The bchars of RFC 2046 §5.1.1 and, for the clients that send a token without asking further
// ("*****" was copied from one tutorial into many a telephone), every other tchar.
static bool is_boundary(struct str s)
{
    if (s.n == 0 || s.n > MULTIPART_BOUNDARY_MAX || s.p[s.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!h1_is(H1_TCHAR, s.p[i]) && (s.p[i] == '\0' || !strchr(" (),/:=?", s.p[i])))
            return false;
    return true;
}

bool multipart_init(struct multipart *m, struct str boundary, const struct multipart_limits *l)
{
    if (!is_boundary(boundary))
        return false;
    *m = (struct multipart){.limits = *l, .state = PREAMBLE, .matched = CRLF};
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->delimiter_n = (uint8_t)(4 + boundary.n);
    return true;
}

// params_next, but a value without quotes reaches up to the next ";", and that of a boundary may have
// any bytes: it is sent without quotes whatever it holds ("----=_Part_0", "a/b").
static enum params_result liberal_next(struct str *rest, struct param *out)
{
    enum params_result r = params_next(rest, out);
    if (r == PARAMS_END || out->quoted)
        return r;
    bool boundary = str_ieq(out->name, STR("boundary"));
    if (r == PARAMS_BAD && !(boundary && out->value.p))
        return r; // but for a boundary with its "=" there
    *rest = str_of(out->value.p, (size_t)(rest->p + rest->n - out->value.p));
    out->value = params_split(*rest, rest);
    return PARAMS_SOME;
}

// The parameter, of which there must be one. p is NULL in its value when it is missing or twice.
static struct param find_boundary(struct str params)
{
    struct param p, found = {0};
    enum params_result r;
    while ((r = liberal_next(&params, &p)) == PARAMS_SOME) {
        if (!str_ieq(p.name, STR("boundary")))
            continue;
        if (found.value.p)
            return (struct param){0};
        found = p;
    }
    return r == PARAMS_END ? found : (struct param){0};
}

int multipart_boundary(struct str content_type, char dst[static MULTIPART_BOUNDARY_MAX])
{
    struct str params;
    char text[2 * MULTIPART_BOUNDARY_MAX]; // each byte may have its backslash
    if (!str_ieq(params_split(content_type, &params), STR("multipart/form-data")))
        return 0;
    struct param p = find_boundary(params);
    if (!p.value.p || p.value.n > sizeof text)
        return -1;
    struct str boundary = p.value;
    if (p.quoted)
        boundary = str_of(text, params_unquote(text, p.value));
    if (!is_boundary(boundary))
        return -1;
    memcpy(dst, boundary.p, boundary.n);
    return (int)boundary.n;
}

const char *multipart_why(enum multipart_error e)
{
    static const char *const why[MULTIPART_ERRORS] = {
        [MULTIPART_OK] = "no error",
        [MULTIPART_NO_END] = "the closing boundary is missing",
        [MULTIPART_BAD_LINE] = "a boundary is followed by something else than the end of its line",
        [MULTIPART_BAD_HEAD] = "a bare CR or LF, or a NUL, among the header lines of a part",
        [MULTIPART_LARGE_HEAD] = "the header lines of a part are over limits.header_bytes",
        [MULTIPART_MANY_PARTS] = "more parts than limits.part_count",
        [MULTIPART_MANY_FIELDS] = "a part with more header lines than limits.headers",
    };
    assert(e < MULTIPART_ERRORS);
    return why[e];
}

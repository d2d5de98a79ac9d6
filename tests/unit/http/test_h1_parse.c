// The HTTP/1 parser, row by row: what it takes and what came out, what it refuses and why. Every
// row is parsed whole and a byte at a time.
#include "http/h1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Bytes of a literal, NULs included.
#define B(lit)                 \
    {                          \
        (lit), sizeof(lit) - 1 \
    }
#define HOST "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED "Transfer-Encoding: chunked\r\n"

enum { FIELDS = 128 };

static const struct h1_limits usual = {16384, 8192, 100};
static struct h1_field fields[FIELDS];
static bool seen[H1_ERRORS]; // which errors some row has shown

static bool same(struct str a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.p, b, a.n) == 0;
}

#define EXPECT_TEXT(row, got, want)                                                                \
    do {                                                                                           \
        struct str got_ = (got);                                                                   \
        if (!same(got_, want))                                                                     \
            fail_msg("%.*s: " #got " is \"%.*s\", not \"%s\"", STR_ARG(row), STR_ARG(got_), want); \
    } while (0)

#define EXPECT(row, got, want)                                                       \
    do {                                                                             \
        long long got_ = (long long)(got), want_ = (long long)(want);                \
        if (got_ != want_)                                                           \
            fail_msg("%.*s: " #got " is %lld, not %lld", STR_ARG(row), got_, want_); \
    } while (0)

// Parses bytes in pieces of the given length, each call at another address.
static enum h1_result parse(struct h1_head *h, const struct h1_limits *limits, struct str bytes,
                            size_t piece)
{
    enum h1_result r = H1_MORE;
    h1_head_init(h, limits, fields);
    for (size_t n = 0; r == H1_MORE && n < bytes.n;) {
        n = bytes.n - n < piece ? bytes.n : n + piece;
        char *copy = malloc(n);
        memcpy(copy, bytes.p, n);
        r = h1_head_parse(h, str_of(copy, n));
        free(copy);
    }
    return r;
}

static const size_t pieces[] = {SIZE_MAX, 1, 7};
enum { PIECES = sizeof pieces / sizeof *pieces };

static void expect_good(struct h1_head *h, const struct h1_limits *limits, struct str bytes)
{
    for (int i = 0; i < PIECES; i++) {
        EXPECT(bytes, parse(h, limits, bytes, pieces[i]), H1_DONE);
        EXPECT(bytes, h->error, H1_OK);
    }
}

static void expect_bad(const struct h1_limits *limits, struct str bytes, enum h1_error error,
                       size_t at)
{
    struct h1_head h;
    for (int i = 0; i < PIECES; i++) {
        EXPECT(bytes, parse(&h, limits, bytes, pieces[i]), H1_BAD);
        EXPECT(bytes, h.error, error);
        EXPECT(bytes, h.error_at, at);
    }
    seen[error] = true;
}

// Heads that are bad.

static const struct {
    struct str bytes;
    enum h1_error error;
    size_t at; // the line that is bad
} bad_heads[] = {
    // Line ends.
    {B("GET / HTTP/1.1\nHost: h\r\n\r\n"), H1_BARE_LF, 0},
    {B("GET / HTTP/1.1\r\nHost: h\n\r\n"), H1_BARE_LF, 16},
    {B(GET "\n"), H1_BARE_LF, 25},
    {B(GET "A: b\n\r\n"), H1_BARE_LF, 25},
    {B("\nGET / HTTP/1.1\r\n"), H1_BARE_LF, 0},
    {B("\r\n\nGET / HTTP/1.1\r\n"), H1_BARE_LF, 2},
    {B("GET / HTTP/1.1\r\r\n"), H1_BARE_CR, 0},
    {B("GET\r/ HTTP/1.1\r\n"), H1_BARE_CR, 0},
    {B("GET /\r HTTP/1.1\r\n"), H1_BARE_CR, 0},
    {B("\rGET / HTTP/1.1\r\n"), H1_BARE_CR, 0},
    {B(GET "A: b\rc\r\n"), H1_BARE_CR, 25},
    {B(GET "A: b\r\r\n"), H1_BARE_CR, 25},
    {B(GET "A\r: b\r\n"), H1_BARE_CR, 25},
    {B(GET "\r\r\n"), H1_BARE_CR, 25},
    {B(GET "A: \0\r\r\n"), H1_BARE_CR, 25},
    {B(GET "A: b\rc\n"), H1_BARE_LF, 25},
    // Start lines.
    {B("GET\r\n"), H1_BAD_START_LINE, 0},
    {B("GET /\r\n"), H1_BAD_START_LINE, 0},
    {B("GET / \r\n"), H1_BAD_START_LINE, 0},
    {B(" GET / HTTP/1.1\r\n"), H1_BAD_START_LINE, 0},
    {B(" \r\nGET / HTTP/1.1\r\n"), H1_BAD_START_LINE, 0},
    {B("GET  / HTTP/1.1\r\n"), H1_BAD_START_LINE, 0},
    {B("GET /  HTTP/1.1\r\n"), H1_BAD_START_LINE, 0},
    {B("GET / HTTP/1.1 \r\n"), H1_BAD_START_LINE, 0},
    {B("GET / HTTP/ 1.1\r\n"), H1_BAD_START_LINE, 0},
    {B("GET\t/\tHTTP/1.1\r\n"), H1_BAD_START_LINE, 0},
    {B("G@T / HTTP/1.1\r\n"), H1_BAD_METHOD, 0},
    {B("G\0T / HTTP/1.1\r\n"), H1_BAD_METHOD, 0},
    {B("GET: / HTTP/1.1\r\n"), H1_BAD_METHOD, 0},
    {B("HTTP/1.1 200 OK\r\n"), H1_BAD_METHOD, 0},
    {B("G\xc3\x89T / HTTP/9.9\r\n"), H1_BAD_METHOD, 0},
    {B("GET / HTTP/1\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/1.\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/1.10\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/11.1\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/1,1\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/x.1\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/1.x\r\n"), H1_BAD_VERSION, 0},
    {B("GET / http/1.1\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP\t1.1\r\n"), H1_BAD_VERSION, 0},
    {B("GET \x01 HTTP/1.1x\r\n"), H1_BAD_VERSION, 0},
    {B("GET / HTTP/2.0\r\n"), H1_VERSION_UNSUPPORTED, 0},
    {B("GET / HTTP/0.9\r\n"), H1_VERSION_UNSUPPORTED, 0},
    {B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), H1_VERSION_UNSUPPORTED, 0},
    {B("FOO \x01 HTTP/9.9\r\n"), H1_VERSION_UNSUPPORTED, 0},
    {B("GET /\x1f HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /\0 HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /\x7f HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /\x80 HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /a#b HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /a?\" HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /a?< HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /a?> HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET /..\\a HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET a HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET ?a HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET h:80 HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET * HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("OPTIONS *a HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http: HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http:// HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http:///a HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http://:80/ HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http://u@h/ HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http://u:p@h/ HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET http://h:65536/ HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("GET ftp://h/ HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    {B("FOO /\x01 HTTP/1.1\r\n"), H1_BAD_TARGET, 0},
    // Fields.
    {B("GET / HTTP/1.1\r\n Host: h\r\n"), H1_FOLD, 16},
    {B("GET / HTTP/1.1\r\n\tHost: h\r\n"), H1_FOLD, 16},
    {B(GET " a\r\n"), H1_FOLD, 25},
    {B(GET " \r\n"), H1_FOLD, 25},
    {B(GET "A : b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET "A\t: b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET ": b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET "A@: b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET "A\0: b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET "\xc3\xa9: b\r\n"), H1_BAD_FIELD_NAME, 25},
    {B(GET "A\r\n"), H1_NO_COLON, 25},
    {B(GET "A b\r\n"), H1_NO_COLON, 25},
    {B(GET "A: \0\r\n"), H1_BAD_FIELD_VALUE, 25},
    {B(GET "A: b\x01"
           "c\r\n"),
     H1_BAD_FIELD_VALUE, 25},
    {B(GET "A: b\x7f\r\n"), H1_BAD_FIELD_VALUE, 25},
    {B(GET "A: \x0b"
           "12345678901234567890\r\n"),
     H1_BAD_FIELD_VALUE, 25},
    {B(GET "A: 12345678901234567890\x1f\r\n"), H1_BAD_FIELD_VALUE, 25},
    // Host.
    {B("\r\nGET / HTTP/1.1\r\n\r\n"), H1_NO_HOST, 2},
    {B("GET http://h/ HTTP/1.1\r\n\r\n"), H1_NO_HOST, 0},
    {B(GET HOST "\r\n"), H1_MANY_HOSTS, 16},
    {B("GET / HTTP/1.0\r\n" HOST "hOST: h\r\n\r\n"), H1_MANY_HOSTS, 16},
    {B("GET / HTTP/1.1\r\nHost: h, h\r\n\r\n"), H1_BAD_HOST, 16},
    {B("GET / HTTP/1.1\r\nA: b\r\nHost: a b\r\n\r\n"), H1_BAD_HOST, 22},
    {B("GET http://h/ HTTP/1.1\r\nHost: @\r\n\r\n"), H1_BAD_HOST, 24},
    // Lengths.
    {B(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), H1_MANY_LENGTHS, 26},
    {B(POST "Content-Length: 5, 5\r\n\r\n"), H1_MANY_LENGTHS, 26},
    {B(POST "Content-Length: ,5\r\n\r\n"), H1_MANY_LENGTHS, 26},
    {B(POST "Content-Length: 5\r\ncontent-length: x\r\n\r\n"), H1_MANY_LENGTHS, 26},
    {B(POST "Content-Length:\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: +5\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: -0\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: 5 5\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: 0x5\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: 5;a\r\n\r\n"), H1_BAD_LENGTH, 26},
    {B(POST "Content-Length: 9223372036854775808\r\n\r\n"), H1_LENGTH_OVERFLOW, 26},
    {B(POST "Content-Length: 18446744073709551621\r\n\r\n"), H1_LENGTH_OVERFLOW, 26},
    {B(POST "Content-Length: 99999999999999999999999999999\r\n\r\n"), H1_LENGTH_OVERFLOW, 26},
    // Codings.
    {B(POST CHUNKED "Content-Length: 5\r\n\r\n"), H1_LENGTH_AND_CODING, 26},
    {B(POST "Content-Length: x\r\n" CHUNKED "\r\n"), H1_LENGTH_AND_CODING, 45},
    {B("POST / HTTP/1.0\r\nContent-Length: 1\r\n" CHUNKED "\r\n"), H1_LENGTH_AND_CODING, 36},
    {B("POST / HTTP/1.0\r\n" CHUNKED "\r\n"), H1_CODING_IN_10, 17},
    {B(POST "Transfer-Encoding:\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: gzip\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: identity\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: chunkedx\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: x chunked\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: , chunked\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: chunked,\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: gzip;q=1, chunked\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST CHUNKED "A: b\r\n" CHUNKED "\r\n"), H1_BAD_CODING, 26},
    {B(POST CHUNKED "transfer-encoding:\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST CHUNKED "A: b\r\nTransfer-Encoding: identity\r\n\r\n"), H1_BAD_CODING, 26},
    {B(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), H1_UNKNOWN_CODING, 26},
    {B(POST "Transfer-Encoding: identity, chunked\r\n\r\n"), H1_UNKNOWN_CODING, 26},
    {B(POST "Transfer-Encoding: gzip\r\nA: b\r\n" CHUNKED "\r\n"), H1_UNKNOWN_CODING, 26},
    // What is well framed, but not served.
    {B("FOO / HTTP/1.1\r\n" HOST "\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("get / HTTP/1.1\r\n" HOST "\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("TRACE / HTTP/1.1\r\n" HOST "\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("!#$%&'*+-.^_`|~9aZ / HTTP/1.1\r\n" HOST "\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("POST / HTTP/1.0\r\n\r\n"), H1_LENGTH_REQUIRED, 0},
    {B("PUT / HTTP/1.0\r\n\r\n"), H1_LENGTH_REQUIRED, 0},
    {B("PATCH / HTTP/1.0\r\n\r\n"), H1_LENGTH_REQUIRED, 0},
    {B(POST "Expect: 100-continued\r\n\r\n"), H1_BAD_EXPECT, 26},
    {B(POST "Expect: 100-continue, a=b\r\n\r\n"), H1_BAD_EXPECT, 26},
    {B(POST "Expect:\r\n\r\n"), H1_BAD_EXPECT, 26},
    {B(GET "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), H1_BAD_EXPECT, 25},
    // Of two reasons the graver one is told.
    {B("FOO / HTTP/1.1\r\nHost: h,h\r\n\r\n"), H1_BAD_HOST, 16},
    {B("FOO / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n"), H1_BAD_LENGTH, 25},
    {B("POST / HTTP/1.0\r\nContent-Length: x\r\n\r\n"), H1_BAD_LENGTH, 17},
    {B(POST "Expect: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), H1_MANY_LENGTHS, 37},
    {B(POST "Expect: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), H1_UNKNOWN_CODING, 37},
    {B("FOO / HTTP/1.1\r\n" HOST "Transfer-Encoding: a, chunked\r\n\r\n"), H1_UNKNOWN_CODING, 25},
    {B("FOO / HTTP/1.1\r\n" HOST "Expect: x\r\n\r\n"), H1_UNKNOWN_METHOD, 0},
    {B("FOO / HTTP/1.1\r\n" HOST "A b\r\n\r\n"), H1_NO_COLON, 25},
};

static void test_bad_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_heads / sizeof *bad_heads; i++)
        expect_bad(&usual, bad_heads[i].bytes, bad_heads[i].error, bad_heads[i].at);
}

// Heads that are good. What a row does not name is 0, false or the empty string.

static const struct good_head {
    const char *bytes;
    enum http_method method;
    const char *target, *host, *authority, *origin;
    unsigned minor;
    bool keep_alive, chunked, has_length, expect, absolute, secure;
    int64_t length;
    uint32_t fields;
} good_heads[] = {
    {GET "\r\n", HTTP_GET, "/", "h", "h", "/", 1, .keep_alive = true, .fields = 1},
    {"\r\n\r\n" GET "\r\n", HTTP_GET, "/", "h", "h", "/", 1, .keep_alive = true, .fields = 1},
    {"GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", "", "", "/", 0, .keep_alive = false},
    {"GET / HTTP/1.9\r\n" HOST "\r\n", HTTP_GET, "/", "h", "h", "/", 1, .keep_alive = true,
     .fields = 1},
    {"HEAD //a/%zz?b=^`{|}[]';%00 HTTP/1.1\r\nHost:\r\n\r\n", HTTP_HEAD, "//a/%zz?b=^`{|}[]';%00",
     "", "", "//a/%zz?b=^`{|}[]';%00", 1, .keep_alive = true, .fields = 1},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_OPTIONS, "*", "h", "h", "*", 1, .keep_alive = true,
     .fields = 1},
    // absolute-form
    {"GET http://a.b:80/c?d HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, "http://a.b:80/c?d", "h", "a.b:80",
     "/c?d", 1, .keep_alive = true, .absolute = true, .fields = 1},
    {"GET HttpS://[::1] HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, "HttpS://[::1]", "h", "[::1]", "", 1,
     .keep_alive = true, .absolute = true, .secure = true, .fields = 1},
    {"GET http://a?b/@ HTTP/1.0\r\n\r\n", HTTP_GET, "http://a?b/@", "", "a", "?b/@", 0,
     .absolute = true},
    // Content-Length
    {POST "Content-Length: 5\r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1, .keep_alive = true,
     .has_length = true, .length = 5, .fields = 2},
    {POST "cOnTeNt-LeNgTh:\t 0000000000000000000000000005 \t\r\n\r\n", HTTP_POST, "/", "h", "h",
     "/", 1, .keep_alive = true, .has_length = true, .length = 5, .fields = 2},
    {POST "Content-Length: 9223372036854775807\r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .has_length = true, .length = INT64_MAX, .fields = 2},
    {POST "\r\n", HTTP_POST, "/", "h", "h", "/", 1, .keep_alive = true, .fields = 1},
    {"PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", HTTP_PUT, "/", "", "", "/", 0,
     .has_length = true, .fields = 1},
    {"DELETE / HTTP/1.0\r\n\r\n", HTTP_DELETE, "/", "", "", "/", 0, .keep_alive = false},
    // Transfer-Encoding
    {POST CHUNKED "\r\n", HTTP_POST, "/", "h", "h", "/", 1, .keep_alive = true, .chunked = true,
     .fields = 2},
    {POST "tRANSFER-eNCODING: \t ChUnKeD \t \r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .chunked = true, .fields = 2},
    // Names that only look like known ones.
    {POST "Content_Length: x\r\nTransfer-Encodings: x\r\nHosts: ,\r\nExpects: x\r\n\r\n", HTTP_POST,
     "/", "h", "h", "/", 1, .keep_alive = true, .fields = 5},
    {POST "User-Agent: close\r\nAccept: x\r\nHopt: ,\r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .fields = 4},
    // Expect
    {POST "Expect: 100-CONTINUE\r\nContent-Length: 5\r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .expect = true, .has_length = true, .length = 5, .fields = 3},
    {POST "Expect: 100-continue\r\n" CHUNKED "\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .expect = true, .chunked = true, .fields = 3},
    {POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", HTTP_POST, "/", "h", "h", "/", 1,
     .keep_alive = true, .has_length = true, .fields = 3},
    {GET "Expect: 100-continue\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1, .keep_alive = true,
     .fields = 2},
    {"PUT / HTTP/1.0\r\nExpect: x\r\nContent-Length: 5\r\n\r\n", HTTP_PUT, "/", "", "", "/", 0,
     .has_length = true, .length = 5, .fields = 2},
    // Connection
    {GET "Connection: close\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1, .fields = 2},
    {GET "Connection: ,,\tCLOSE ,\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1, .fields = 2},
    {GET "Connection: keep-alive, close\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1, .fields = 2},
    {GET "Connection: keep-alive\r\nA: b\r\nconnection: close\r\n\r\n", HTTP_GET, "/", "h", "h",
     "/", 1, .fields = 4},
    {GET "Connection: closed, not-close, \"close\"\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1,
     .keep_alive = true, .fields = 2},
    {GET "Connection:\r\n\r\n", HTTP_GET, "/", "h", "h", "/", 1, .keep_alive = true, .fields = 2},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, "/", "", "", "/", 0,
     .keep_alive = true, .fields = 1},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", HTTP_GET, "/", "", "",
     "/", 0, .fields = 2},
    {"GET / HTTP/1.0\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n\r\n", HTTP_GET, "/", "",
     "", "/", 0, .fields = 2},
};

static void expect_texts(const struct h1_head *h, const struct good_head *row)
{
    struct str b = str_z(row->bytes);
    EXPECT_TEXT(b, h1_text(b.p, h->target), row->target);
    EXPECT_TEXT(b, h1_text(b.p, h->host), row->host);
    EXPECT_TEXT(b, h1_text(b.p, h->authority), row->authority);
    EXPECT_TEXT(b, h1_text(b.p, h->origin), row->origin);
    EXPECT_TEXT(b, h1_text(b.p, h->method_span), method_name(row->method).p);
}

static void expect_numbers(const struct h1_head *h, const struct good_head *row)
{
    struct str b = str_z(row->bytes);
    EXPECT(b, h->length, b.n);
    EXPECT(b, h->method, row->method);
    EXPECT(b, h->minor, row->minor);
    EXPECT(b, h->keep_alive, row->keep_alive);
    EXPECT(b, h->chunked, row->chunked);
    EXPECT(b, h->has_length, row->has_length);
    EXPECT(b, h->content_length, row->length);
    EXPECT(b, h->expect_continue, row->expect);
    EXPECT(b, h->absolute, row->absolute);
    EXPECT(b, h->secure, row->secure);
    EXPECT(b, h->field_count, row->fields);
}

static void test_good_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_heads / sizeof *good_heads; i++) {
        struct h1_head h;
        expect_good(&h, &usual, str_z(good_heads[i].bytes));
        expect_texts(&h, &good_heads[i]);
        expect_numbers(&h, &good_heads[i]);
    }
}

static void test_fields_are_cut_and_trimmed(void **state)
{
    (void)state;
    static const char text[] = GET "A:b\r\nBb: \t c d \t \r\nccc:\r\nD: \t \r\n"
                                   "!#$%&'*+-.^_`|~0: \xe2\x82\xac\t\"x\"\r\nE: :f:\r\n\r\n";
    static const char *const want[][2] = {
        {"Host", "h"}, {"A", "b"}, {"Bb", "c d"},
        {"ccc", ""},   {"D", ""},  {"!#$%&'*+-.^_`|~0", "\xe2\x82\xac\t\"x\""},
        {"E", ":f:"},
    };
    struct str bytes = STR(text);
    struct h1_head h;
    expect_good(&h, &usual, bytes);
    EXPECT(bytes, h.field_count, sizeof want / sizeof *want);
    for (size_t i = 0; i < h.field_count; i++) {
        EXPECT_TEXT(bytes, h1_text(text, fields[i].name), want[i][0]);
        EXPECT_TEXT(bytes, h1_text(text, fields[i].value), want[i][1]);
    }
    EXPECT(bytes, h.known[H1_HOST], 0);
    EXPECT(bytes, h.known[H1_EXPECT], -1);
}

// An unfinished head wants more, whatever it is; and what follows a head is not looked at.
static void test_more_and_what_follows(void **state)
{
    (void)state;
    static const char text[] = POST "A: b\r\nContent-Length: 3\r\n\r\n\n\r\0";
    struct str bytes = STR(text);
    struct h1_head h;
    expect_good(&h, &usual, bytes);
    size_t length = bytes.n - 3;
    EXPECT(bytes, h.length, length);
    for (size_t n = 0; n < length; n++)
        EXPECT(bytes, parse(&h, &usual, str_of(text, n), SIZE_MAX), H1_MORE);
    EXPECT(bytes, parse(&h, &usual, STR("GET \x01\x02 \xff"), 1), H1_MORE);
}

// Limits, each to the byte.

static void test_head_bytes(void **state)
{
    (void)state;
    struct str bytes = STR("\r\n\r\n" GET "A: b\r\nCc: d\r\n\r\n");
    struct h1_head h;
    uint32_t length = (uint32_t)bytes.n - 4; // empty lines in front do not count
    expect_good(&h, &(struct h1_limits){length, 8192, 100}, bytes);
    // The lines begin at 4, 20, 29, 35 and 42; the one that the limit cuts is named.
    for (uint32_t max = length - 1; max > 0; max--) {
        uint32_t end = max + 4;
        uint32_t line = end >= 42 ? 42 : end >= 35 ? 35 : end >= 29 ? 29 : end >= 20 ? 20 : 4;
        expect_bad(&(struct h1_limits){max, 8192, 100}, bytes, H1_HEAD_TOO_LONG,
                   max < 2 ? 0 : line);
    }
}

// Bytes behind the limit change nothing, and a bad line before it is told first.
static void test_head_bytes_come_before_content(void **state)
{
    (void)state;
    const struct h1_limits limits = {30, 20, 100};
    expect_bad(&limits, (struct str)B(GET "A: b\x01\r\n\r\n"), H1_HEAD_TOO_LONG, 25);
    expect_bad(&limits, (struct str)B(GET "A: b\x01\n"), H1_HEAD_TOO_LONG, 25);
    expect_bad(&limits, (struct str)B(GET "A\r\n" GET), H1_NO_COLON, 25);
    expect_bad(&limits, (struct str)B("GET /12345678 HTTP/1.1234567890\r\n"), H1_HEAD_TOO_LONG, 0);
    expect_bad(&limits, (struct str)B("GETGETGETGETGETGETGETGETGETGETGET"), H1_HEAD_TOO_LONG, 0);
}

static void test_uri_bytes(void **state)
{
    (void)state;
    struct h1_head h;
    const struct h1_limits limits = {200, 10, 100};
    expect_good(&h, &limits, STR("GET /123456789 HTTP/1.1\r\n" HOST "\r\n"));
    expect_bad(&limits, STR("GET /1234567890 HTTP/1.1\r\n"), H1_TARGET_TOO_LONG, 0);
    // The version is judged before, the bytes and the form after.
    expect_bad(&limits, STR("GET /1234567890 HTTP/2.0\r\n"), H1_VERSION_UNSUPPORTED, 0);
    expect_bad(&limits, STR("GET \x01/123456789 HTTP/1.1\r\n"), H1_TARGET_TOO_LONG, 0);
}

// A target that does not end before the head's limit is too long by itself: that is what to say.
static void test_endless_target(void **state)
{
    (void)state;
    char text[300] = "GET /";
    memset(text + 5, 'a', sizeof text - 5);
    expect_bad(&(struct h1_limits){200, 20, 100}, str_of(text, 300), H1_TARGET_TOO_LONG, 0);
    expect_bad(&(struct h1_limits){200, 195, 100}, str_of(text, 300), H1_TARGET_TOO_LONG, 0);
    expect_bad(&(struct h1_limits){200, 196, 100}, str_of(text, 300), H1_HEAD_TOO_LONG, 0);
    text[24] = ' ';
    expect_bad(&(struct h1_limits){200, 20, 100}, str_of(text, 300), H1_HEAD_TOO_LONG, 0);
    expect_bad(&(struct h1_limits){200, 19, 100}, str_of(text, 300), H1_TARGET_TOO_LONG, 0);
}

static void test_field_count(void **state)
{
    (void)state;
    struct h1_head h;
    const struct h1_limits limits = {200, 20, 2};
    expect_good(&h, &limits, STR(GET "A: b\r\n\r\n"));
    expect_bad(&limits, STR(GET "A: b\r\nC: d\r\n\r\n"), H1_TOO_MANY_FIELDS, 31);
    expect_bad(&limits, STR(GET "A: b\r\nC\r\n\r\n"), H1_TOO_MANY_FIELDS, 31);
    expect_good(&h, &(struct h1_limits){200, 20, 0}, STR("GET / HTTP/1.0\r\n\r\n"));
}

static void test_lead(void **state)
{
    (void)state;
    char text[H1_LEAD_MAX + 128];
    struct h1_head h;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '\n' : '\r';
    memcpy(text + H1_LEAD_MAX, GET "\r\n", sizeof GET "\r\n" - 1);
    size_t end = H1_LEAD_MAX + sizeof GET "\r\n" - 1;
    expect_good(&h, &usual, str_of(text, end));
    EXPECT(STR("lead"), h.skipped, H1_LEAD_MAX);
    EXPECT(STR("lead"), h.target.at, H1_LEAD_MAX + 4);
    EXPECT(STR("lead"), h.length, end);
    memcpy(text + H1_LEAD_MAX, "\r\n", 2);
    expect_bad(&usual, str_of(text, end), H1_BAD_START_LINE, H1_LEAD_MAX);
}

// Host names and byte classes.

static void test_hosts(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "h",
        "www.example.org",
        "WWW.a-b_c~d.",
        "127.0.0.1:80",
        "h:",
        "h:0",
        "h:65535",
        "h:00000000080",
        "%41%fF",
        "a%20b:1",
        "[::]",
        "[::1]:80",
        "[::1]:",
        "[1:2:3:4:5:6:7:8]",
        "[::ffff:1.2.3.4]",
        "[FE80::aB]",
        "[1111:2222:3333:4444:5555:6666:123.123.123.123]",
    };
    static const char *const bad[] = {
        ":",
        ":80",
        "h:65536",
        "h:-1",
        "h:+1",
        "h:8o",
        "h:80:80",
        "h:99999999999999999999",
        "a b",
        "a,b",
        "a;b",
        "a=b",
        "a@b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a|b",
        "a\"b",
        "<a>",
        "a\x01",
        "a\x7f",
        "\xc3\xb6",
        "a!",
        "a$",
        "a&b",
        "a'b",
        "(a)",
        "a*",
        "a+b",
        "%",
        "%4",
        "%4g",
        "%g4",
        "a%",
        "[",
        "[]",
        "[::1",
        "[::1]a",
        "[zz::1]",
        "[1.2.3.4]",
        "[v1.a]",
        "[fe80::1%25eth0]",
        "[:::]",
        "[1:2:3]",
        "a[::1]",
        "[::1]:x",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]",
        "]",
        "[::1]]",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        EXPECT(str_z(good[i]), h1_is_host(str_z(good[i])), true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT(str_z(bad[i]), h1_is_host(str_z(bad[i])), false);
    assert_false(h1_is_host(STR("[::1\0]")));
    assert_false(h1_is_host(STR("[::1]\0")));
    assert_false(h1_is_host(STR("a\0")));
}

static void test_every_byte_has_its_classes(void **state)
{
    (void)state;
    static const char alnum[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool word = c && strchr(alnum, c);
        bool visible = i > 0x20 && i < 0x7f;
        assert_int_equal(h1_is(H1_TCHAR, c), word || (c && strchr("!#$%&'*+-.^_`|~", c)));
        assert_int_equal(h1_is(H1_NAME, c), word || (c && strchr("-._~", c)));
        assert_int_equal(h1_is(H1_TARGET, c), visible && !strchr("\"#<>\\", c));
        assert_int_equal(h1_is(H1_VALUE, c), visible || c == ' ' || c == '\t' || i >= 0x80);
    }
}

// Words of eight bytes are looked at together: every byte at every place of two words and a rest.
static void test_every_byte_at_every_place_of_a_value(void **state)
{
    (void)state;
    char text[21];
    for (size_t n = 1; n <= sizeof text; n++)
        for (size_t at = 0; at < n; at++)
            for (int i = 0; i < 256; i++) {
                memset(text, at % 2 ? '\t' : '\xff', sizeof text);
                text[at] = (char)i;
                assert_int_equal(h1_is_field_value(str_of(text, n)), h1_is(H1_VALUE, (char)i));
            }
    assert_true(h1_is_field_value(STR("")));
    assert_true(h1_is_token(STR("a-Z")));
    assert_false(h1_is_token(STR("")));
    assert_false(h1_is_token(STR("a b")));
}

// Chunked bodies.

// Parses in pieces; the data is put together in body, the number of bytes consumed in *at.
static enum h1_result unchunk(struct h1_chunked *c, const struct h1_limits *limits,
                              struct str bytes, size_t piece, char *body, size_t *n, size_t *at)
{
    enum h1_result r = H1_MORE;
    *n = *at = 0;
    h1_chunked_init(c, limits);
    while ((r == H1_MORE && *at < bytes.n) || r == H1_DATA) {
        struct str data = {NULL, 0};
        size_t consumed, rest = bytes.n - *at;
        r = h1_chunked_parse(c, str_of(bytes.p + *at, rest < piece ? rest : piece), &consumed,
                             &data);
        *at += consumed;
        if (r == H1_DATA) {
            memcpy(body + *n, data.p, data.n);
            *n += data.n;
        }
    }
    return r;
}

#define EXT64 ";234567890123456789012345678901234567890123456789012345678901234"
#define EXT256 EXT64 EXT64 EXT64 EXT64

static const struct {
    struct str bytes;
    const char *body;
    size_t follows; // bytes behind the body
} good_bodies[] = {
    {B("0\r\n\r\n"), "", 0},
    {B("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
    {B("5\r\nhello\r\n0\r\n\r\nGET"), "hello", 3},
    {B("2\r\nhe\r\n3\r\nllo\r\n00\r\n\r\n"), "hello", 0},
    {B("0000000000000005\r\n\r\n\r\n0\r\n0000000000000000\r\n\r\n"), "\r\n\r\n0", 0},
    {B("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0},
    {B("1;a=b\r\nx\r\n0;c\r\n\r\n"), "x", 0},
    {B("1;a=\"b;c \\\" \xff\t\"\r\nx\r\n0; \r\n\r\n"), "x", 0},
    {B("1" EXT256 "\r\nx\r\n0" EXT256 "\r\n\r\n"), "x", 0},
    {B("0\r\nX-T: v\r\nx-u:\r\nY: \t\"\xff\" \r\n\r\n"), "", 0},
    {B("0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: ,\r\n\r\n."), "", 1},
};

static void test_good_bodies(void **state)
{
    (void)state;
    char body[512];
    for (size_t i = 0; i < sizeof good_bodies / sizeof *good_bodies; i++)
        for (int k = 0; k < PIECES; k++) {
            struct h1_chunked c;
            struct str bytes = good_bodies[i].bytes;
            size_t n, at;
            EXPECT(bytes, unchunk(&c, &usual, bytes, pieces[k], body, &n, &at), H1_DONE);
            EXPECT_TEXT(bytes, str_of(body, n), good_bodies[i].body);
            EXPECT(bytes, at, bytes.n - good_bodies[i].follows);
        }
}

static const struct bad_body {
    struct str bytes;
    enum h1_error error;
    size_t at; // the byte that is bad
} bad_bodies[] = {
    {B("\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B(" 5\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B("\t5\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B("+5\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B("-5\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B(";a\r\n"), H1_BAD_CHUNK_SIZE, 0},
    {B("0x5\r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("5h\r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("5 \r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("5 ;a\r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("5\t;a\r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("5\0\r\n"), H1_BAD_CHUNK_SIZE, 1},
    {B("\n"), H1_BARE_LF, 0},
    {B("5\nhello"), H1_BARE_LF, 1},
    {B("5;a\nhello"), H1_BARE_LF, 3},
    {B("5\rhello"), H1_BARE_CR, 2},
    {B("5\r\r\nhello"), H1_BARE_CR, 2},
    {B("5;\rhello"), H1_BARE_CR, 3},
    {B("8000000000000000\r\n"), H1_CHUNK_OVERFLOW, 15},
    {B("ffffffffffffffff\r\n"), H1_CHUNK_OVERFLOW, 15},
    {B("10000000000000005\r\n"), H1_CHUNK_OVERFLOW, 16},
    {B("00000000000000005\r\n"), H1_CHUNK_OVERFLOW, 16},
    {B("5;a\0\r\n"), H1_BAD_CHUNK_EXT, 3},
    {B("5;a\x7f\r\n"), H1_BAD_CHUNK_EXT, 3},
    {B("5" EXT256 "x\r\n"), H1_CHUNK_EXT_TOO_LONG, 257},
    {B("1\r\nxX"), H1_BAD_CHUNK_END, 4},
    {B("1\r\nx\n"), H1_BAD_CHUNK_END, 4},
    {B("1\r\nx\rX"), H1_BAD_CHUNK_END, 5},
    {B("0\r\n\n"), H1_BARE_LF, 3},
    {B("0\r\n\rX"), H1_BARE_CR, 4},
    {B("0\r\n a\r\n"), H1_FOLD, 3},
    {B("0\r\nA: b\r\n\tc\r\n"), H1_FOLD, 9},
    {B("0\r\n: b\r\n"), H1_BAD_FIELD_NAME, 3},
    {B("0\r\nA : b\r\n"), H1_BAD_FIELD_NAME, 4},
    {B("0\r\nno colon\r\n"), H1_BAD_FIELD_NAME, 5},
    {B("0\r\nA\r\n"), H1_NO_COLON, 4},
    {B("0\r\nA\n"), H1_BARE_LF, 4},
    {B("0\r\nA: b\n"), H1_BARE_LF, 7},
    {B("0\r\nA: b\rc\r\n"), H1_BARE_CR, 8},
    {B("0\r\nA: \0\r\n"), H1_BAD_FIELD_VALUE, 6},
};

static void expect_bad_body(const struct h1_limits *limits, struct bad_body row)
{
    char body[512];
    for (int k = 0; k < PIECES; k++) {
        struct h1_chunked c;
        size_t n, at;
        EXPECT(row.bytes, unchunk(&c, limits, row.bytes, pieces[k], body, &n, &at), H1_BAD);
        EXPECT(row.bytes, c.error, row.error);
        EXPECT(row.bytes, at, row.at);
    }
    seen[row.error] = true;
}

static void test_bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_bodies / sizeof *bad_bodies; i++)
        expect_bad_body(&usual, bad_bodies[i]);
}

static void test_unfinished_body_wants_more(void **state)
{
    (void)state;
    static const char text[] = "3;a\r\nabc\r\n0\r\nA: b\r\n\r\n";
    char body[16];
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct h1_chunked c;
        size_t got, at;
        struct str bytes = str_of(text, n);
        EXPECT(bytes, unchunk(&c, &usual, bytes, SIZE_MAX, body, &got, &at), H1_MORE);
        EXPECT(bytes, at, n);
    }
}

static void test_largest_chunk(void **state)
{
    (void)state;
    struct h1_chunked c;
    struct str bytes = STR("7fffffffffffffff\r\nab"), data;
    size_t consumed;
    h1_chunked_init(&c, &usual);
    assert_int_equal(h1_chunked_parse(&c, bytes, &consumed, &data), H1_DATA);
    assert_int_equal(consumed, bytes.n);
    EXPECT_TEXT(bytes, data, "ab");
    assert_int_equal(c.left, INT64_MAX - 2);
}

static void test_extensions_of_one_body(void **state)
{
    (void)state;
    static const char line[] = "1" EXT256 "\r\nx\r\n";
    static char text[80 * sizeof line], body[80];
    size_t length = 0, n, at, fit = H1_CHUNK_EXT_TOTAL / 256;
    for (; length < 70 * (sizeof line - 1); length += sizeof line - 1)
        memcpy(text + length, line, sizeof line - 1);
    struct h1_chunked c;
    struct str bytes = str_of(text, fit * (sizeof line - 1));
    assert_int_equal(unchunk(&c, &usual, bytes, SIZE_MAX, body, &n, &at), H1_MORE);
    assert_int_equal(n, fit);
    for (int k = 0; k < PIECES; k++) {
        assert_int_equal(unchunk(&c, &usual, str_of(text, length), pieces[k], body, &n, &at),
                         H1_BAD);
        assert_int_equal(c.error, H1_CHUNK_EXT_TOO_LONG);
        assert_int_equal(at, bytes.n + 1);
    }
}

static void test_trailer_limits(void **state)
{
    (void)state;
    struct str bytes = STR("0\r\nA: b\r\nC: d\r\n\r\n"); // 14 bytes of trailer section
    struct h1_chunked c;
    char body[16];
    size_t n, at;
    const struct h1_limits just = {14, 0, 2};
    assert_int_equal(unchunk(&c, &just, bytes, SIZE_MAX, body, &n, &at), H1_DONE);
    for (uint32_t max = 0; max < 14; max++)
        expect_bad_body(&(struct h1_limits){max, 0, 2},
                        (struct bad_body){bytes, H1_HEAD_TOO_LONG, 3 + max});
    expect_bad_body(&(struct h1_limits){14, 0, 1}, (struct bad_body){bytes, H1_TOO_MANY_FIELDS, 9});
    expect_bad_body(&(struct h1_limits){14, 0, 0}, (struct bad_body){bytes, H1_TOO_MANY_FIELDS, 3});
}

// Last, for it looks back: every error was shown by some row, and has an answer and a phrase.
static void test_every_error_was_shown(void **state)
{
    (void)state;
    for (int e = H1_OK + 1; e < H1_ERRORS; e++) {
        const struct h1_error_info *info = h1_error_info((enum h1_error)e);
        assert_in_range(info->status, 400, 599);
        assert_true(info->why && *info->why);
        if (!seen[e])
            fail_msg("no row shows error %d: %s", e, info->why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_good_heads),
        cmocka_unit_test(test_fields_are_cut_and_trimmed),
        cmocka_unit_test(test_more_and_what_follows),
        cmocka_unit_test(test_head_bytes),
        cmocka_unit_test(test_head_bytes_come_before_content),
        cmocka_unit_test(test_uri_bytes),
        cmocka_unit_test(test_endless_target),
        cmocka_unit_test(test_field_count),
        cmocka_unit_test(test_lead),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_every_byte_has_its_classes),
        cmocka_unit_test(test_every_byte_at_every_place_of_a_value),
        cmocka_unit_test(test_good_bodies),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_unfinished_body_wants_more),
        cmocka_unit_test(test_largest_chunk),
        cmocka_unit_test(test_extensions_of_one_body),
        cmocka_unit_test(test_trailer_limits),
        cmocka_unit_test(test_every_error_was_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

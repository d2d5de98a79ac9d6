// Which form answers which request: conditions, codings and ranges together (RFC 9110 §13.2.2).
#include "content/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LM "Sun, 06 Nov 1994 08:49:37 GMT"
enum { LM_TIME = 784111777, NOW = LM_TIME + 100000 };
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"

// The representation of the table: "v", LM, 1000 bytes of text; gzip and brotli can be made.
static const struct coding_options codings = {
    .offered = 1u << CODING_GZIP | 1u << CODING_BROTLI, .level = 6, .min_bytes = 256};
static const struct representation text = {
    .validators = {.etag = STR("\"v\""), .last_modified = LM_TIME, .now = NOW},
    .length = 1000,
    .content_type = STR("text/plain"),
};

static struct selection s;

// fields: "Name: value\n…"
static void ask(const struct representation *r, enum http_method method, const char *fields)
{
    struct http_field list[16];
    struct http_request request = {.method = method, .fields = list};
    struct str rest = str_z(fields), line;
    struct arena a;
    while (rest.n && str_split(&rest, '\n', &line) && line.n) {
        ptrdiff_t colon = str_find(line, ':');
        assert_true(colon > 0 && request.field_count < 16);
        list[request.field_count++] =
            (struct http_field){str_of(line.p, (size_t)colon),
                                str_trim(str_of(line.p + colon + 1, line.n - (size_t)colon - 1))};
    }
    arena_init(&a, 1 << 16);
    assert_true(*fields == '\0' || selection_asks(&request));
    bool dates = strstr(fields, "Since") || strcasestr(fields, "If-Range");
    assert_int_equal((selection_asks(&request) & SELECTION_DATES) != 0,
                     dates || strcasestr(fields, "If-Match"));
    selection_make(r, &request, &codings, &a, &s);
    arena_fini(&a); // the tag must not lie in it
}

static void the_table(void **unused)
{
    static const struct {
        const char *fields;
        unsigned status;
        enum coding coding;
        const char *etag; // NULL: not looked at
        unsigned n;
    } rows[] = {
        {"", 200, CODING_IDENTITY, "\"v\"", 0},
        {"Accept-Encoding: gzip\n", 200, CODING_GZIP, "\"v-gzip\"", 0},
        {"Accept-Encoding: br\n", 200, CODING_BROTLI, "\"v-br\"", 0},
        {"Accept-Encoding: gzip;q=0\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"Accept-Encoding: deflate\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"accept-encoding: deflate\nACCEPT-ENCODING: gzip\n", 200, CODING_GZIP, "\"v-gzip\"", 0},
        // If-None-Match: the tag of what would be sent, or of the identity form
        {"If-None-Match: \"v\"\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: W/\"v\"\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"x\", \"v\"\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"x\"\nIf-None-Match: \"v\"\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: *\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"x\"\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"v-gzip\"\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"v-gzip\"\nAccept-Encoding: gzip\n", 304, CODING_GZIP, "\"v-gzip\"", 0},
        {"If-None-Match: \"v\"\nAccept-Encoding: gzip\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-None-Match: \"v\"\nAccept-Encoding: gzip, identity;q=0\n", 200, CODING_GZIP,
         "\"v-gzip\"", 0},
        {"If-None-Match: \"v-br\"\nAccept-Encoding: gzip\n", 200, CODING_GZIP, "\"v-gzip\"", 0},
        // If-Modified-Since, which If-None-Match overrules
        {"If-Modified-Since: " LM "\n", 304, CODING_IDENTITY, "\"v\"", 0},
        {"If-Modified-Since: " LM "\nAccept-Encoding: gzip\n", 304, CODING_GZIP, "\"v-gzip\"", 0},
        {"If-Modified-Since: " EARLIER "\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\n", 304, CODING_IDENTITY, NULL, 0},
        {"If-Modified-Since: Sun Nov  6 08:49:37 1994\n", 304, CODING_IDENTITY, NULL, 0},
        {"If-Modified-Since: yesterday\n", 200, CODING_IDENTITY, NULL, 0},
        {"If-None-Match: \"x\"\nIf-Modified-Since: " LM "\n", 200, CODING_IDENTITY, NULL, 0},
        // If-Match, and If-Unmodified-Since, which it overrules
        {"If-Match: \"v\"\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"If-Match: \"x\"\n", 412, CODING_IDENTITY, NULL, 0},
        {"If-Match: W/\"v\"\n", 412, CODING_IDENTITY, NULL, 0},
        {"If-Match: *\n", 200, CODING_IDENTITY, NULL, 0},
        {"If-Match: \"v\"\nAccept-Encoding: gzip\n", 200, CODING_IDENTITY, "\"v\"", 0},
        {"If-Match: \"v-gzip\"\nAccept-Encoding: gzip\n", 200, CODING_GZIP, "\"v-gzip\"", 0},
        {"If-Unmodified-Since: " EARLIER "\n", 412, CODING_IDENTITY, NULL, 0},
        {"If-Unmodified-Since: " LM "\n", 200, CODING_IDENTITY, NULL, 0},
        {"If-Match: \"v\"\nIf-Unmodified-Since: " EARLIER "\n", 200, CODING_IDENTITY, NULL, 0},
        {"If-Match: \"x\"\nIf-None-Match: \"v\"\n", 412, CODING_IDENTITY, NULL, 0},
        {"If-Match: \"v\"\nIf-None-Match: \"v\"\n", 304, CODING_IDENTITY, NULL, 0},
        // ranges, of the identity form
        {"Range: bytes=0-9\n", 206, CODING_IDENTITY, "\"v\"", 1},
        {"Range: bytes=-9\n", 206, CODING_IDENTITY, "\"v\"", 1},
        {"Range: bytes=990-\n", 206, CODING_IDENTITY, "\"v\"", 1},
        {"Range: bytes=0-9,20-29\n", 206, CODING_IDENTITY, "\"v\"", 2},
        {"Range: bytes=1000-\n", 416, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=9-0\n", 200, CODING_IDENTITY, NULL, 0},
        {"Range: lines=0-9\n", 200, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=0-9\nAccept-Encoding: gzip\n", 206, CODING_IDENTITY, "\"v\"", 1},
        {"Range: bytes=9-0\nAccept-Encoding: gzip\n", 200, CODING_GZIP, "\"v-gzip\"", 0},
        {"Range: bytes=0-9\nAccept-Encoding: gzip, identity;q=0\n", 200, CODING_GZIP, NULL, 0},
        {"Range: bytes=0-9\nIf-Range: \"v\"\n", 206, CODING_IDENTITY, NULL, 1},
        {"Range: bytes=0-9\nIf-Range: \"x\"\n", 200, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=0-9\nIf-Range: W/\"v\"\n", 200, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=0-9\nIf-Range: \"v-gzip\"\nAccept-Encoding: gzip\n", 200, CODING_GZIP, NULL,
         0},
        {"Range: bytes=0-9\nIf-Range: " LM "\n", 206, CODING_IDENTITY, NULL, 1},
        {"Range: bytes=0-9\nIf-Range: " EARLIER "\n", 200, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=5000-\nIf-Range: \"x\"\n", 200, CODING_IDENTITY, NULL, 0},
        // conditions come before ranges
        {"Range: bytes=0-9\nIf-None-Match: \"v\"\n", 304, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=0-9\nIf-Match: \"x\"\n", 412, CODING_IDENTITY, NULL, 0},
        {"Range: bytes=1000-\nIf-None-Match: \"v\"\n", 304, CODING_IDENTITY, NULL, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask(&text, HTTP_GET, rows[i].fields);
        if (s.status != rows[i].status || s.coding != rows[i].coding)
            fail_msg("%s: %u, %s", rows[i].fields, s.status, coding_name(s.coding).p);
        if (s.status == 206)
            assert_int_equal(s.n, rows[i].n);
        if (rows[i].etag && !str_eq(s.etag, str_z(rows[i].etag)))
            fail_msg("%s: %.*s", rows[i].fields, STR_ARG(s.etag));
        assert_true(s.vary);
    }
}

static void head_has_no_ranges(void **unused)
{
    (void)unused;
    ask(&text, HTTP_HEAD, "Range: bytes=0-9\nAccept-Encoding: gzip\n");
    assert_int_equal(s.status, 200);
    assert_int_equal(s.coding, CODING_GZIP);
    ask(&text, HTTP_HEAD, "If-None-Match: \"v\"\n");
    assert_int_equal(s.status, 304);
}

static void what_cannot_be_coded_does_not_vary(void **unused)
{
    struct representation r = text;
    (void)unused;
    r.content_type = STR("image/png");
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\n");
    assert_int_equal(s.coding, CODING_IDENTITY);
    assert_false(s.vary);
    r = text;
    r.length = 100;
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\n");
    assert_int_equal(s.coding, CODING_IDENTITY);
    r = text;
    r.cache_control = STR("public, no-transform");
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\n");
    assert_int_equal(s.coding, CODING_IDENTITY);
    r = text;
    r.coded = true;
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\nRange: bytes=0-9\n");
    assert_int_equal(s.coding, CODING_IDENTITY);
    assert_int_equal(s.status, 200); // a range of what the site coded itself is not ours to cut
    r = text;
    r.no_coding = true;
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\n");
    assert_int_equal(s.coding, CODING_IDENTITY);
}

static void without_validators(void **unused)
{
    struct representation r = text;
    (void)unused;
    r.validators = (struct validators){.last_modified = -1, .now = NOW};
    ask(&r, HTTP_GET, "If-None-Match: \"v\"\n");
    assert_int_equal(s.status, 200);
    ask(&r, HTTP_GET, "If-Match: \"v\"\n");
    assert_int_equal(s.status, 412);
    ask(&r, HTTP_GET, "If-None-Match: *\n");
    assert_int_equal(s.status, 304);
    ask(&r, HTTP_GET, "Range: bytes=0-9\n");
    assert_int_equal(s.status, 206);
    ask(&r, HTTP_GET, "Accept-Encoding: gzip\n");
    assert_int_equal(s.coding, CODING_GZIP);
    assert_int_equal(s.etag.n, 0);
    r.length = -1;
    ask(&r, HTTP_GET, "Range: bytes=0-9\n");
    assert_int_equal(s.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(head_has_no_ranges),
        cmocka_unit_test(what_cannot_be_coded_does_not_vary),
        cmocka_unit_test(without_validators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

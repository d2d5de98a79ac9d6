// The choice of a coding: one row for each rule and for each way around it.
#include "content/coding_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ASKS(field) .accept = STR(field)

enum {
    GZIP = 1u << CODING_GZIP,
    BROTLI = 1u << CODING_BROTLI,
    ZSTD = 1u << CODING_ZSTD,
    ALL = GZIP | BROTLI | ZSTD,
    MIN_BYTES = 256,
};

struct row {
    struct str accept;
    const char *want; // the coding's name, then "V" when it varies, "U" when it is unacceptable
    const char *type; // NULL: text/html
    const char *cache_control;
    int64_t length;   // 0: 1000; -2: none
    unsigned status;  // 0: 200
    unsigned offered; // 0: all; 1: none
    unsigned ready;   // forms that exist already
    bool coded, range, disabled;
};

static struct str or_default(const char *z, struct str otherwise)
{
    return z ? str_z(z) : otherwise;
}

static void check(const struct row *r, const struct str *types, size_t n)
{
    struct coding_options o = {
        .offered = r->offered == 1 ? 0
                   : r->offered    ? r->offered
                                   : ALL,
        .min_bytes = MIN_BYTES,
        .types = types,
        .type_count = n,
    };
    struct coding_query q = {
        .accept_encoding = r->accept,
        .content_type = or_default(r->type, STR("text/html; charset=utf-8")),
        .cache_control = or_default(r->cache_control, STR("")),
        .length = r->length == 0    ? 1000
                  : r->length == -2 ? 0
                                    : r->length,
        .status = r->status ? r->status : 200,
        .coded = r->coded,
        .range = r->range,
        .disabled = r->disabled,
        .ready = r->ready,
    };
    struct coding_choice c = coding_choose(&q, &o);
    char got[32] = "";
    struct str name = coding_name(c.coding);
    strncat(got, name.p, name.n);
    strcat(got, c.vary ? " V" : "");
    strcat(got, c.unacceptable ? " U" : "");
    if (strcmp(got, r->want) != 0)
        fail_msg("\"%.*s\" for %s of %lld bytes, %u: %s, not %s", STR_ARG(r->accept),
                 q.content_type.p, (long long)q.length, q.status, got, r->want);
}

#define CHECK_ALL(rows, types, n)            \
    for (size_t i = 0; i < COUNT(rows); i++) \
    check(&(rows)[i], types, n)

static void the_client_chooses(void **state)
{
    static const struct row rows[] = {
        {.accept = {NULL, 0}, .want = "identity V"},
        {ASKS(""), .want = "identity V"},
        {ASKS("gzip"), .want = "gzip V"},
        {ASKS("GZIP"), .want = "gzip V"},
        {ASKS("x-gzip"), .want = "gzip V"},
        {ASKS("br"), .want = "br V"},
        {ASKS("zstd"), .want = "zstd V"},
        {ASKS("identity"), .want = "identity V"},
        {ASKS("deflate"), .want = "identity V"},
        {ASKS("gzipx, xgzip"), .want = "identity V"},
        {ASKS("foo;gzip"), .want = "identity V"},
        {ASKS(";;;,,,q=,=;"), .want = "identity V"},
        {ASKS("gzip;q=1.5"), .want = "identity V"},
        {ASKS("gzip;q=abc"), .want = "identity V"},
        {ASKS("gzip;q=0.0001"), .want = "identity V"},
        {ASKS("gzip;q=0;x=1"), .want = "identity V"},
        {ASKS("gzip;q=0.000"), .want = "identity V"},
        {ASKS("gzip;q=0.001"), .want = "gzip V"},
        // liked alike: the cheapest; else the heaviest
        {ASKS("gzip, deflate, br, zstd"), .want = "zstd V"},
        {ASKS("gzip, deflate, br"), .want = "br V"},
        {ASKS("gzip, br;q=0.9, zstd;q=0.8"), .want = "gzip V"},
        {ASKS("zstd;q=0.5, br;q=0.6, gzip;q=0.1"), .want = "br V"},
        {ASKS("identity, gzip"), .want = "gzip V"},
        {ASKS("identity, gzip;q=0.5"), .want = "identity V"},
        {ASKS("br, gzip"), .want = "gzip V", .offered = GZIP},
        {ASKS("br"), .want = "identity V", .offered = GZIP},
        {ASKS("zstd, br"), .want = "br V", .offered = GZIP | BROTLI},
        {ASKS("gzip"), .want = "identity", .offered = 1},
        // "*" means gzip, unless the others are named
        {ASKS("*"), .want = "gzip V"},
        {ASKS("*, br;q=0"), .want = "gzip V"},
        {ASKS("br;q=0.5, *;q=0.6"), .want = "gzip V"},
        {ASKS("br;q=0.6, *;q=0.5"), .want = "br V"},
        {ASKS("deflate, gzip;q=0, *;q=0.1"), .want = "identity V"},
        {ASKS("*"), .want = "identity V", .offered = BROTLI},
        {ASKS("*;q=0, identity"), .want = "identity V"},
        {ASKS("*;q=0, gzip, identity"), .want = "gzip V"},
    };
    (void)state;
    CHECK_ALL(rows, NULL, 0);
}

static void the_response_must_be_worth_it(void **state)
{
    static const struct row rows[] = {
        {ASKS("gzip"), .want = "gzip V", .type = "text/plain"},
        {ASKS("gzip"), .want = "gzip V", .type = "TEXT/CSS;charset=utf-8"},
        {ASKS("gzip"), .want = "gzip V", .type = " text/html ; charset=utf-8"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/json"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/problem+json"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/x-ndjson"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/javascript"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/xml"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/rss+xml"},
        {ASKS("gzip"), .want = "gzip V", .type = "image/svg+xml"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/wasm"},
        {ASKS("gzip"), .want = "gzip V", .type = "font/ttf"},
        {ASKS("gzip"), .want = "identity", .type = "font/woff2"},
        {ASKS("gzip"), .want = "identity", .type = "image/png"},
        {ASKS("gzip"), .want = "identity", .type = "audio/ogg"},
        {ASKS("gzip"), .want = "identity", .type = "video/mp4"},
        {ASKS("gzip"), .want = "identity", .type = "application/zip"},
        {ASKS("gzip"), .want = "identity", .type = "application/gzip"},
        {ASKS("gzip"), .want = "identity", .type = "application/pdf"},
        {ASKS("gzip"), .want = "identity", .type = "application/octet-stream"},
        {ASKS("gzip"), .want = "identity", .type = "text/event-stream"},
        {ASKS("gzip"), .want = "identity", .type = "text/event-stream; charset=utf-8",
         .length = -1},
        {ASKS("gzip"), .want = "identity", .type = ""},
        {ASKS("gzip"), .want = "identity", .type = "text"},
        {ASKS("gzip"), .want = "identity", .type = "text/"},
        {ASKS("gzip"), .want = "identity", .type = "/json"},
        {ASKS("gzip"), .want = "identity", .type = "application/jsonx"},
        // sizes
        {ASKS("gzip"), .want = "identity", .length = MIN_BYTES - 1},
        {ASKS("gzip"), .want = "gzip V", .length = MIN_BYTES},
        {ASKS("gzip"), .want = "gzip V", .length = -1},
        {ASKS("gzip"), .want = "gzip V", .length = INT64_MAX},
        {ASKS("gzip"), .want = "identity", .length = -2},
        {ASKS("br"), .want = "identity", .length = 1},
    };
    (void)state;
    CHECK_ALL(rows, NULL, 0);
}

static void the_response_must_allow_it(void **state)
{
    static const struct row rows[] = {
        {ASKS("gzip"), .want = "identity", .coded = true},
        {ASKS("gzip"), .want = "identity", .disabled = true},
        {ASKS("gzip"), .want = "identity", .cache_control = "no-transform"},
        {ASKS("gzip"), .want = "identity", .cache_control = "max-age=3, No-Transform"},
        {ASKS("gzip"), .want = "identity", .cache_control = "public , no-transform=1"},
        {ASKS("gzip"), .want = "gzip V",
         .cache_control = "no-cache, no-transformx, x-no-transform"},
        {ASKS("gzip"), .want = "gzip V", .cache_control = "private=\"no\"; no-transform"},
        // statuses
        {ASKS("gzip"), .want = "identity", .status = 100},
        {ASKS("gzip"), .want = "identity", .status = 103},
        {ASKS("gzip"), .want = "gzip V", .status = 201},
        {ASKS("gzip"), .want = "identity", .status = 204},
        {ASKS("gzip"), .want = "identity", .status = 205},
        {ASKS("gzip"), .want = "identity V", .status = 206},
        {ASKS("gzip"), .want = "identity V", .status = 304},
        {ASKS("gzip"), .want = "identity V", .status = 304, .length = -2},
        {ASKS("gzip"), .want = "identity", .status = 304, .type = "image/png"},
        {ASKS("gzip"), .want = "identity", .status = 206, .type = "image/png"},
        {ASKS("gzip"), .want = "gzip V", .status = 301},
        {ASKS("gzip"), .want = "gzip V", .status = 404},
        {ASKS("gzip"), .want = "gzip V", .status = 500},
        // Range
        {ASKS("gzip"), .want = "identity V", .range = true},
        {ASKS("gzip"), .want = "identity", .range = true, .type = "image/png"},
    };
    (void)state;
    CHECK_ALL(rows, NULL, 0);
}

static void a_client_may_refuse_identity(void **state)
{
    static const struct row rows[] = {
        {ASKS("identity;q=0, gzip"), .want = "gzip V"},
        {ASKS("*;q=0, gzip"), .want = "gzip V"},
        {ASKS("identity;q=0, *"), .want = "gzip V"},
        {ASKS("identity;q=0, br;q=0.1"), .want = "br V"},
        // what would else not be coded
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .type = "image/png"},
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .type = "text/event-stream"},
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .type = ""},
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .length = 1},
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .range = true},
        {ASKS("identity;q=0, gzip"), .want = "gzip V", .status = 404, .length = 1},
        // what must not be
        {ASKS("identity;q=0, gzip"), .want = "identity V U", .status = 206},
        {ASKS("identity;q=0, gzip"), .want = "identity U", .status = 206, .type = "image/png"},
        {ASKS("identity;q=0, gzip"), .want = "identity U", .cache_control = "no-transform"},
        {ASKS("identity;q=0, gzip"), .want = "identity U", .disabled = true},
        {ASKS("identity;q=0, gzip"), .want = "identity U", .offered = 1},
        {ASKS("identity;q=0, gzip"), .want = "identity", .coded = true},
        {ASKS("identity;q=0, gzip"), .want = "identity", .length = -2},
        {ASKS("identity;q=0, gzip"), .want = "identity", .status = 204},
        {ASKS("identity;q=0, gzip"), .want = "identity V", .status = 304},
        {ASKS("identity;q=0, gzip"), .want = "identity", .status = 100},
        // nothing is left
        {ASKS("identity;q=0"), .want = "identity V U"},
        {ASKS("*;q=0"), .want = "identity V U"},
        {ASKS("*;q=0"), .want = "identity U", .type = "image/png"},
        {ASKS("*;q=0"), .want = "identity V", .status = 404},
        {ASKS("*;q=0, deflate"), .want = "identity V U"},
        {ASKS("identity;q=0, br"), .want = "identity V U", .offered = GZIP},
        {ASKS("identity;q=0, *"), .want = "identity V U", .offered = BROTLI},
    };
    (void)state;
    CHECK_ALL(rows, NULL, 0);
}

static void the_list_of_types_replaces_the_built_in_one(void **state)
{
    static const struct str types[] = {
        STR("application/pdf"), STR("Image/*"),    STR("text/event-stream"),
        STR("*/*+json"),        STR("x/*+y; q=1"), STR("broken"),
    };
    static const struct str everything[] = {STR("*/*")};
    static const struct row rows[] = {
        {ASKS("gzip"), .want = "gzip V", .type = "application/PDF"},
        {ASKS("gzip"), .want = "gzip V", .type = "image/png"},
        {ASKS("gzip"), .want = "gzip V", .type = "text/event-stream"},
        {ASKS("gzip"), .want = "gzip V", .type = "application/ld+json"},
        {ASKS("gzip"), .want = "gzip V", .type = "x/a+y"},
        {ASKS("gzip"), .want = "gzip V", .type = "x/+y"},
        {ASKS("gzip"), .want = "identity", .type = "z/a+y"},
        {ASKS("gzip"), .want = "identity", .type = "application/json"},
        {ASKS("gzip"), .want = "identity", .type = "text/html"},
        {ASKS("gzip"), .want = "identity", .type = "broken"},
    };
    static const struct row any = {ASKS("gzip"), .want = "gzip V", .type = "a/b"};
    static const struct row none = {ASKS("gzip"), .want = "identity"};
    static const struct row no_type = {ASKS("gzip"), .want = "identity", .type = "a"};
    (void)state;
    CHECK_ALL(rows, types, COUNT(types));
    check(&any, everything, 1);
    check(&no_type, everything, 1);
    check(&none, types, 0); // an empty list: nothing
}

// --- tags ---

static void tags_get_a_suffix(void **state)
{
    static const struct {
        struct str etag;
        enum coding c;
        const char *want;
    } rows[] = {
        {STR("\"v\""), CODING_GZIP, "\"v-gzip\""},
        {STR("\"v\""), CODING_BROTLI, "\"v-br\""},
        {STR("\"v\""), CODING_ZSTD, "\"v-zstd\""},
        {STR("\"v\""), CODING_IDENTITY, "\"v\""},
        {STR("W/\"v\""), CODING_GZIP, "W/\"v-gzip\""},
        {STR("\"\""), CODING_GZIP, "\"-gzip\""},
        {STR("W/\"\""), CODING_IDENTITY, "W/\"\""},
        {STR(""), CODING_GZIP, ""},
        {STR("\""), CODING_GZIP, ""},
        {STR("W/\""), CODING_GZIP, ""},
        {STR("W/"), CODING_GZIP, ""},
        {STR("v"), CODING_GZIP, ""},
        {STR("w/\"v\""), CODING_GZIP, ""},
        {STR("\"a\"b\""), CODING_GZIP, ""},
        {STR("\"a\", \"b\""), CODING_GZIP, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char dst[32];
        size_t n = strlen(rows[i].want);
        assert_int_equal(coding_tag(rows[i].etag, rows[i].c, dst, sizeof dst), n);
        assert_int_equal(memcmp(dst, rows[i].want, n), 0);
        memset(dst, '#', sizeof dst);
        assert_int_equal(coding_tag(rows[i].etag, rows[i].c, dst, n), n);
        assert_int_equal(dst[n], '#');
        if (n)
            assert_int_equal(coding_tag(rows[i].etag, rows[i].c, dst, n - 1), 0);
        if (n && rows[i].c)
            assert_int_equal(coding_of_tag(str_z(rows[i].want)), rows[i].c);
    }
}

static void tags_are_known_again(void **state)
{
    static const struct {
        struct str tag, etag;
        int want; // -1: another tag
    } rows[] = {
        {STR("\"v\""), STR("\"v\""), CODING_IDENTITY},
        {STR("\"v-gzip\""), STR("\"v\""), CODING_GZIP},
        {STR("\"v-br\""), STR("\"v\""), CODING_BROTLI},
        {STR("\"v-zstd\""), STR("\"v\""), CODING_ZSTD},
        {STR("W/\"v-gzip\""), STR("\"v\""), CODING_GZIP},
        {STR("\"v-gzip\""), STR("W/\"v\""), CODING_GZIP},
        {STR("\"-gzip\""), STR("\"\""), CODING_GZIP},
        {STR("\"v-gzip\""), STR("\"v-gzip\""), CODING_IDENTITY}, // the handler's own
        {STR("\"v-gzip-gzip\""), STR("\"v-gzip\""), CODING_GZIP},
        {STR("\"v-gzip\""), STR("\"w\""), -1},
        {STR("\"v-GZIP\""), STR("\"v\""), -1},
        {STR("\"vgzip\""), STR("\"v\""), -1},
        {STR("\"gzip\""), STR("\"\""), -1},
        {STR("\"v-identity\""), STR("\"v\""), -1},
        {STR("\"v\""), STR("\"v-gzip\""), -1},
        {STR("v-gzip"), STR("\"v\""), -1},
        {STR("\"v-gzip\""), STR("v"), -1},
        {STR("*"), STR("\"v\""), -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum coding c = CODINGS;
        bool is = coding_tag_is(rows[i].tag, rows[i].etag, &c);
        if (is != (rows[i].want >= 0) || (is && (int)c != rows[i].want))
            fail_msg("%.*s of %.*s: %d, %u", STR_ARG(rows[i].tag), STR_ARG(rows[i].etag), is, c);
    }
    assert_int_equal(coding_of_tag(STR("\"v\"")), CODING_IDENTITY);
    assert_int_equal(coding_of_tag(STR("\"gzip\"")), CODING_IDENTITY);
    assert_int_equal(coding_of_tag(STR("v-gzip")), CODING_IDENTITY);
}

// Forms that exist already, beside those that can be made.
static void forms_that_are_ready(void **state)
{
    static const struct row rows[] = {
        {ASKS("br, gzip"), "br V", .offered = GZIP, .ready = BROTLI},
        {ASKS("br;q=0.5, gzip"), "gzip V", .offered = GZIP, .ready = BROTLI},
        {ASKS("zstd"), "identity V", .offered = GZIP, .ready = BROTLI},
        {ASKS("gzip"), "gzip V", "image/png", .offered = GZIP, .ready = GZIP},
        {ASKS("gzip"), "identity V", "image/png", .offered = GZIP, .ready = BROTLI},
        {ASKS("gzip"), "gzip V", .length = 10, .offered = GZIP, .ready = GZIP},
        {ASKS("gzip"), "gzip V", .offered = 1, .ready = GZIP},
        {ASKS("br"), "identity V", .offered = GZIP, .ready = BROTLI, .range = true},
        {ASKS("br"), "identity", .offered = GZIP, .ready = BROTLI, .disabled = true},
        {ASKS("br"), "identity", .offered = GZIP, .ready = BROTLI, .coded = true},
        {{NULL, 0}, "identity V", "image/png", .offered = GZIP, .ready = BROTLI},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_that_are_ready),
        cmocka_unit_test(the_client_chooses),
        cmocka_unit_test(the_response_must_be_worth_it),
        cmocka_unit_test(the_response_must_allow_it),
        cmocka_unit_test(a_client_may_refuse_identity),
        cmocka_unit_test(the_list_of_types_replaces_the_built_in_one),
        cmocka_unit_test(tags_get_a_suffix),
        cmocka_unit_test(tags_are_known_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

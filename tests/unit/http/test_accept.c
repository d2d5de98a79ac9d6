// Negotiation: what is offered, what is asked for, and which one it becomes.
#include "http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { OFFERED_MAX = 8 };

typedef int accept_fn(struct str field, const struct str *offered, int n);

struct row {
    struct str field;
    const char *offered; // words separated by spaces
    const char *want;    // one of them, or "" for none
};

static void check(accept_fn *fn, const struct row *row)
{
    struct str offered[OFFERED_MAX], rest = str_z(row->offered);
    int n = 0;
    while (str_split(&rest, ' ', &offered[n]))
        assert_true(++n < OFFERED_MAX);
    int got = fn(row->field, offered, n);
    assert_in_range(got + 1, 0, n);
    if (!str_eq(got < 0 ? STR("") : offered[got], str_z(row->want)))
        fail_msg("%.*s of %s: %d, not %s", STR_ARG(row->field), row->offered, got, row->want);
}

static void chooses_types(void **state)
{
    static const struct row rows[] = {
        {{NULL, 0}, "text/html application/json", "text/html"},
        {STR("*/*"), "text/html application/json", "text/html"},
        {STR("application/json"), "text/html application/json", "application/json"},
        {STR("image/png"), "text/html application/json", ""},
        {STR("text/html, application/json"), "application/json text/html", "application/json"},
        {STR("text/html;q=0.5, application/json;q=0.8"), "text/html application/json",
         "application/json"},
        {STR("text/*;q=0.5, */*;q=0.1"), "image/png text/html", "text/html"},
        {STR("text/*, text/html;q=0.2"), "text/html text/plain", "text/plain"},
        {STR("TEXT/HTML"), "text/plain text/html", "text/html"},
        {STR("text/html , text/plain ; q=0.9"), "text/plain text/html", "text/html"},
        // a weight of 0 excludes, and what is more specific wins whatever the order
        {STR("*/*, text/html;q=0"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0.000"), "text/html", ""},
        {STR("text/*;q=0, text/html"), "text/plain text/html", "text/html"},
        {STR("text/*, text/plain;q=0, */*;q=0.1"), "text/plain image/png", "image/png"},
        // parameters
        {STR("text/plain;format=flowed, text/plain;q=0.5"), "text/plain text/plain;format=flowed",
         "text/plain;format=flowed"},
        {STR("text/html;level=1"), "text/html", ""},
        {STR("text/html"), "text/html;level=1", "text/html;level=1"},
        {STR("text/html;level=1;q=0.3, text/html;q=0.7, */*;q=0.5"),
         "text/html;level=1 image/jpeg text/html;level=3", "text/html;level=3"},
        {STR("text/html;level=2;charset=utf-8, text/html;level=2;q=0"),
         "text/html;level=2 text/html;charset=UTF-8;level=2", "text/html;charset=UTF-8;level=2"},
        {STR("text/html;charset=\"utf-\\8\""), "text/html;charset=utf-8",
         "text/html;charset=utf-8"},
        {STR("text/html;charset=utf-8"), "text/html;charset=\"utf-8\"",
         "text/html;charset=\"utf-8\""},
        {STR("text/html;charset=utf-8"), "text/html;charset=utf-16 text/html;charset=utf-88", ""},
        {STR("text/html;v=\"a,b;c\";q=0, text/plain"), "text/html;v=\"a,b;c\" text/plain",
         "text/plain"},
        {STR("text/html;q=0.1;level=1, text/plain;q=0.5"), "text/html;level=1 text/plain",
         "text/plain"}, // the weight need not be last
        {STR("text/html;;q=0.1;, text/plain;q=0.5"), "text/html text/plain", "text/plain"},
        // malformed elements are ignored
        {STR("text/html;q=1.5, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=abc, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0.1234, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=1.001, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=., text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=.1234, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=-1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=1.0.0, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0x1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=10, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=1e0, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q= 1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=\"1\", text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q =1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0;q=1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=00.1, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text, */html, /, text/, /html, te xt/html, text/plain"), "text/html text/plain",
         "text/plain"},
        {STR("text/html;v=\"x\"y, text/plain;q=0.1"), "text/html text/plain", "text/plain"},
        {STR("text/plain;q=0.1, text/html;v=\"x"), "text/html text/plain", "text/plain"},
        {STR(", ,text/plain,,"), "text/html text/plain", "text/plain"},
        // nothing valid in it: as if absent
        {STR(""), "text/html text/plain", "text/html"},
        {STR("*, junk;;"), "text/html text/plain", "text/html"},
        {STR("\xff/\xfe;\x80=1"), "text/html text/plain", "text/html"},
        {STR(",;,=,/,\",\\"), "text/html text/plain", "text/html"},
        // nothing on offer is in it, though it is valid
        {STR("x/y"), "text/html text/plain", ""},
        {STR("text/htm, text/htmlx"), "text/html", ""},
        {STR("texts/*"), "text/html", ""},
        // as real clients send it
        {STR("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
             "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"),
         "application/json text/html", "text/html"},
        {STR("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"), "application/json",
         "application/json"},
        {STR("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"), "application/json text/html",
         "text/html"},
        // weights that are valid
        {STR("text/html;q=.5, text/plain;q=0.1"), "text/plain text/html", "text/html"},
        {STR("text/html;q=.000"), "text/html", ""},
        {STR("*/*;q=0"), "text/html text/plain", ""},
        {STR("text/html;q=0., text/plain;q=0.001"), "text/html text/plain", "text/plain"},
        {STR("text/html;Q=0.999, text/plain;q=1."), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0.999, text/plain;q=1.000"), "text/html text/plain", "text/plain"},
        {STR("text/html;q=0.2, text/html;q=0.9, text/plain;q=0.5"), "text/plain text/html",
         "text/html"},
        // an offer that is no type is never chosen, but for want of a field
        {STR("*/*"), "html text/plain", "text/plain"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(accept_type, &rows[i]);
}

static void looks_languages_up(void **state)
{
    static const struct row rows[] = {
        {{NULL, 0}, "en de", "en"},
        {STR("de"), "en de", "de"},
        {STR("DE-ch"), "en de-CH", "de-CH"},
        {STR("de-CH-1996"), "en de de-CH", "de-CH"},
        {STR("de-CH"), "en de", "de"},
        {STR("de"), "en de-CH", ""}, // lookup shortens the range, never the tag
        {STR("fr"), "en de", ""},
        {STR("da, en-gb;q=0.8, en;q=0.7"), "en en-GB", "en-GB"},
        {STR("da, en-gb;q=0.7, en;q=0.8"), "en-GB en", "en"},
        {STR("en-US, de;q=0.9"), "de en", "en"},
        {STR("fr, de"), "de fr", "fr"}, // equal weights: the client's order
        {STR("fr;q=0.5, de;q=0.5, en;q=0.5"), "en de", "de"},
        {STR("zh-Hant-CN-x-private1-private2"), "zh-Hant-CN-x zh-Hant", "zh-Hant"},
        {STR("zh-Hant-CN-x-private1-private2"), "zh zh-Hant-CN-x-private1",
         "zh-Hant-CN-x-private1"},
        {STR("i-x-y"), "i en", "i"},
        {STR("zh-x-a-b"), "zh-x-a zh-x zh", "zh"}, // single letters go with what they introduce
        {STR("zh-Hant-1-b"), "zh-Hant-1 zh-Hant", "zh-Hant"},
        {STR("en-US,en;q=0.9,de;q=0.8"), "de en", "en"},
        {STR("fr-FR , fr ; q=.9"), "fr", "fr"},
        // "*"
        {STR("*"), "en de", "en"},
        {STR("*;q=0"), "en de", ""},
        {STR("fr, *;q=0.1"), "en de", "en"},
        {STR("*, de;q=0.1"), "en de", "de"},
        {STR("*, en;q=0"), "en de", "de"},
        {STR("*, en;q=0"), "en-GB de", "de"},
        {STR("de, *;q=0"), "en de", "de"},
        // a weight of 0 excludes
        {STR("en;q=0"), "en", ""},
        {STR("en-US, en;q=0"), "en de", ""},
        {STR("en-US, en;q=0"), "en en-US", "en-US"},
        {STR("en-US-x-a, en-US;q=0"), "en-US en", "en"},
        {STR("en, en-US;q=0, *;q=0.1"), "en-US fr", "fr"},
        {STR("en;q=0, en"), "en", "en"}, // the heavier of the two
        {STR("en, en;q=0"), "en", "en"},
        {STR("en;q=0, en-US;q=0.1"), "en en-US", "en-US"},
        // malformed ranges are ignored
        {STR("en_US, de"), "en de", "de"},
        {STR("en--US, de"), "en de", "de"},
        {STR("en-, de"), "en de", "de"},
        {STR("-en, de"), "en de", "de"},
        {STR("1en, de"), "en de", "de"},
        {STR("en-*, de"), "en de", "de"},
        {STR("en;x=1, de"), "en de", "de"},
        {STR("en-abcdefghi, de"), "en de", "de"},
        {STR("en;q=2, de;q=0.1"), "en de", "de"},
        {STR(""), "en de", "en"},
        {STR("?"), "en de", "en"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(accept_language, &rows[i]);
}

static void chooses_codings(void **state)
{
    static const struct row rows[] = {
        {{NULL, 0}, "gzip identity", "gzip"},
        {STR("gzip"), "identity gzip", "gzip"},
        {STR("GZIP"), "identity gzip", "gzip"},
        {STR("x-gzip"), "identity gzip", "gzip"},
        {STR("br, gzip;q=0.001"), "identity gzip", "gzip"},
        {STR("br"), "gzip identity", "identity"},
        {STR("br"), "gzip", ""},
        {STR("gzip, br"), "br gzip identity", "br"},
        {STR("gzip, deflate, br, zstd"), "gzip identity", "gzip"},
        {STR("gzip;q=1.0, identity; q=0.5, *;q=0"), "br gzip identity", "gzip"},
        {STR("gzip;q=1.0, identity; q=0.5, *;q=0"), "br identity", "identity"},
        {STR("compress;q=0.5, x-compress;q=0.2"), "identity X-Compress", "X-Compress"},
        {STR("*;q=0.5, identity;q=0.1"), "identity gzip", "gzip"},
        {STR("*;q=0, gzip;q=0"), "gzip identity", ""},
        {STR(" , ,gzip\t;\tq=0.5 ,"), "identity gzip", "gzip"},
        {STR("gzip;q=0.5, br;q=0.4"), "br gzip identity", "gzip"},
        {STR("*"), "gzip identity", "gzip"},
        {STR("deflate, gzip;q=0, *;q=0.1"), "gzip identity", "identity"},
        {STR("gzip;q=0"), "gzip identity", "identity"},
        {STR("gzip;q=0"), "gzip", ""},
        {STR("gzip;q=0, gzip"), "gzip", "gzip"},
        {STR("*;q=0"), "gzip identity", ""},
        {STR("*;q=0, identity"), "gzip identity", "identity"},
        {STR("identity;q=0, gzip"), "identity gzip", "gzip"},
        {STR("identity;q=0"), "identity gzip", ""},
        {STR("identity, gzip;q=0.5"), "gzip identity", "identity"},
        {STR("gzipx, xgzip"), "gzip identity", "identity"},
        {STR("gzip;q=0;x=1"), "gzip identity", "identity"},
        {STR("gzip;x=1"), "gzip identity", "identity"},
        {STR("foo;gzip"), "gzip identity", "identity"},
        {STR("gzip;q=1.5"), "gzip identity", "identity"},
        {STR("gz ip"), "gzip identity", "identity"},
        {STR(";;;,,,q=,=;"), "gzip identity", "identity"},
        {STR(""), "gzip identity", "identity"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(accept_encoding, &rows[i]);
}

static void offers_nothing(void **state)
{
    static accept_fn *const fns[] = {accept_type, accept_language, accept_encoding};
    (void)state;
    for (size_t i = 0; i < COUNT(fns); i++) {
        assert_int_equal(fns[i]((struct str){NULL, 0}, NULL, 0), -1);
        assert_int_equal(fns[i](STR("*"), NULL, 0), -1);
        assert_int_equal(fns[i](STR("*/*"), NULL, 0), -1);
        assert_int_equal(fns[i](STR(""), NULL, 0), -1);
    }
}

static void has_a_maximum(void **state)
{
    static const struct str offered[] = {STR("de")};
    char field[8 * ACCEPT_MAX] = "";
    (void)state;
    for (int i = 0; i < ACCEPT_MAX - 1; i++)
        strcat(field, "en, ");
    size_t room = strlen(field);
    strcpy(field + room, "de");
    assert_int_equal(accept_language(str_z(field), offered, 1), 0);
    assert_false(accept_is_long(str_z(field)));
    strcpy(field + room, "de,,");
    assert_false(accept_is_long(str_z(field)));
    strcpy(field + room, "en, de");
    assert_int_equal(accept_language(str_z(field), offered, 1), -1);
    assert_true(accept_is_long(str_z(field)));
    assert_false(accept_is_long((struct str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_types),   cmocka_unit_test(looks_languages_up),
        cmocka_unit_test(chooses_codings), cmocka_unit_test(offers_nothing),
        cmocka_unit_test(has_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

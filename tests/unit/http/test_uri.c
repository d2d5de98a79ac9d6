// Paths: splitting, normalising, and the clean path that routing splits.
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void assert_str(struct str got, struct str want, struct str input)
{
    if (!str_eq(got, want))
        fail_msg("\"%.*s\" gave \"%.*s\", not \"%.*s\"", STR_ARG(input), STR_ARG(got),
                 STR_ARG(want));
}

static void splits_at_the_first_question_mark(void **state)
{
    static const struct {
        struct str origin, path, query;
        bool has_query;
    } cases[] = {
        {STR("/x"), STR("/x"), STR(""), false},       {STR("/x?"), STR("/x"), STR(""), true},
        {STR("/x?a?b"), STR("/x"), STR("a?b"), true}, {STR(""), STR("/"), STR(""), false},
        {STR("?a=1"), STR("/"), STR("a=1"), true},    {STR("*"), STR("*"), STR(""), false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str path, query;
        bool has_query;
        uri_split(cases[i].origin, &path, &query, &has_query);
        assert_str(path, cases[i].path, cases[i].origin);
        assert_str(query, cases[i].query, cases[i].origin);
        assert_int_equal(has_query, cases[i].has_query);
    }
}

static void normalises(void **state)
{
    static const struct {
        struct str raw, path, clean;
        bool encoded_slash;
    } cases[] = {
        {STR("/"), STR("/"), STR("/"), false},
        {STR("/a"), STR("/a"), STR("/a"), false},
        {STR("/a/"), STR("/a/"), STR("/a/"), false},
        {STR("/a%20b/%63"), STR("/a b/c"), STR("/a%20b/%63"), false},
        {STR("/%E4%bd%A0"), STR("/\xe4\xbd\xa0"), STR("/%E4%bd%A0"), false},
        {STR("//"), STR("/"), STR("/"), false},
        {STR("//a///b//"), STR("/a/b/"), STR("/a/b/"), false},
        {STR("/."), STR("/"), STR("/"), false},
        {STR("/a/."), STR("/a/"), STR("/a/"), false},
        {STR("/a/./b"), STR("/a/b"), STR("/a/b"), false},
        {STR("/a/b/.."), STR("/a/"), STR("/a/"), false},
        {STR("/a/b/../c"), STR("/a/c"), STR("/a/c"), false},
        {STR("/a/.."), STR("/"), STR("/"), false},
        {STR("/a//../b"), STR("/b"), STR("/b"), false},
        {STR("/a/%2e/b/%2E%2e/c"), STR("/a/c"), STR("/a/c"), false},
        {STR("/a/.%2e/b"), STR("/b"), STR("/b"), false},
        {STR("/..."), STR("/..."), STR("/..."), false},
        {STR("/..a/.b/c."), STR("/..a/.b/c."), STR("/..a/.b/c."), false},
        {STR("/%2e%2e%2e"), STR("/..."), STR("/%2e%2e%2e"), false},
        {STR("/%252e%252e/x"), STR("/%2e%2e/x"), STR("/%252e%252e/x"), false},
        {STR("/.well-known/x"), STR("/.well-known/x"), STR("/.well-known/x"), false},
        {STR("/a%2Fb/c"), STR("/a/b/c"), STR("/a%2Fb/c"), true},
        {STR("/a%2fb/../c"), STR("/c"), STR("/c"), false},
        {STR("/x/https:%2F%2Fh%2f"), STR("/x/https:/h/"), STR("/x/https:%2F%2Fh%2f"), true},
        {STR("/%2f"), STR("/"), STR("/%2f"), true},
        {STR("/a%2f/b"), STR("/a/b"), STR("/a%2f/b"), true},
        {STR("/a%2f%252e"), STR("/a/%2e"), STR("/a%2f%252e"), true},
        {STR("/a%5c..%5cb"), STR("/a\\..\\b"), STR("/a%5c..%5cb"), false},
        {STR("/%c0%ae%c0%ae/x"), STR("/\xc0\xae\xc0\xae/x"), STR("/%c0%ae%c0%ae/x"), false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str raw = cases[i].raw;
        char *dst = malloc(raw.n + 1); // exactly, so that ASan sees a byte too many
        struct uri_path out;
        const char *why = NULL;
        if (!uri_normalise(raw, dst, &out, &why))
            fail_msg("%.*s: %s", STR_ARG(raw), why);
        assert_str(out.path, cases[i].path, raw);
        assert_int_equal(out.encoded_slash, cases[i].encoded_slash);
        assert_int_equal(out.plain, str_eq(raw, cases[i].path));
        assert_int_equal(out.plain, out.path.p == raw.p);
        assert_str(uri_clean(raw, dst), cases[i].clean, raw);
        free(dst);
    }
}

static void refuses(void **state)
{
    static const struct {
        struct str raw;
        const char *why;
    } cases[] = {
        {STR(""), "begin"},
        {STR("*"), "begin"},
        {STR("a/b"), "begin"},
        {STR("%2Fa"), "begin"},
        {STR("/.."), "climbs"},
        {STR("/../a"), "climbs"},
        {STR("/a/../.."), "climbs"},
        {STR("/./%2e%2E"), "climbs"},
        {STR("//../a"), "climbs"},
        {STR("/a/%2E./../b"), "climbs"},
        {STR("/%"), "hexadecimal"},
        {STR("/%4"), "hexadecimal"},
        {STR("/%4g"), "hexadecimal"},
        {STR("/%zz/.."), "hexadecimal"},
        {STR("/%u002e"), "hexadecimal"},
        {STR("/a%00"), "NUL"},
        {STR("/%00/../a"), "NUL"},
        {STR("/a\0b"), "NUL"},
        {STR("/..%2fetc"), "encoded slash"},
        {STR("/a/..%2F..%2Fetc"), "encoded slash"},
        {STR("/a/%2e%2e%2fb"), "encoded slash"},
        {STR("/a%2f."), "encoded slash"},
        {STR("/%2f.."), "encoded slash"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str raw = cases[i].raw;
        char *dst = malloc(raw.n + 1);
        struct uri_path out;
        const char *why = "nothing";
        if (uri_normalise(raw, dst, &out, &why))
            fail_msg("%.*s was taken", STR_ARG(raw));
        if (!strstr(why, cases[i].why))
            fail_msg("%.*s: %s", STR_ARG(raw), why);
        free(dst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_at_the_first_question_mark),
        cmocka_unit_test(normalises),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

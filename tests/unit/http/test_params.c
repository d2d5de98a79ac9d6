// Parameters and media types: what is taken, where it stops, and what is refused.
#include "http/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static size_t put(char *out, size_t n, size_t cap, struct str s)
{
    assert_true(n + s.n <= cap);
    if (s.n)
        memcpy(out + n, s.p, s.n);
    return n + s.n;
}

// All parameters as "[name|value]", a quoted one as "[name|"value"]", and "!" with what is left
// when one is bad.
static struct str params(struct str rest, char *out, size_t cap)
{
    struct param p;
    size_t n = 0;
    enum params_result r;
    while ((r = params_next(&rest, &p)) == PARAMS_SOME) {
        n = put(out, n, cap, STR("["));
        n = put(out, n, cap, p.name);
        n = put(out, n, cap, p.quoted ? STR("|\"") : STR("|"));
        n = put(out, n, cap, p.value);
        n = put(out, n, cap, p.quoted ? STR("\"]") : STR("]"));
    }
    if (r == PARAMS_BAD)
        n = put(out, put(out, n, cap, STR("!")), cap, rest);
    else
        assert_int_equal(rest.n, 0);
    return str_of(out, n);
}

static void reads_params(void **state)
{
    static const struct {
        struct str text, want;
    } cases[] = {
        {STR(";a=b"), STR("[a|b]")},
        {STR(";a=b;c=d"), STR("[a|b][c|d]")},
        {STR(" \t; \ta=b\t ;\tc=d \t"), STR("[a|b][c|d]")},
        {STR(";a=b;a=c"), STR("[a|b][a|c]")},
        {STR(";;a=b; ;\t;c=d;;"), STR("[a|b][c|d]")},
        {STR(""), STR("")},
        {STR(" \t"), STR("")},
        {STR(";"), STR("")},
        {STR(" ; ; "), STR("")},
        {STR(";A!#$%&'*+-.^_`|~0=!z"), STR("[A!#$%&'*+-.^_`|~0|!z]")},
        // quoted strings
        {STR(";a=\"b\""), STR("[a|\"b\"]")},
        {STR(";a=\"\";c=d"), STR("[a|\"\"][c|d]")},
        {STR(";a=\"b;c=d\" ; e=f"), STR("[a|\"b;c=d\"][e|f]")},
        {STR(";a=\" \tb, (c)\""), STR("[a|\" \tb, (c)\"]")},
        {STR(";a=\"\\\"\""), STR("[a|\"\\\"\"]")},
        {STR(";a=\"\\\\\";c=d"), STR("[a|\"\\\\\"][c|d]")},
        {STR(";a=\"x\\yz\""), STR("[a|\"x\\yz\"]")},
        {STR(";a=\"\\\t\\ \""), STR("[a|\"\\\t\\ \"]")},
        {STR(";a=\"\xc3\xa9\\\xc3\xff\""), STR("[a|\"\xc3\xa9\\\xc3\xff\"]")},
        // bad from the start, and behind good ones
        {STR("a=b"), STR("!a=b")},
        {STR(" ,;a=b"), STR("!,;a=b")},
        {STR(";a"), STR("!a")},
        {STR(";a;b=c"), STR("!a;b=c")},
        {STR(";=b"), STR("!=b")},
        {STR(";a="), STR("!a=")},
        {STR(";a=;b=c"), STR("!a=;b=c")},
        {STR(";a =b"), STR("!a =b")},
        {STR(";a= b"), STR("!a= b")},
        {STR(";a=b c"), STR("[a|b]!c")},
        {STR(";a=b, c=d"), STR("[a|b]!, c=d")},
        {STR(";a=b=c"), STR("[a|b]!=c")},
        {STR(";a=b/c;d=e"), STR("[a|b]!/c;d=e")},
        {STR(";a=b\"c\""), STR("[a|b]!\"c\"")},
        {STR(";a=\"b\"c"), STR("[a|\"b\"]!c")},
        {STR(";a=\"b\"\"c\""), STR("[a|\"b\"]!\"c\"")},
        {STR(";a b=c"), STR("!a b=c")},
        {STR(";\"a\"=b"), STR("!\"a\"=b")},
        {STR(";a=\xc3\xa9"), STR("!a=\xc3\xa9")},
        {STR(";\xc3\xa9=a"), STR("!\xc3\xa9=a")},
        {STR(";a=b;\r\n c=d"), STR("[a|b]!\r\n c=d")},
        {STR(";a=b\0;c=d"), STR("[a|b]!\0;c=d")},
        // quoted strings without their end, or with a control
        {STR(";a=\""), STR("!a=\"")},
        {STR(";a=\"b"), STR("!a=\"b")},
        {STR(";a=\"b\\\""), STR("!a=\"b\\\"")},
        {STR(";a=\"b\\"), STR("!a=\"b\\")},
        {STR(";a=\"b\0\""), STR("!a=\"b\0\"")},
        {STR(";a=\"b\n\""), STR("!a=\"b\n\"")},
        {STR(";a=\"b\\\n\""), STR("!a=\"b\\\n\"")},
        {STR(";a=\"b\x7f\""), STR("!a=\"b\x7f\"")},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str text = cases[i].text;
        char *copy = malloc(text.n + !text.n); // exactly, so that ASan sees a byte too many
        memcpy(copy, text.p, text.n);
        struct str got = params(str_of(copy, text.n), out, sizeof out);
        if (!str_eq(got, cases[i].want))
            fail_msg("\"%.*s\" gave %.*s", STR_ARG(text), STR_ARG(got));
        free(copy);
    }
    assert_int_equal(params((struct str){NULL, 0}, out, sizeof out).n, 0);
}

static void unquotes(void **state)
{
    static const struct {
        struct str value, want;
    } cases[] = {
        {STR(""), STR("")},           {STR("abc"), STR("abc")},
        {STR("a\\\"b"), STR("a\"b")}, {STR("\\\\"), STR("\\")},
        {STR("\\a\\b"), STR("ab")},   {STR("\\\\\\\""), STR("\\\"")},
        {STR("a\\"), STR("a\\")},     {STR("\\\xc3\xa9"), STR("\xc3\xa9")},
    };
    char dst[16];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str value = cases[i].value;
        assert_true(str_eq(str_of(dst, params_unquote(dst, value)), cases[i].want));
        memcpy(dst, value.p, value.n);
        struct str same = str_of(dst, params_unquote(dst, str_of(dst, value.n)));
        assert_true(str_eq(same, cases[i].want));
    }
}

static void splits(void **state)
{
    static const struct {
        struct str field, first, rest;
    } cases[] = {
        {STR("text/html"), STR("text/html"), STR("")},
        {STR(" text/html\t"), STR("text/html"), STR("")},
        {STR("text/html ; a=b;c"), STR("text/html"), STR("; a=b;c")},
        {STR("form-data;"), STR("form-data"), STR(";")},
        {STR(";a=b"), STR(""), STR(";a=b")},
        {STR(""), STR(""), STR("")},
        {{NULL, 0}, STR(""), STR("")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str rest, first = params_split(cases[i].field, &rest);
        if (!str_eq(first, cases[i].first) || !str_eq(rest, cases[i].rest))
            fail_msg("\"%.*s\": \"%.*s\", \"%.*s\"", STR_ARG(cases[i].field), STR_ARG(first),
                     STR_ARG(rest));
    }
}

static void knows_json(void **state)
{
    static const struct {
        struct str field;
        bool json;
    } cases[] = {
        {STR("application/json"), true},
        {STR("Application/JSON; charset=utf-8"), true},
        {STR("application/json;"), true},
        {STR(" text/json ;x"), true},
        {STR("application/problem+json"), true},
        {STR("application/vnd.api+JSON; version=1"), true},
        {STR("a/b+json"), true},
        {STR("application/jsonp"), false},
        {STR("application/json-seq"), false},
        {STR("application/json, text/html"), false},
        {STR("application/+json"), false},
        {STR("/+json"), false},
        {STR("/a+json"), false},
        {STR("+json"), false},
        {STR("json"), false},
        {STR("a/b/c+json"), false},
        {STR("a b/c+json"), false},
        {STR("a/b c+json"), false},
        {STR("text/plain; x=application/json"), false},
        {STR("text/plain; x=a/b+json"), false},
        {STR(""), false},
        {{NULL, 0}, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (media_is_json(cases[i].field) != cases[i].json)
            fail_msg("\"%.*s\"", STR_ARG(cases[i].field));
}

static void compares_types(void **state)
{
    static const struct str form = STR("application/x-www-form-urlencoded");
    (void)state;
    assert_true(media_is(form, form));
    assert_true(media_is(STR("Application/X-WWW-Form-Urlencoded ; charset=utf-8"), form));
    assert_false(media_is(STR("application/x-www-form-urlencode"), form));
    assert_false(media_is(STR("application/x-www-form-urlencoded2"), form));
    assert_false(media_is(STR("text/plain; application/x-www-form-urlencoded"), form));
    assert_false(media_is((struct str){NULL, 0}, form));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_params), cmocka_unit_test(unquotes),       cmocka_unit_test(splits),
        cmocka_unit_test(knows_json),   cmocka_unit_test(compares_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Urlencoded forms: pieces, and decoding that never fails.
#include "http/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool needs_decode(struct str s)
{
    return str_find(s, '+') >= 0 || str_find(s, '%') >= 0;
}

// All pieces of a form as "[name|value]" one after another, still encoded.
static struct str pieces(struct str form, char *out, size_t cap)
{
    struct form_pair pair;
    size_t n = 0, count = form_count(form);
    while (form_next(&form, &pair)) {
        struct str name = pair.name, value = pair.value;
        count--;
        assert_int_equal(pair.name_coded, needs_decode(name));
        assert_int_equal(pair.value_coded, needs_decode(value));
        assert_true(n + name.n + value.n + 3 <= cap);
        out[n++] = '[';
        memcpy(out + n, name.p, name.n);
        n += name.n;
        out[n++] = '|';
        memcpy(out + n, value.p, value.n);
        n += value.n;
        out[n++] = ']';
    }
    assert_int_equal(count, 0);
    return str_of(out, n);
}

static void reads_pieces(void **state)
{
    static const struct {
        struct str form, want;
    } cases[] = {
        {STR("a=1&b=2"), STR("[a|1][b|2]")},
        {STR("a=1&a=2"), STR("[a|1][a|2]")},
        {STR("a"), STR("[a|]")},
        {STR("a&b="), STR("[a|][b|]")},
        {STR("=x&="), STR("[|x][|]")},
        {STR("a=b=c"), STR("[a|b=c]")},
        {STR("&&a=1&&"), STR("[a|1]")},
        {STR("a=1;b=2"), STR("[a|1;b=2]")},
        {STR("a%3D=%26"), STR("[a%3D|%26]")},
        {STR("=&="), STR("[|][|]")},
        {STR("a&a="), STR("[a|][a|]")},
        {STR("==="), STR("[|==]")},
        {STR("a==b&c=d="), STR("[a|=b][c|d=]")},
        {STR("a;b=c"), STR("[a;b|c]")},
        {STR(";&;=;"), STR("[;|][;|;]")},
        {STR("a%26b=c%3Dd"), STR("[a%26b|c%3Dd]")},
        {STR("a\0b=\0&\0"), STR("[a\0b|\0][\0|]")},
        {STR("\xff=\xc3&\xa9"), STR("[\xff|\xc3][\xa9|]")},
        {STR("%zz=%&%4"), STR("[%zz|%][%4|]")},
        {STR("+=+&a b= c "), STR("[+|+][a b| c ]")},
        {STR("a=1\r\nb=2"), STR("[a|1\r\nb=2]")},
        {STR("?a=1?"), STR("[?a|1?]")},
        {STR("a[]=1&a[]=2&a[b]=3"), STR("[a[]|1][a[]|2][a[b]|3]")},
        {STR("&"), STR("")},
        {STR(""), STR("")},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str got = pieces(cases[i].form, out, sizeof out);
        if (!str_eq(got, cases[i].want))
            fail_msg("\"%.*s\" gave %.*s", STR_ARG(cases[i].form), STR_ARG(got));
    }
    assert_int_equal(pieces((struct str){NULL, 0}, out, sizeof out).n, 0);
}

static void decodes(void **state)
{
    static const struct {
        struct str raw, want;
        bool needs;
    } cases[] = {
        {STR("abc"), STR("abc"), false},
        {STR(""), STR(""), false},
        {STR("a+b"), STR("a b"), true},
        {STR("a%20b%2B"), STR("a b+"), true},
        {STR("%c3%A9"), STR("\xc3\xa9"), true},
        {STR("%00"), STR("\0"), true},
        {STR("\xff+"), STR("\xff "), true},
        {STR("100%"), STR("100%"), true},
        {STR("%4"), STR("%4"), true},
        {STR("%zz%41"), STR("%zzA"), true},
        {STR("%%41"), STR("%A"), true},
        {STR("%4%41"), STR("%4A"), true},
        {STR("%2541"), STR("%41"), true},
        {STR("%+"), STR("% "), true},
        {STR("%"), STR("%"), true},
        {STR("%%"), STR("%%"), true},
        {STR("%%%"), STR("%%%"), true},
        {STR("%g1"), STR("%g1"), true},
        {STR("%1g"), STR("%1g"), true},
        {STR("% 1"), STR("% 1"), true},
        {STR("%+1"), STR("% 1"), true},
        {STR("%0x41"), STR("%0x41"), true},
        {STR("%u00e9"), STR("%u00e9"), true},
        {STR("%aF%Fa"), STR("\xaf\xfa"), true},
        {STR("%c3"), STR("\xc3"), true},
        {STR("%0d%0A"), STR("\r\n"), true},
        {STR("%2b+%2B"), STR("+ +"), true},
        {STR("+++"), STR("   "), true},
        {STR("\0%00\0"), STR("\0\0\0"), true},
        {STR("\xff\xfe"), STR("\xff\xfe"), false},
        {STR("a&b=c;d"), STR("a&b=c;d"), false},
        {STR("%26%3d"), STR("&="), true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str raw = cases[i].raw;
        char *dst = malloc(raw.n + !raw.n);
        struct str got = str_of(dst, form_decode(dst, raw));
        if (!str_eq(got, cases[i].want))
            fail_msg("\"%.*s\" gave \"%.*s\"", STR_ARG(raw), STR_ARG(got));
        assert_int_equal(needs_decode(raw), cases[i].needs);
        if (raw.n)
            memcpy(dst, raw.p, raw.n);
        got.n = form_decode(dst, str_of(dst, raw.n)); // in place
        assert_true(str_eq(got, cases[i].want));
        free(dst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pieces),
        cmocka_unit_test(decodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

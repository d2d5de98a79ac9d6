// Slices: tables of input and answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static const struct str nothing = {NULL, 0};

static void assert_str(struct str s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    if (s.n)
        assert_memory_equal(s.p, text, s.n);
}

static void equality(void **state)
{
    (void)state;
    assert_true(str_eq(STR("ab"), STR("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_eq(STR("ab"), STR("aB")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq(nothing, STR("")));
    assert_true(str_eq(str_z(NULL), nothing));
    assert_true(str_eq(str_z("z"), STR("z")));

    assert_true(str_ieq(STR("Content-Length"), STR("cONTENT-lENGTH")));
    assert_false(str_ieq(STR("a"), STR("ab")));
    assert_false(str_ieq(STR("@"), STR("`"))); // beside the letters, the same bit apart
    assert_false(str_ieq(STR("["), STR("{")));
    assert_false(str_ieq(STR("\xc4"), STR("\xe4"))); // letters are ASCII letters
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(str_order(STR("ab"), STR("b")) < 0 && str_order(STR("b"), STR("ab")) > 0);
    assert_true(str_order(STR("a"), STR("ab")) < 0 && str_order(STR("ab"), STR("a")) > 0);
    assert_true(str_order(STR("\xff"), STR("a")) > 0 && str_order(STR("a"), STR("a")) == 0);
    assert_true(str_starts(STR("unix:/a"), STR("unix:")));
    assert_false(str_starts(STR("uni"), STR("unix:")));
    assert_true(str_starts(nothing, STR("")));
    assert_true(str_ends(STR("a.html"), STR(".html")));
    assert_false(str_ends(STR("html"), STR(".html")));
    assert_true(str_ends(STR("x"), nothing));
    assert_int_equal(str_find(STR("a=b=c"), '='), 1);
    assert_int_equal(str_find(STR("abc"), '='), -1);
    assert_int_equal(str_find(nothing, '='), -1);
    assert_int_equal(str_find(str_of("ab=", 2), '='), -1);
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim(STR("\r\na")), "\r\na"); // not HTTP's optional whitespace
    assert_str(str_trim(nothing), "");
}

static void splitting(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *pieces[5]; // up to NULL
    } rows[] = {
        {"a,,b", {"a", "", "b"}}, {"a,", {"a", ""}}, {",", {"", ""}}, {"", {""}}, {"abc", {"abc"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str rest = str_z(rows[i].text), piece;
        for (int k = 0; rows[i].pieces[k]; k++) {
            assert_true(str_split(&rest, ',', &piece));
            assert_str(piece, rows[i].pieces[k]);
        }
        assert_false(str_split(&rest, ',', &piece));
    }
    struct str rest = nothing, piece;
    assert_false(str_split(&rest, ',', &piece));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1a", false, 0},
        {"\xb1", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t value = 0;
        assert_int_equal(str_to_u64(str_z(rows[i].text), &value), rows[i].ok);
        assert_true(value == rows[i].value);
    }
    static const char digits[] = "0123456789abcdef", capitals[] = "0123456789ABCDEF";
    for (int c = 0, good = 0; c < 256; c++) {
        const char *low = c ? strchr(digits, c) : NULL, *high = c ? strchr(capitals, c) : NULL;
        int expect = low ? (int)(low - digits) : high ? (int)(high - capitals) : -1;
        assert_int_equal(hex_value((unsigned char)c), expect);
        good += expect >= 0;
        if (c == 255)
            assert_int_equal(good, 22);
    }
}

static void percent_coding(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        ptrdiff_t n;
        const char *value;
    } rows[] = {
        {STR("plain"), 5, "plain"}, {STR("%41%2fb%2F"), 4, "A/b/"}, {STR("%00"), 1, "\0"},
        {STR("+"), 1, "+"},         {STR("%25%3"), -1, NULL},       {STR("a%"), -1, NULL},
        {STR("%4"), -1, NULL},      {STR("%g0"), -1, NULL},         {STR("%0g"), -1, NULL},
        {STR(""), 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[20];
        memcpy(out, rows[i].text.p, rows[i].text.n);
        ptrdiff_t n = pct_decode(out, str_of(out, rows[i].text.n)); // in place
        assert_int_equal(n, rows[i].n);
        if (n > 0)
            assert_memory_equal(out, rows[i].value, (size_t)n);
    }
}

static void percent_coding_of_anything(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *value, *form; // '+' as it is, and as a space
    } rows[] = {
        {STR("a%41+b"), "aA+b", "aA b"},
        {STR("%25%3"), "%%3", "%%3"},
        {STR("a%"), "a%", "a%"},
        {STR("%%41"), "%A", "%A"},
        {STR("%g0%0g"), "%g0%0g", "%g0%0g"},
        {STR("%2B"), "+", "+"},
        {STR(""), "", ""},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        char out[20] = {0};
        struct str text = rows[i / 2].text;
        memcpy(out, text.p, text.n);
        size_t n = pct_decode_any(out, str_of(out, text.n), i % 2 ? ' ' : '+'); // in place
        out[n] = '\0';
        assert_string_equal(out, i % 2 ? rows[i / 2].form : rows[i / 2].value);
    }
    assert_int_equal(pct_byte(STR("%fFx")), 255);
    assert_int_equal(pct_byte(STR("x%41")), -1);
    assert_int_equal(pct_byte(STR("%4")), -1);
}

static void lowering(void **state)
{
    (void)state;
    char out[] = "AZaz@[`{\xc4-9";
    ascii_lower(out, out, strlen(out));
    assert_string_equal(out, "azaz@[`{\xc4-9");
}

static int plain_lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

// Every pair of bytes, at every place of texts of up to 20 bytes.
static void letters_at_every_place(void **state)
{
    (void)state;
    char a[20], b[20], low[20];
    for (size_t n = 1; n <= sizeof a; n++) {
        memset(a, 'x', n);
        memset(b, 'X', n);
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                a[at] = (char)c;
                ascii_lower(low, a, n);
                assert_int_equal((unsigned char)low[at], plain_lower(c));
                assert_int_equal(low[n - 1 - at], n - 1 - at == at ? low[at] : 'x');
                for (int d = 0; d < 256; d++) {
                    b[at] = (char)d;
                    bool same = plain_lower(c) == plain_lower(d);
                    assert_int_equal(str_same_letters(a, b, n), same);
                }
            }
            a[at] = 'x';
            b[at] = 'X';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_at_every_place),
        cmocka_unit_test(equality),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(splitting),
        cmocka_unit_test(numbers),
        cmocka_unit_test(percent_coding),
        cmocka_unit_test(percent_coding_of_anything),
        cmocka_unit_test(lowering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

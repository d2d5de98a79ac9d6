// The tokens of JSON: tables of strings and numbers, each in a block of exactly its size, so that a
// read behind it is seen; then numbers against strtod, and where faults are said to be.
#include "script/json_scan.h"

#include "script/json_number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

// A scan of a copy of the text without a byte behind it; the copy is in->start.
static void begin(struct json_scan *in, struct str text)
{
    char *copy = malloc(text.n ? text.n : 1);
    memcpy(copy, text.p, text.n);
    json_scan_init(in, str_of(copy, text.n));
}

static void end(struct json_scan *in)
{
    free((char *)in->start);
}

static void expect_message(const struct json_scan *in, const char *want)
{
    char message[JSON_SCAN_MESSAGE];
    size_t n = json_scan_message(in, message);
    assert_string_equal(message, want);
    assert_int_equal(n, strlen(want));
}

// --- strings ---

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        struct str text, want;
    } cases[] = {
        {STR("\"\""), STR("")},
        {STR("\"a\""), STR("a")},
        {STR("\"seven77\""), STR("seven77")},
        {STR("\"eight888\""), STR("eight888")},
        {STR("\"a much longer string, of more than sixteen\""),
         STR("a much longer string, of more than sixteen")},
        {STR("\" ~\x7f\""), STR(" ~\x7f")},
        {STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t")},
        {STR("\"\\u0000\""), STR("\0")},
        {STR("\"\\u0041\\u007f\""), STR("A\x7f")},
        {STR("\"\\u0080\\u07ff\""), STR("\xc2\x80\xdf\xbf")},
        {STR("\"\\u0800\\uFfFf\""), STR("\xe0\xa0\x80\xef\xbf\xbf")},
        {STR("\"\\ud7ff\\ue000\""), STR("\xed\x9f\xbf\xee\x80\x80")},
        {STR("\"\\ud800\\udc00\""), STR("\xf0\x90\x80\x80")},
        {STR("\"\\uD83D\\uDE00!\""), STR("\xf0\x9f\x98\x80!")},
        {STR("\"\\udbff\\udfff\""), STR("\xf4\x8f\xbf\xbf")},
        {STR("\"\\\\u0041\""), STR("\\u0041")},
        {STR("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
         STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")},
        {STR("\"mixed \\n \xc3\xa9 and \\u00e9, then plain\""),
         STR("mixed \n \xc3\xa9 and \xc3\xa9, then plain")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_scan in;
        struct json_string s;
        begin(&in, cases[i].text);
        assert_true(json_scan_string(&in, &s));
        assert_ptr_equal(in.p, in.end);
        assert_int_equal(s.escaped, str_find(s.body, '\\') >= 0);
        char *got = malloc(s.body.n + !s.body.n); // no byte more than it may need
        size_t n = json_scan_unescape(got, s.body);
        assert_true(n <= s.body.n);
        assert_true(str_eq(str_of(got, n), cases[i].want));
        free(got);
        end(&in);
    }
}

#define ESCAPES "no escape begins like this: there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u"
#define CONTROL "a control character in a string, where it needs an escape"

static void test_bad_strings(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {STR("\""), "line 1, column 1: a string that is not closed"},
        {STR("\"abc"), "line 1, column 1: a string that is not closed"},
        {STR("\"abc\\\""), "line 1, column 1: a string that is not closed"},
        {STR("\"1234567890\n\""), "line 1, column 12: " CONTROL},
        {STR("\"\0\""), "line 1, column 2: " CONTROL},
        {STR("\"\t\""), "line 1, column 2: " CONTROL},
        {STR("\"\x1f\""), "line 1, column 2: " CONTROL},
        {STR("\"\\"), "line 1, column 2: " ESCAPES},
        {STR("\"\\\0\""), "line 1, column 2: " ESCAPES},
        {STR("\"\\a\""), "line 1, column 2: " ESCAPES},
        {STR("\"\\U0041\""), "line 1, column 2: " ESCAPES},
        {STR("\"\\x41\""), "line 1, column 2: " ESCAPES},
        {STR("\"\\\xc3\xa9\""), "line 1, column 2: " ESCAPES},
        {STR("\"\\u"), "line 1, column 2: \\u needs four hexadecimal digits"},
        {STR("\"\\u123"), "line 1, column 2: \\u needs four hexadecimal digits"},
        {STR("\"\\u123\""), "line 1, column 2: \\u needs four hexadecimal digits"},
        {STR("\"\\u00g0\""), "line 1, column 2: \\u needs four hexadecimal digits"},
        {STR("\"\\u+123\""), "line 1, column 2: \\u needs four hexadecimal digits"},
        {STR("\"\\ud800\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800"), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\udc00\\ud800\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800\\u0041\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800\\ud800\\udc00\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800\\udc0"), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800\\udc0x\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\\ud800\\ndc00\""), "line 1, column 2: half of a surrogate pair"},
        {STR("\"\xff\""), "line 1, column 2: not UTF-8"},
        {STR("\"\x80\""), "line 1, column 2: not UTF-8"},
        {STR("\"\xc0\xaf\""), "line 1, column 2: not UTF-8"},
        {STR("\"\xed\xa0\x80\""), "line 1, column 2: not UTF-8"},
        {STR("\"\xf4\x90\x80\x80\""), "line 1, column 2: not UTF-8"},
        {STR("\"\xe2\x82"), "line 1, column 2: not UTF-8"},
        // columns are characters
        {STR("\"\xc3\xa9\xf0\x9f\x98\x80x\xff\""), "line 1, column 5: not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_scan in;
        struct json_string s;
        begin(&in, cases[i].text);
        assert_false(json_scan_string(&in, &s));
        expect_message(&in, cases[i].want);
        end(&in);
    }
}

// Each byte at each place of a string up to 24 bytes, what is not plain found where it is.
static void test_every_byte_everywhere(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 1; n <= 24; n++)
            for (size_t at = 0; at < n; at++) {
                char text[26];
                struct json_scan in;
                struct json_string s;
                memset(text, 'x', sizeof text);
                text[0] = text[n + 1] = '"';
                text[1 + at] = (char)c;
                begin(&in, str_of(text, n + 2));
                bool plain = c >= 0x20 && c < 0x80 && c != '\\';
                bool escapes_the_end = c == '\\' && at == n - 1;
                assert_int_equal(json_scan_string(&in, &s), plain);
                if (plain)
                    assert_int_equal(s.body.n, c == '"' ? at : n);
                else
                    assert_int_equal(in.at - in.start, escapes_the_end ? 0 : 1 + at);
                end(&in);
            }
}

// --- numbers ---

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        int64_t want;
    } cases[] = {
        {STR("0"), 0},
        {STR("-0"), 0},
        {STR("7"), 7},
        {STR("-10"), -10},
        {STR("9007199254740993"), 9007199254740993},
        {STR("999999999999999999"), 999999999999999999},
        {STR("9223372036854775807"), INT64_MAX},
        {STR("-9223372036854775807"), -INT64_MAX},
        {STR("-9223372036854775808"), INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_scan in;
        struct json_number n;
        begin(&in, cases[i].text);
        assert_true(json_scan_number(&in, &n));
        assert_ptr_equal(in.p, in.end);
        assert_true(n.integral && n.integer == cases[i].want);
        end(&in);
    }
}

static void expect_real(struct str text, double want)
{
    struct json_scan in;
    struct json_number n;
    begin(&in, text);
    assert_true(json_scan_number(&in, &n));
    assert_ptr_equal(in.p, in.end);
    assert_false(n.integral);
    if (n.real != want || signbit(n.real) != signbit(want))
        fail_msg("%.*s gave %.17g, want %.17g", STR_ARG(text), n.real, want);
    end(&in);
}

static void test_reals(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        double want;
    } cases[] = {
        {STR("0.0"), 0.0},
        {STR("-0.0"), -0.0},
        {STR("-0e5"), -0.0},
        {STR("0e999999999999999999999999"), 0.0},
        {STR("1.5"), 1.5},
        {STR("-2.50"), -2.5},
        {STR("1e3"), 1000},
        {STR("1E+3"), 1000},
        {STR("1e00000000000000000000003"), 1000},
        {STR("125e-2"), 1.25},
        {STR("0.1"), 0.1},
        {STR("0.30000000000000004"), 0.30000000000000004},
        {STR("3.141592653589793"), 3.141592653589793},
        {STR("9223372036854775808"), 0x1p63},
        {STR("-9223372036854775809"), -0x1p63},
        {STR("18446744073709551616"), 0x1p64},
        {STR("10000000000000000000000"), 1e22},
        {STR("123456789012345678901234567890"), 123456789012345678901234567890.0},
        {STR("1e22"), 1e22},
        {STR("1e23"), 1e23},
        {STR("8.5e-23"), 8.5e-23},
        {STR("1.7976931348623157e308"), DBL_MAX},
        {STR("1.7976931348623158079372897e308"), DBL_MAX}, // below the last tie
        {STR("2.2250738585072014e-308"), DBL_MIN},
        {STR("2.2250738585072011e-308"), 2.2250738585072011e-308},
        {STR("5e-324"), 0x1p-1074},
        {STR("2.4703282292062327e-324"), 0.0},
        {STR("2.4703282292062328e-324"), 0x1p-1074},
        {STR("1e-400"), 0.0},
        {STR("-1e-999999999999999999999"), -0.0},
        // ties, and what is just beside them
        {STR("9007199254740993.0"), 9007199254740992},
        {STR("9007199254740993.00000000000000000000000000001"), 9007199254740994},
        {STR("9007199254740992.99999999999999999999999999999"), 9007199254740992},
        {STR("9007199254740995e0"), 9007199254740996},
        {STR("0.500000000000000166533453693773481063544750213623046875"), 0.5000000000000002},
        {STR("1.00000000000000011102230246251565404236316680908203125"), 1.0},
        {STR("1.00000000000000011102230246251565404236316680908203124"), 1.0},
        {STR("1.00000000000000011102230246251565404236316680908203126"), 1.0000000000000002},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_real(cases[i].text, cases[i].want);
}

// More digits than are kept decide a tie all the same, and a point far away is found.
static void test_long_numbers(void **state)
{
    (void)state;
    static char text[5000];
    for (size_t zeros = 1; zeros < 3000; zeros += 97) {
        int n = sprintf(text, "9007199254740993.%0*d", (int)zeros, 0);
        expect_real(str_of(text, (size_t)n), 9007199254740992);
        text[n++] = '1';
        expect_real(str_of(text, (size_t)n), 9007199254740994);
        n = sprintf(text, "0.%0*d15e%d", (int)zeros, 0, (int)zeros + 2);
        expect_real(str_of(text, (size_t)n), 15);
        n = sprintf(text, "25%0*de-%d", (int)zeros, 0, (int)zeros + 1);
        expect_real(str_of(text, (size_t)n), 2.5);
    }
}

static void test_bad_numbers(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {STR("-"), "line 1, column 2: a digit expected, but the text ends"},
        {STR("-x"), "line 1, column 2: a digit expected, not 'x'"},
        {STR("- 1"), "line 1, column 2: a digit expected, not a space"},
        {STR("-'"), "line 1, column 2: a digit expected, not a single quote"},
        {STR("-\n1"), "line 1, column 2: a digit expected, not the byte 0x0a"},
        {STR("--1"), "line 1, column 2: a digit expected, not '-'"},
        {STR("-.5"), "line 1, column 2: a digit expected, not '.'"},
        {STR("00"), "line 1, column 1: a number with a leading zero"},
        {STR("-01"), "line 1, column 2: a number with a leading zero"},
        {STR("01.5"), "line 1, column 1: a number with a leading zero"},
        {STR("1."), "line 1, column 3: a digit expected, but the text ends"},
        {STR("1.e5"), "line 1, column 3: a digit expected, not 'e'"},
        {STR("1e"), "line 1, column 3: a digit expected, but the text ends"},
        {STR("1e+"), "line 1, column 4: a digit expected, but the text ends"},
        {STR("1E-x"), "line 1, column 4: a digit expected, not 'x'"},
        {STR("1e1000"), "line 1, column 1: a number too large for a float"},
        {STR("-1e309"), "line 1, column 1: a number too large for a float"},
        {STR("1.7976931348623159e308"), "line 1, column 1: a number too large for a float"},
        {STR("1e99999999999999999999"), "line 1, column 1: a number too large for a float"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_scan in;
        struct json_number n;
        begin(&in, cases[i].text);
        assert_false(json_scan_number(&in, &n));
        expect_message(&in, cases[i].want);
        end(&in);
    }
}

static void expect_as_strtod(const char *text)
{
    expect_real(str_z(text), strtod(text, NULL));
}

static void test_reals_as_strtod(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 30000; i++) {
        char text[100];
        double any;
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        memcpy(&any, &seed, sizeof any);
        for (int precision = 14; isfinite(any) && precision <= 20; precision++) {
            sprintf(text, "%.*e", precision, any);
            if (isfinite(strtod(text, NULL)))
                expect_as_strtod(text);
        }
        for (int e = -30; e <= 30; e++) {
            sprintf(text, "%llue%d", (unsigned long long)(seed >> (i % 64)), e);
            expect_as_strtod(text);
        }
        sprintf(text, "%.17g", (double)(seed >> 11) * 0x1p-53);
        expect_as_strtod(text);
    }
}

// Halfway between two neighbours, exactly: the one whose last bit is 0.
static void test_ties(void **state)
{
    (void)state;
    for (int bits = 0; bits <= 9; bits++)
        for (uint64_t odd = 1; odd < 200; odd += 2) {
            char text[64];
            uint64_t half = ((uint64_t)1 << 53) + odd; // one bit more than a double has
            uint64_t below = half - 1, above = half + 1;
            uint64_t even = below / 2 % 2 == 0 ? below : above;
            snprintf(text, sizeof text, "%llu.0", (unsigned long long)(half << bits));
            expect_real(str_z(text), (double)even * (double)((uint64_t)1 << bits));
        }
}

static void test_numbers_in_another_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "de_DE"};
    bool any = false;
    for (size_t i = 0; i < COUNT(names); i++)
        if (setlocale(LC_NUMERIC, names[i])) {
            any = true;
            expect_real(STR("1.25"), 1.25);
            expect_real(STR("1.2345678901234567890123"), 1.2345678901234567890123);
        }
    setlocale(LC_NUMERIC, "C");
    if (!any)
        expect_real(STR("1.25"), 1.25);
}

// What the short ways do not take, they say so of.
static void test_small_numbers_only(void **state)
{
    (void)state;
    double v = 0;
    assert_true(json_number_small(3, 22, &v) && v == 3e22);
    assert_true(json_number_small(0, -22, &v) && v == 0);
    assert_true(json_number_small(UINT64_MAX, 27, &v) && v == 18446744073709551615e27);
    assert_true(json_number_small(UINT64_MAX, -27, &v) && v == 18446744073709551615e-27);
    assert_true(json_number_small(1, -27, &v) && v == 1e-27);
    assert_false(json_number_small(0, -23, &v));
    assert_false(json_number_small(1, 28, &v));
    assert_false(json_number_small(1, -28, &v));
    assert_false(json_number_small(1, INT64_MIN, &v));
    assert_false(json_number_small(1, INT64_MAX, &v));
}

// --- the rest ---

static void test_words_and_the_end(void **state)
{
    (void)state;
    struct json_scan in;
    begin(&in, STR(" \t\r\ntrue \n "));
    assert_int_equal(json_scan_peek(&in), 't');
    assert_true(json_scan_word(&in, STR("true")));
    assert_true(json_scan_end(&in));
    assert_int_equal(json_scan_peek(&in), -1);
    end(&in);

    begin(&in, STR("nul"));
    assert_false(json_scan_word(&in, STR("null")));
    expect_message(&in, "line 1, column 1: the words of JSON are true, false and null");
    end(&in);

    begin(&in, STR("\n\r\n\x0b"));
    assert_false(json_scan_end(&in));
    expect_message(&in, "line 3, column 1: the end of the text expected, not the byte 0x0b");
    end(&in);

    json_scan_init(&in, str_of(NULL, 0));
    assert_int_equal(json_scan_peek(&in), -1);
    assert_false(json_scan_expected(&in, "a value"));
    expect_message(&in, "line 1, column 1: a value expected, but the text ends");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bad_strings),
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_long_numbers),
        cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_reals_as_strtod),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_numbers_in_another_locale),
        cmocka_unit_test(test_small_numbers_only),
        cmocka_unit_test(test_words_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

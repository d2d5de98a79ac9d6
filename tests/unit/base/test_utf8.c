// UTF-8 against a decoder that computes code points: every sequence of one to three bytes, and all
// second bytes of four.
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// The length of the character that p begins with, 0 for none: lengths first, then the value's
// range.
static int reference(const unsigned char *p, size_t n)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80       ? 1
                 : p[0] >> 5 == 6  ? 2
                 : p[0] >> 4 == 14 ? 3
                 : p[0] >> 3 == 30 ? 4
                                   : 0;
    if (len == 0 || len > n)
        return 0;
    unsigned v = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        v = v << 6 | (p[i] & 0x3f);
    }
    return v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : (int)len;
}

static void agree(const unsigned char *p, size_t n)
{
    int got = utf8_step((const char *)p, n), want = reference(p, n);
    if (want > 0 ? got != want : got >= 0)
        fail_msg("%02x %02x %02x %02x of %zu: %d", p[0], p[1], p[2], p[3], n, got);
}

static void test_every_sequence(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1 << 24; v++) {
        unsigned char p[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v,
                              0xbf};
        agree(p, 4);
        if ((v & 0xff) == 0)
            agree(p, 2);
        if ((v & 0xffff) == 0)
            agree(p, 1);
        agree(p, 3);
    }
}

// Unicode 3.9, tables 3-8 to 3-11, and the ends of strings.
static void test_maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        struct str s;
        int step;
    } cases[] = {
        {STR("\xc0\xaf"), -1},     {STR("\xe0\x80\xbf"), -1}, {STR("\xf0\x81\x82\x41"), -1},
        {STR("\xed\xa0\x80"), -1}, {STR("\xed\xbf\xbf"), -1}, {STR("\xf4\x91\x92\x93"), -1},
        {STR("\xff"), -1},         {STR("\x80\xbf"), -1},     {STR("\xe1\x80\xe2"), -2},
        {STR("\xf0\x91\x92"), -3}, {STR("\xf1\xbf\x41"), -2}, {STR("\xe2\x82"), -2},
        {STR("\xc3"), -1},         {STR("\xc3\x28"), -1},     {STR("\xf4\x8f\xbf\xbf"), 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_step(cases[i].s.p, cases[i].s.n), cases[i].step);
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid(STR("")));
    assert_true(utf8_valid(STR("a\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    assert_false(utf8_valid(STR("abc\xf0\x9f\x98")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sequence),
        cmocka_unit_test(test_maximal_subparts),
        cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

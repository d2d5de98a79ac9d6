// Base64: the vectors of RFC 4648 §10, and what a strict decoder refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

static const struct {
    struct str bytes;
    const char *standard, *url;
} vectors[] = {
    {STR(""), "", ""},
    {STR("f"), "Zg==", "Zg"},
    {STR("fo"), "Zm8=", "Zm8"},
    {STR("foo"), "Zm9v", "Zm9v"},
    {STR("foob"), "Zm9vYg==", "Zm9vYg"},
    {STR("fooba"), "Zm9vYmE=", "Zm9vYmE"},
    {STR("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
    {STR("\0\0\0\0"), "AAAAAA==", "AAAAAA"},
    {STR("\xff\xff\xff\xff"), "/////w==", "_____w"},
    {STR("\xfb\xef\xbe"), "++++", "----"},
    {STR("\x14\xfb\x9c\x03\xd9\x7e"), "FPucA9l+", "FPucA9l-"}, // of RFC 1521 and RFC 4648 §9
};

static void assert_both_ways(struct str bytes, const char *text, enum base64_form form)
{
    char encoded[64], decoded[64];
    assert_int_equal(base64_length(bytes.n, form), strlen(text));
    size_t n = base64_encode(encoded, bytes, form);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(encoded, text, n);
    assert_int_equal(base64_decode(decoded, str_z(text), form), bytes.n);
    assert_memory_equal(decoded, bytes.p, bytes.n);
}

static void vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        assert_both_ways(vectors[i].bytes, vectors[i].standard, BASE64_STANDARD);
        assert_both_ways(vectors[i].bytes, vectors[i].url, BASE64_URL);
    }
    assert_both_ways(STR("\xfb\xef\xbe\xff"), "++++/w", BASE64_BARE);
}

static void says_which_byte_is_wrong(void **state)
{
    static const struct {
        struct str text;
        enum base64_form form;
        ptrdiff_t position;
    } rows[] = {
        {STR("Zg"), BASE64_STANDARD, 2}, // padding is missing
        {STR("Zg="), BASE64_STANDARD, 2},     {STR("Zg==="), BASE64_STANDARD, 2},
        {STR("Z==="), BASE64_STANDARD, 1},    {STR("===="), BASE64_STANDARD, 0},
        {STR("="), BASE64_STANDARD, 0},       {STR("Zg==Zg=="), BASE64_STANDARD, 2},
        {STR("Zg=g"), BASE64_STANDARD, 2},    {STR("Zh=="), BASE64_STANDARD, 1}, // bits left over
        {STR("Zm9="), BASE64_STANDARD, 2},    {STR("Zm9v\n"), BASE64_STANDARD, 4},
        {STR("Zm9v "), BASE64_STANDARD, 4},   {STR("Zm\0v"), BASE64_STANDARD, 2},
        {STR("Zm9\xc3"), BASE64_STANDARD, 3}, {STR("----"), BASE64_STANDARD, 0},
        {STR("Zm9vY"), BASE64_STANDARD, 5},   {STR("Zg=="), BASE64_URL, 2},
        {STR("++++"), BASE64_URL, 0},         {STR("Zm9vY"), BASE64_URL, 5},
        {STR("Zh"), BASE64_URL, 1},           {STR("Zg=="), BASE64_BARE, 2},
        {STR("_w"), BASE64_BARE, 0},
    };
    char dst[16];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ptrdiff_t got = base64_decode(dst, rows[i].text, rows[i].form);
        if (got != -1 - rows[i].position)
            fail_msg("%.*s gave %td", STR_ARG(rows[i].text), got);
    }
}

static void decodes_in_place(void **state)
{
    (void)state;
    char text[] = "Zm9vYmFy";
    assert_int_equal(base64_decode(text, str_of(text, 8), BASE64_URL), 6);
    assert_memory_equal(text, "foobar", 6);
    assert_int_equal(base64_decode(NULL, (struct str){NULL, 0}, BASE64_URL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_both_ways),
        cmocka_unit_test(says_which_byte_is_wrong),
        cmocka_unit_test(decodes_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

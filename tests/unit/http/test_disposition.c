// Content-Disposition: names that are plain, and those that are not.
#include "http/disposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    struct str name;
    const char *value;
} cases[] = {
    {STR("report.pdf"), "attachment; filename=\"report.pdf\""},
    {STR("my report.pdf"), "attachment; filename=\"my report.pdf\""},
    {STR(""), "attachment"},
    {STR("a\"b.txt"), "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"},
    {STR("a\\b/c%41"), "attachment; filename=\"a_b_c_41\"; filename*=UTF-8''a%5Cb%2Fc%2541"},
    {STR("h\xc3\xa4user.txt"),
     "attachment; filename=\"h_user.txt\"; filename*=UTF-8''h%C3%A4user.txt"},
    {STR("\xe6\x97\xa5\xe6\x9c\xac"),
     "attachment; filename=\"_\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"},
    {STR("a\r\nSet-Cookie: x"),
     "attachment; filename=\"a__Set-Cookie: x\"; filename*=UTF-8''a__Set-Cookie%3A%20x"},
    {STR("a\0b"), "attachment; filename=\"a_b\"; filename*=UTF-8''a_b"},
    {STR("latin\xe4.txt"), "attachment; filename=\"latin_.txt\""}, // not UTF-8: no true name
    {STR("'();*"), "attachment; filename=\"'();*\""},
    {STR("\x7f"), "attachment; filename=\"_\"; filename*=UTF-8''_"},
};

static void test_names(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64 * 1024);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str value = disposition_attachment(cases[i].name, &a);
        char text[256] = "";
        assert_true(value.n < sizeof text);
        memcpy(text, value.p, value.n);
        assert_string_equal(text, cases[i].value);
    }
    arena_fini(&a);
}

static void test_without_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 8);
    assert_null(disposition_attachment(STR("a long name.txt"), &a).p);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

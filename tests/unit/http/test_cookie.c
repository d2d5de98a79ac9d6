// Cookie pairs: what is taken and what is skipped.
#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

// All pairs of a field as "[name|value]" one after another.
static struct str pairs(struct str field, char *out, size_t cap)
{
    struct str name, value;
    size_t n = 0;
    while (cookie_next(&field, &name, &value)) {
        assert_true(n + name.n + value.n + 3 <= cap);
        out[n++] = '[';
        memcpy(out + n, name.p, name.n);
        n += name.n;
        out[n++] = '|';
        memcpy(out + n, value.p, value.n);
        n += value.n;
        out[n++] = ']';
    }
    return str_of(out, n);
}

static void reads_pairs(void **state)
{
    static const struct {
        struct str field, want;
    } cases[] = {
        {STR("a=1"), STR("[a|1]")},
        {STR("a=1; b=2"), STR("[a|1][b|2]")},
        {STR("a=1;b=2;"), STR("[a|1][b|2]")},
        {STR("a=1; a=2"), STR("[a|1][a|2]")},
        {STR(" \ta = 1 2\t; b="), STR("[a|1 2][b|]")},
        {STR("a=x=y=="), STR("[a|x=y==]")},
        {STR("a=\"q\"; b=\"\"; c=\"; d=\"x; e=\"\"y\"\""), STR("[a|q][b|][c|\"][d|\"x][e|\"y\"]")},
        {STR("a=\" b \""), STR("[a| b ]")},
        {STR("flag; =x; a b=1; (=2; ok=3"), STR("[ok|3]")},
        {STR("a=1, b=2"), STR("[a|1, b=2]")},
        {STR("a=b=c; d==; e"), STR("[a|b=c][d|=]")},
        {STR("a=x\"; b=x\"y; c=\"x\"y; d=\"\"\""), STR("[a|x\"][b|x\"y][c|\"x\"y][d|\"]")},
        {STR("a=\"x;y\"; b=1"), STR("[a|\"x][b|1]")}, // quotes do not hide a ";"
        {STR("a=\"x\\\"y\""), STR("[a|x\\\"y]")},     // nor do backslashes mean anything
        {STR("a= \" x \" "), STR("[a| x ]")},
        {STR("a =1;b\t=2; =3;\t=4; \"\"=5"), STR("[a|1][b|2]")},
        {STR("a=1;a=;a"), STR("[a|1][a|]")},
        {STR("A=1; a=2"), STR("[A|1][a|2]")},
        {STR("__Host-a=1; __Secure-b=2"), STR("[__Host-a|1][__Secure-b|2]")},
        {STR("a[b]=1; a:b=2; a@b=3; a,b=4; \"a\"=5; c=6"), STR("[c|6]")},
        {STR("\xc3\xa9=1; a=\xff\x80"), STR("[a|\xff\x80]")},
        {STR("a=%20+%zz"), STR("[a|%20+%zz]")}, // as it is
        {STR("a=1\0; \0=2; b=3"), STR("[a|1\0][b|3]")},
        {STR("$Version=\"1\"; a=\"x\"; $Path=\"/\""), STR("[$Version|1][a|x][$Path|/]")},
        {STR("a={\"x\":1,\"y\":[2]}; b=c d"), STR("[a|{\"x\":1,\"y\":[2]}][b|c d]")},
        {STR("a"), STR("")},
        {STR("="), STR("")},
        {STR("$Version=1"), STR("[$Version|1]")},
        {STR("n=\xc3\xa9"), STR("[n|\xc3\xa9]")},
        {STR(";; ;"), STR("")},
        {STR(""), STR("")},
    };
    char out[128];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str got = pairs(cases[i].field, out, sizeof out);
        if (!str_eq(got, cases[i].want))
            fail_msg("\"%.*s\" gave %.*s", STR_ARG(cases[i].field), STR_ARG(got));
    }
    assert_int_equal(pairs((struct str){NULL, 0}, out, sizeof out).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

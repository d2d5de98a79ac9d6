// Text of others for a terminal: what stays, and what becomes a question mark.
#include "base/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the above
#include <cmocka.h>

static void expect(struct str text, const char *want)
{
    char *got = NULL;
    size_t n;
    FILE *out = open_memstream(&got, &n);
    assert_non_null(out);
    plain_write(out, text);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(got, want);
    free(got);
}

static void text_stays(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "site         /srv/x\n\tok ~\n", "Gr\u00fc\u00dfe \u20ac \U0001F319 \u05d0\u200f\u05d1",
        "\u00a0\u2027\u202f\u2065\u206a", // beside what is replaced
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(str_z(rows[i]), rows[i]);
}

static void commands_and_deceit_do_not(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } rows[] = {
        {STR("a\x1b[2Jb"), "a?[2Jb"},
        {STR("\0\x01\x08\x0b\x0c\r\x1f\x7f"), "????????"},
        {STR("\xc2\x80\xc2\x9b"
             "31m\xc2\x9f"),
         "??31m?"},
        {STR("\x9b"
             "31m"),
         "?31m"},                               // a bare one
        {STR("a\xc3"), "a?"},                   // cut
        {STR("\xe2\x82"), "?"},                 // one maximal piece
        {STR("\xc1\x9b\xed\xa0\x80"), "?????"}, // overlong, a surrogate
        {STR("\xf4\x90\x80\x80"), "????"},
        {STR("\xc3\x1b["), "??["}, // no sequence swallows what follows
        {STR("x\xe2\x80\xa8y\xe2\x80\xa9z"), "x?y?z"},
        {STR("\xe2\x80\xaa\xe2\x80\xae \xe2\x81\xa6\xe2\x81\xa9"), "?? ??"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].text, rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays),
        cmocka_unit_test(commands_and_deceit_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The system's table of media types: what is read, what is skipped, and how it joins ours.
#include "content/mime.h"
#include "content/mime_system.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/lunette-types-XXXXXX";

static int write_table(const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return mime_system_load(path);
}

static int enter(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int leave(void **state)
{
    (void)state;
    mime_system_unload();
    return unlink(path);
}

static void expect(const char *extension, const char *type)
{
    struct str got = mime_system_type(str_z(extension));
    if (type ? !str_eq(got, str_z(type)) : got.p != NULL)
        fail_msg("%s: %.*s, not %s", extension, STR_ARG(got), type ? type : "nothing");
}

static void lines(void **state)
{
    (void)state;
    static const char text[] = "# comment\n"
                               "\n"
                               "application/x-one\tone ONE2   three\r\n"
                               "text/X-Two  two # but-not-this\n"
                               "application/x-none\n"
                               "no-type nope\n"
                               "a/b/c bad\n"
                               "a/ bad\n"
                               "/a bad\n"
                               "a/\"x\" bad\n"
                               "text/x; bad\n"
                               "x/y a.b toolongtoolongto \xff ok\n"
                               "x/z ok one\n"
                               "text/last last";
    assert_int_equal(write_table(text, sizeof text - 1), 0);
    expect("one", "application/x-one");
    expect("one2", "application/x-one");
    expect("three", "application/x-one");
    expect("two", "text/x-two; charset=utf-8");
    expect("ok", "x/y");
    expect("last", "text/last; charset=utf-8");
    static const char *const none[] = {"but-not-this", "nope", "bad", "a.b", "", "on", "onee", "#"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        expect(none[i], NULL);
    size_t n = 0;
    for (struct str e, t; mime_system_at(n, &e, &t); n++)
        assert_true(e.n && t.n);
    assert_int_equal(n, 6);
}

static void ours_wins(void **state)
{
    (void)state;
    struct str list[MIME_EXTENSIONS];
    static const char text[] = "application/x-evil html css\nimage/jpeg jpeg jpe\ntext/x-new new\n";
    assert_int_equal(write_table(text, sizeof text - 1), 0);
    assert_true(str_eq(mime_by_name(STR("a.html")), STR("text/html; charset=utf-8")));
    assert_true(str_eq(mime_by_name(STR("a.NEW")), STR("text/x-new; charset=utf-8")));
    assert_true(str_eq(mime_known(STR("a.jpe")), STR("image/jpeg")));
    assert_null(mime_known(STR("a.nope")).p);
    assert_null(mime_known(STR("noextension")).p);
    assert_int_equal(mime_extensions(STR("image/jpeg"), list), 4);
    assert_true(str_eq(list[0], STR("jpg")) && str_eq(list[3], STR("jpe")));
    assert_int_equal(mime_extensions(STR("text/x-new"), list), 1);
    assert_int_equal(mime_extensions(STR("application/x-evil"), list), 0);
}

static void what_is_no_table(void **state)
{
    (void)state;
    char *large = malloc(MIME_SYSTEM_BYTES + 1);
    memset(large, 'a', MIME_SYSTEM_BYTES + 1);
    memcpy(large, "x/y z\n", 6);
    assert_int_equal(write_table(large, MIME_SYSTEM_BYTES + 1), -EFBIG);
    expect("z", NULL);
    assert_int_equal(write_table(large, MIME_SYSTEM_BYTES), 0);
    expect("z", "x/y");
    free(large);
    assert_int_equal(mime_system_load("/tmp"), -EINVAL);
    assert_int_equal(mime_system_load("/dev/zero"), -EINVAL);
    assert_int_equal(mime_system_load("/nowhere/at/all"), -ENOENT);
    expect("z", NULL);
    assert_int_equal(write_table("", 0), 0);
    expect("z", NULL);
    static const char zeros[] = "x/y a\0b c\0\n\0\0\nx/z d\n"; // a NUL is in no name
    assert_int_equal(write_table(zeros, sizeof zeros - 1), 0);
    expect("d", "x/z");
    expect("a", NULL);
}

// As dense as it gets: what is set aside by the length of the text is enough.
static void the_densest_table(void **state)
{
    (void)state;
    static char text[64 * 1024];
    size_t n = 0;
    while (n + 16 < sizeof text / 2)
        n += (size_t)sprintf(text + n, "text/%c %c\n", 'a' + (int)(n % 26), 'a' + (int)(n % 25));
    n += (size_t)sprintf(text + n, "text/z");
    while (n + 2 < sizeof text)
        n += (size_t)sprintf(text + n, " %c", 'a' + (int)(n % 26));
    assert_int_equal(write_table(text, n), 0);
    expect("a", mime_system_type(STR("a")).p ? "text/a; charset=utf-8" : NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(ours_wins),
        cmocka_unit_test(what_is_no_table),
        cmocka_unit_test(the_densest_table),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

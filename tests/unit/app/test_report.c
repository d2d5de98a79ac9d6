// Why scripts cannot be loaded, written by one process and shown by another.
#include "app/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf shown;

static int file(void)
{
    int fd = memfd_create("report", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static const char *text(void)
{
    assert_true(buf_addc(&shown, '\0'));
    return shown.p;
}

static void html_is_shown_as_it_is_and_text_is_escaped(void **state)
{
    (void)state;
    int html = file(), plain = file();
    assert_int_equal(report_write(html, STR("<main>a</main>"), STR("not used")), 0);
    assert_int_equal(report_read(html, &shown), 0);
    assert_string_equal(text(), "<main>a</main>");
    buf_clear(&shown);
    assert_int_equal(report_write(plain, STR(""), STR("config.lua:1: \"<b>\" & 'c'\n> 1 | x")), 0);
    assert_int_equal(report_read(plain, &shown), 0);
    assert_non_null(
        strstr(text(), "config.lua:1: &quot;&lt;b&gt;&quot; &amp; &#39;c&#39;\n&gt; 1 | x</pre>"));
    assert_null(strstr(shown.p, "<b>"));
    close(html);
    close(plain);
}

static void other_bytes_are_none(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "H", "T", "x<b>", "<main>"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = file();
        assert_int_equal(write(fd, cases[i], strlen(cases[i])), strlen(cases[i]));
        assert_int_equal(report_read(fd, &shown), -EPROTO);
        assert_int_equal(shown.n, 0);
        close(fd);
    }
    assert_int_equal(report_read(-1, &shown), -EBADF);
}

static void what_is_too_large_is_said_so(void **state)
{
    (void)state;
    char *large = malloc(REPORT_MAX);
    int fd = file();
    memset(large, '<', REPORT_MAX);
    assert_int_equal(report_write(fd, str_of(large, REPORT_MAX), STR("")), -ENOMEM);
    assert_int_equal(report_write(fd, STR(""), str_of(large, REPORT_MAX - 1)), 0);
    assert_int_equal(report_read(fd, &shown), -ENOMEM); // escaped, it has no room
    close(fd);
    free(large);
}

static int setup(void **state)
{
    (void)state;
    buf_init(&shown, REPORT_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&shown);
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(html_is_shown_as_it_is_and_text_is_escaped),
        TEST(other_bytes_are_none),
        TEST(what_is_too_large_is_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Shortcuts: a method and a path together, and never too many of them.
#include "script/shortcut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct shortcuts s;

static int setup(void **state)
{
    (void)state;
    return shortcuts_init(&s) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    shortcuts_fini(&s);
    return 0;
}

static void of_one_method(void **state)
{
    (void)state;
    assert_false(shortcuts_have(&s, HTTP_GET, STR("/a.css")));
    shortcuts_add(&s, HTTP_GET, STR("/a.css"));
    shortcuts_add(&s, HTTP_GET, STR("/a.css"));
    assert_true(shortcuts_have(&s, HTTP_GET, STR("/a.css")));
    assert_false(shortcuts_have(&s, HTTP_HEAD, STR("/a.css")));
    assert_false(shortcuts_have(&s, HTTP_GET, STR("/a.cs")));
    assert_false(shortcuts_have(&s, HTTP_GET, STR("/a.css/")));
    assert_int_equal(s.map.count, 1);
}

static void of_paths_that_are_not_too_long(void **state)
{
    (void)state;
    char path[SHORTCUT_PATH_MAX + 1];
    memset(path, 'x', sizeof path);
    for (size_t more = 0; more < 2; more++) {
        struct str p = str_of(path, SHORTCUT_PATH_MAX + more);
        shortcuts_add(&s, HTTP_GET, p);
        assert_int_equal(shortcuts_have(&s, HTTP_GET, p), more == 0);
    }
}

static void so_many_and_then_from_the_start(void **state)
{
    (void)state;
    char path[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SHORTCUTS_MAX; i++) {
            int n = snprintf(path, sizeof path, "/%d/%d", round, i);
            shortcuts_add(&s, HTTP_GET, str_of(path, (size_t)n));
            assert_true(shortcuts_have(&s, HTTP_GET, str_of(path, (size_t)n)));
            assert_int_equal(s.map.count, i + 1);
        }
    }
    assert_false(shortcuts_have(&s, HTTP_GET, STR("/1/5")));
    assert_true(shortcuts_have(&s, HTTP_GET, STR("/2/5")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_one_method, setup, teardown),
        cmocka_unit_test_setup_teardown(of_paths_that_are_not_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_and_then_from_the_start, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

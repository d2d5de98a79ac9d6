// What may be reached: whole components, rights that add up, links, names that are not there yet.
#include "base/reach.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char top[PATH_MAX], path[PATH_MAX];

static const char *in(const char *name)
{
    snprintf(path, sizeof path, "%.4000s/%s", top, name);
    return path;
}

static int setup(void **state)
{
    char made[] = "/tmp/test_reach_XXXXXX";
    (void)state;
    return mkdtemp(made) && realpath(made, top) && mkdir(in("a"), 0755) == 0 &&
                   mkdir(in("ab"), 0755) == 0 && symlink("a", in("link")) == 0
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(in("link")) | rmdir(in("a")) | rmdir(in("ab")) | rmdir(top);
}

static void test_rights_hold_beneath_whole_components(void **state)
{
    struct reach r;
    (void)state;
    reach_init(&r);
    assert_int_equal(reach_add(&r, in("a"), REACH_READ), 0);
    assert_true(reach_allows(&r, in("a"), REACH_READ));
    assert_true(reach_allows(&r, in("a/x/y"), REACH_READ));
    assert_false(reach_allows(&r, in("ab"), REACH_READ));
    assert_false(reach_allows(&r, top, REACH_READ));
    assert_false(reach_allows(&r, in("a/x"), REACH_WRITE));
    assert_false(reach_allows(&r, in("a/x"), REACH_READ | REACH_WRITE));
    assert_int_equal(reach_add(&r, top, REACH_WRITE), 0);
    assert_true(reach_allows(&r, in("a/x"), REACH_READ | REACH_WRITE));
    assert_false(reach_allows(&r, in("ab"), REACH_READ));
    assert_true(reach_allows(&r, in("ab"), REACH_WRITE));
    assert_false(reach_allows(&r, "/", REACH_WRITE));
    assert_int_equal(reach_add(&r, "/", REACH_EXEC), 0);
    assert_true(reach_allows(&r, "/", REACH_EXEC));
    assert_true(reach_allows(&r, "/bin/sh", REACH_EXEC));
    reach_fini(&r);
    assert_false(reach_allows(&r, "/", REACH_EXEC));
}

static void test_a_link_stands_for_what_it_names(void **state)
{
    struct reach r;
    (void)state;
    reach_init(&r);
    assert_int_equal(reach_add(&r, in("link"), REACH_READ), 0);
    assert_true(reach_allows(&r, in("a/x"), REACH_READ));
    assert_false(reach_allows(&r, in("link/x"), REACH_READ)); // not canonical
    assert_int_equal(reach_add(&r, in("missing"), REACH_READ), -ENOENT);
    assert_int_equal(r.n, 1);
    reach_fini(&r);
}

static void test_the_list_has_a_maximum(void **state)
{
    struct reach r;
    (void)state;
    reach_init(&r);
    for (int i = 0; i < REACH_MAX; i++)
        assert_int_equal(reach_add(&r, "/", REACH_READ), 0);
    assert_int_equal(reach_add(&r, "/", REACH_READ), -ENOSPC);
    reach_fini(&r);
}

static void test_names_that_are_not_there_yet(void **state)
{
    char got[PATH_MAX], want[PATH_MAX], longer[PATH_MAX + 8];
    (void)state;
    assert_int_equal(reach_resolve(in("link/new"), got), 0);
    snprintf(want, sizeof want, "%.4000s/a/new", top);
    assert_string_equal(got, want);
    assert_int_equal(reach_resolve(in("link/../ab"), got), 0);
    snprintf(want, sizeof want, "%.4000s/ab", top);
    assert_string_equal(got, want);
    assert_int_equal(reach_resolve(in("ab/new//"), got), 0);
    snprintf(want, sizeof want, "%.4000s/ab/new", top);
    assert_string_equal(got, want);
    assert_int_equal(reach_resolve("/no-such-thing-here", got), 0);
    assert_string_equal(got, "/no-such-thing-here");
    assert_int_equal(chdir(in("ab")), 0);
    assert_int_equal(reach_resolve("new", got), 0);
    snprintf(want, sizeof want, "%.4000s/ab/new", top);
    assert_string_equal(got, want);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(reach_resolve(in("none/new"), got), -ENOENT);
    assert_int_equal(reach_resolve(in("none/.."), got), -ENOENT);
    assert_int_equal(reach_resolve("", got), -ENOENT);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(reach_resolve(longer, got), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_hold_beneath_whole_components),
        cmocka_unit_test(test_a_link_stands_for_what_it_names),
        cmocka_unit_test(test_the_list_has_a_maximum),
        cmocka_unit_test(test_names_that_are_not_there_yet),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

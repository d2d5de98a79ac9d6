// What differs between two snapshots, in words.
#include "app/changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
    char path[128];
    (void)state;
    strcpy(folder, "/tmp/lunette-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/views", folder);
    return mkdir(path, 0700);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

// text NULL: it is removed.
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!text) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static struct snapshot *take(void)
{
    char why[SNAPSHOT_WHY_MAX];
    int fd = snapshot_make(folder, why);
    struct snapshot *s = fd < 0 ? NULL : snapshot_open(fd);
    assert_non_null(s);
    close(fd);
    return s;
}

static void expect(struct snapshot *before, const char *text)
{
    char got[CHANGES_TEXT];
    struct snapshot *after = take();
    changes_describe(before, after, got);
    assert_string_equal(got, text);
    snapshot_close(after);
}

static void test_changes(void **state)
{
    (void)state;
    put("b.lua", "one");
    put("c.lua", "one");
    put("views/a.html", "one");
    struct snapshot *before = take();
    expect(before, "nothing of scripts/ changed");
    put("b.lua", "two");
    expect(before, "scripts/b.lua changed");
    put("a.lua", "new");
    put("views/a.html", NULL);
    expect(before, "scripts/a.lua is new, scripts/b.lua changed, scripts/views/a.html is gone");
    put("c.lua", NULL);
    put("d.lua", "new");
    expect(before, "scripts/a.lua is new, scripts/b.lua changed, scripts/c.lua is gone and 2 more");
    snapshot_close(before);
}

// Names as long as they come are cut, not the sentence.
static void test_long_names(void **state)
{
    char name[300], got[CHANGES_TEXT];
    (void)state;
    struct snapshot *before = take();
    for (int i = 0; i < 5; i++) {
        memset(name, 'x', 250);
        snprintf(name + 245, sizeof name - 245, "%d", i);
        put(name, "new");
    }
    struct snapshot *after = take();
    changes_describe(before, after, got);
    assert_true(strlen(got) > 300 && strstr(got, " and 2 more"));
    snapshot_close(before);
    snapshot_close(after);
}

static void test_counts(void **state)
{
    char got[CHANGES_TEXT];
    (void)state;
    struct snapshot *none = take();
    changes_count(none, 1, 0, got);
    assert_string_equal(got, "1 route, 0 middleware, 0 views");
    snapshot_close(none);
    put("views/a.html", "");
    put("views.lua", "");
    struct snapshot *one = take();
    changes_count(one, 12, 3, got);
    assert_string_equal(got, "12 routes, 3 middleware, 1 view");
    snapshot_close(one);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {WITH(test_changes), WITH(test_long_names),
                                       WITH(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Watching a folder: which changes are told, and where they were.
#include "app/watch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];
static struct watch_tree *watch;
static char told[4096]; // the paths, each with a space behind it

static void tell(void *arg, const char *path)
{
    (void)arg;
    if (strstr(told, path) && *path) // of one save there may be several events
        return;
    strncat(told, path, sizeof told - strlen(told) - 2);
    strcat(told, " ");
}

static const char *at(const char *name)
{
    static char paths[2][128];
    static unsigned turn;
    char *path = paths[turn++ % 2]; // two may be in use
    snprintf(path, sizeof paths[0], "%.60s/%s", top, name);
    return path;
}

static void save(const char *name)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static const char *changes(void)
{
    *told = '\0';
    return watch_changed(watch, tell, NULL) ? told : "nothing";
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/test_watch-XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(at("css"), 0755), 0);
    watch = watch_new(top);
    return watch ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    watch_free(watch);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static void what_is_saved_is_told_with_its_path(void **state)
{
    (void)state;
    assert_string_equal(changes(), "nothing");
    save("a.css");
    assert_string_equal(changes(), "a.css ");
    save("css/b.css");
    save("c.html");
    assert_string_equal(changes(), "css/b.css c.html ");
    assert_int_equal(unlink(at("css/b.css")), 0);
    assert_string_equal(changes(), "css/b.css ");
    assert_true(watch_changed(watch, NULL, NULL) == false);
    save("a.css");
    assert_true(watch_changed(watch, NULL, NULL));
}

static void what_editors_make_is_not(void **state)
{
    (void)state;
    save(".a.css.swp");
    save("a.css~");
    assert_string_equal(changes(), "nothing");
    assert_int_equal(rename(at(".a.css.swp"), at("a.css")), 0);
    assert_string_equal(changes(), "a.css ");
}

static void new_folders_are_watched_too(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("css/new"), 0755), 0);
    assert_string_equal(changes(), "css/new ");
    save("css/new/a.css");
    assert_string_equal(changes(), "css/new/a.css ");
    assert_int_equal(rename(at("css/new"), at("moved")), 0);
    changes();
    save("moved/a.css");
    assert_string_equal(changes(), "moved/a.css ");
}

static void a_folder_that_comes_later_is_found(void **state)
{
    (void)state;
    struct watch_tree *w = watch_new(at("later"));
    assert_non_null(w);
    assert_false(watch_found(w));
    assert_int_equal(mkdir(at("later"), 0755), 0);
    assert_true(watch_found(w));
    assert_false(watch_found(w)); // once
    save("later/a.css");
    *told = '\0';
    assert_true(watch_changed(w, tell, NULL));
    assert_string_equal(told, "a.css ");
    watch_free(w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_is_told_with_its_path),
        TEST(what_editors_make_is_not),
        TEST(new_folders_are_watched_too),
        TEST(a_folder_that_comes_later_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Whole folders: mirrored in place, and removed, without ever following a link.
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char top[64];

static const char *in(const char *name)
{
    static char path[4][PATH_MAX];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], PATH_MAX, "%s/%s", top, name);
    return path[next];
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void assert_holds(const char *name, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(in(name), "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(in(name), &st) == 0;
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/test_folder_XXXXXX");
    return mkdtemp(top) && mkdir(in("from"), 0755) == 0 && mkdir(in("from/d"), 0750) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return folder_remove(top);
}

static void test_a_mirror_is_the_same(void **state)
{
    (void)state;
    struct stat st;
    char target[32] = "";
    put("from/a", "one");
    put("from/d/b", "two");
    chmod(in("from/d/b"), 0640);
    assert_int_equal(symlink("../a", in("from/d/link")), 0);
    assert_int_equal(mkfifo(in("from/pipe"), 0600), 0);
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    assert_holds("to/a", "one");
    assert_holds("to/d/b", "two");
    assert_int_equal(readlink(in("to/d/link"), target, sizeof target - 1), 4);
    assert_string_equal(target, "../a");
    assert_false(is_there("to/pipe"));
    assert_int_equal(stat(in("to/d/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stat(in("to/d"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
}

static void test_what_is_there_gives_way(void **state)
{
    (void)state;
    put("from/a", "one");
    put("from/d/b", "two");
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    put("to/a", "longer than it was");
    put("to/more", "x");
    unlink(in("to/d/b"));
    mkdir(in("to/d/b"), 0700); // another kind
    put("to/d/b/deep", "x");
    mkdir(in("to/other"), 0500);
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    assert_holds("to/a", "one");
    assert_holds("to/d/b", "two");
    assert_false(is_there("to/more"));
    assert_false(is_there("to/other"));
}

static void test_who_has_a_file_open_sees_it_put_back(void **state)
{
    char got[16] = "";
    (void)state;
    put("from/a", "one");
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    int fd = open(in("to/a"), O_RDWR);
    assert_int_equal(pwrite(fd, "changed", 7, 0), 7);
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    assert_int_equal(pread(fd, got, sizeof got, 0), 3);
    assert_string_equal(got, "one");
    close(fd);
}

static void test_links_lead_nowhere(void **state)
{
    (void)state;
    mkdir(in("outside"), 0755);
    put("outside/kept", "mine");
    put("from/a", "one");
    mkdir(in("to"), 0755);
    assert_int_equal(symlink("../outside", in("to/d")), 0);
    assert_int_equal(symlink("../outside/kept", in("to/a")), 0);
    assert_int_equal(folder_mirror(in("from"), in("to")), 0);
    assert_holds("outside/kept", "mine");
    assert_holds("to/a", "one");
    assert_int_equal(symlink("../outside", in("to/d/out")), 0);
    assert_int_equal(folder_remove(in("to")), 0);
    assert_holds("outside/kept", "mine");
    assert_int_equal(symlink("outside", in("link")), 0);
    assert_int_equal(folder_remove(in("link")), 0);
    assert_holds("outside/kept", "mine");
}

static void test_bounds(void **state)
{
    char path[PATH_MAX] = "from";
    (void)state;
    for (int i = 0; i <= FOLDER_DEPTH; i++) {
        strcat(path, "/x");
        assert_int_equal(mkdir(in(path), 0755), 0);
    }
    assert_int_equal(folder_mirror(in("from"), in("to")), -ELOOP);
    assert_int_equal(folder_remove(in("to/x/x")), 0);
    assert_int_equal(folder_remove(in("from")), -ELOOP);
    assert_int_equal(folder_remove(in("from/x/x")), 0);
    assert_int_equal(folder_remove(in("none")), 0);
    assert_int_equal(folder_mirror(in("none"), in("to")), -ENOENT);
}

static int open_top(void)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_a_new_folder_is_for_its_owner_and_keeps_what_is_written(void **state)
{
    (void)state;
    char name[NAME_MAX + 1], again[NAME_MAX + 1];
    struct stat st, named;
    int parent = open_top(), fd = folder_make(parent, "new", name);
    int other = folder_make(parent, "new", again);
    assert_true(fd >= 0 && other >= 0);
    assert_string_not_equal(name, again);
    assert_int_equal(strncmp(name, "new-", 4), 0);
    assert_int_equal(fstat(fd, &st) | stat(in(name), &named), 0);
    assert_true(st.st_ino == named.st_ino && (st.st_mode & 0777) == 0700);
    // It is renamed, and a link put in its place: what is written goes where the folder is.
    mkdir(in("outside"), 0755);
    assert_int_equal(rename(in(name), in("moved")), 0);
    assert_int_equal(symlink("outside", in(name)), 0);
    assert_int_equal(folder_write(fd, "a/b/c.txt", STR("text")), 0);
    assert_int_equal(folder_write(fd, "a/d.txt", STR("")), 0);
    assert_holds("moved/a/b/c.txt", "text");
    assert_holds("moved/a/d.txt", "");
    assert_int_equal(rmdir(in("outside")), 0);
    assert_int_equal(folder_empty(fd), 0);
    assert_int_equal(rmdir(in("moved")), 0);
    close(fd);
    close(other);
    close(parent);
}

static void test_nothing_is_written_over_or_through_a_link(void **state)
{
    (void)state;
    char name[NAME_MAX + 1], longest[NAME_MAX + 10];
    int parent = open_top(), fd = folder_make(parent, "new", name);
    assert_true(fd >= 0);
    mkdir(in("outside"), 0755);
    put("outside/kept", "mine");
    assert_int_equal(symlinkat(in("outside"), fd, "link"), 0);
    assert_int_equal(symlinkat(in("outside/kept"), fd, "file"), 0);
    assert_int_equal(symlinkat(in("outside/none"), fd, "dangling"), 0);
    assert_int_equal(folder_write(fd, "link/kept", STR("x")), -ENOTDIR);
    assert_int_equal(folder_write(fd, "file", STR("x")), -EEXIST);
    assert_int_equal(folder_write(fd, "dangling", STR("x")), -EEXIST);
    assert_int_equal(folder_write(fd, "a", STR("x")), 0);
    assert_int_equal(folder_write(fd, "a", STR("y")), -EEXIST);
    assert_int_equal(folder_write(fd, "a/b", STR("y")), -ENOTDIR);
    memset(longest, 'x', sizeof longest);
    strcpy(longest + NAME_MAX + 1, "/a");
    assert_int_equal(folder_write(fd, longest, STR("x")), -ENAMETOOLONG);
    assert_int_equal(folder_make(parent, longest, name), -ENAMETOOLONG);
    assert_holds("outside/kept", "mine");
    assert_false(is_there("outside/none"));
    close(fd);
    close(parent);
}

static void test_temporary_folders_have_absolute_paths(void **state)
{
    (void)state;
    static const char *const no_paths[] = {NULL, "", ".", "tmp"};
    char path[PATH_MAX], at[PATH_MAX];
    for (size_t i = 0; i < sizeof no_paths / sizeof *no_paths; i++) {
        if (no_paths[i])
            setenv("TMPDIR", no_paths[i], 1);
        else
            unsetenv("TMPDIR");
        int fd = folder_make_temporary("lunette-unit", path);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(strncmp(path, "/tmp/lunette-unit-", 18), 0);
        assert_int_equal(rmdir(path), 0);
    }
    setenv("TMPDIR", top, 1);
    int fd = folder_make_temporary("lunette-unit", path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(at, sizeof at, "%s/lunette-unit-", top);
    assert_int_equal(strncmp(path, at, strlen(at)), 0);
    assert_int_equal(rmdir(path), 0);
    setenv("TMPDIR", in("none"), 1);
    assert_int_equal(folder_make_temporary("x", path), -ENOENT);
    assert_int_equal(strncmp(path, in("none/x-"), strlen(in("none/x-"))), 0);
    unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_mirror_is_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_there_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_has_a_file_open_sees_it_put_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_new_folder_is_for_its_owner_and_keeps_what_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_written_over_or_through_a_link, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_temporary_folders_have_absolute_paths, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Snapshots: what of a folder is in them, that they do not change, and what makes none.
#include "base/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_snapshot_XXXXXX";

static const char *path(const char *name)
{
    static char text[4200];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *p, const struct stat *st, int type, struct FTW *w)
{
    (void)st, (void)type, (void)w;
    return remove(p);
}

static int setup(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct snapshot *take(void)
{
    char why[SNAPSHOT_WHY_MAX] = "";
    int fd = snapshot_make(folder, why);
    if (fd < 0)
        fail_msg("%s", why);
    struct snapshot *s = snapshot_open(fd);
    assert_non_null(s);
    close(fd);
    return s;
}

static void expect(const struct snapshot *s, const char *name, const char *text)
{
    struct str found;
    if (!text) {
        assert_false(snapshot_find(s, str_z(name), &found));
        return;
    }
    assert_true(snapshot_find(s, str_z(name), &found));
    assert_int_equal(found.n, strlen(text));
    assert_memory_equal(found.p, text, found.n);
}

static void files_are_found_by_name(void **state)
{
    (void)state;
    put("main.lua", "return 1");
    put("empty.lua", "");
    put(".hidden", "x");
    put("main.lua~", "x");
    assert_int_equal(mkdir(path("views"), 0755), 0);
    assert_int_equal(mkdir(path(".git"), 0755), 0);
    assert_int_equal(mkdir(path("views/deep"), 0755), 0);
    put("views/a.html", "<p>");
    put("views/deep/b.html", "b");
    put(".git/config", "x");
    assert_int_equal(symlink("main.lua", path("link.lua")), 0);
    assert_int_equal(symlink("nowhere", path("dangling.lua")), 0);
    assert_int_equal(mkfifo(path("pipe.lua"), 0644), 0);
    struct snapshot *s = take();
    expect(s, "main.lua", "return 1");
    expect(s, "empty.lua", "");
    expect(s, "views/a.html", "<p>");
    expect(s, "views/deep/b.html", "b");
    expect(s, "link.lua", "return 1");
    static const char *const absent[] = {".hidden",  "main.lua~", ".git/config", "dangling.lua",
                                         "pipe.lua", "views",     "main.lu",     "main.lua2",
                                         "",         "/main.lua", "views/a",     "views//a.html"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        expect(s, absent[i], NULL);
    snapshot_close(s);
}

static void names_come_sorted(void **state)
{
    (void)state;
    put("b.lua", "");
    put("a.lua", "");
    assert_int_equal(mkdir(path("a"), 0755), 0);
    put("a/z.lua", "");
    static const char *const names[] = {"a.lua", "a/z.lua", "b.lua"};
    struct snapshot *s = take();
    struct str name, text;
    for (size_t i = 0; i < 3; i++) {
        assert_true(snapshot_file(s, i, &name, &text));
        assert_true(str_eq(name, str_z(names[i])));
    }
    assert_false(snapshot_file(s, 3, &name, &text));
    snapshot_close(s);
}

static void it_does_not_change(void **state)
{
    (void)state;
    put("main.lua", "old");
    struct snapshot *before = take();
    put("main.lua", "new");
    put("more.lua", "more");
    struct snapshot *after = take(), *again = take();
    expect(before, "main.lua", "old");
    expect(before, "more.lua", NULL);
    expect(after, "main.lua", "new");
    assert_false(snapshot_same(before, after));
    assert_true(snapshot_same(again, after));
    snapshot_close(before);
    snapshot_close(after);
    snapshot_close(again);
}

static void nobody_can_write_to_it(void **state)
{
    char why[SNAPSHOT_WHY_MAX];
    (void)state;
    put("main.lua", "return 1");
    int fd = snapshot_make(folder, why);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
}

static void a_folder_that_is_not_there_is_empty(void **state)
{
    char why[SNAPSHOT_WHY_MAX];
    (void)state;
    int fd = snapshot_make(path("no"), why);
    struct snapshot *s = snapshot_open(fd);
    assert_non_null(s);
    expect(s, "main.lua", NULL);
    snapshot_close(s);
    close(fd);
}

static void what_cannot_be_read_is_named(void **state)
{
    char why[SNAPSHOT_WHY_MAX];
    (void)state;
    put("file", "x");
    assert_int_equal(snapshot_make(path("file"), why), -1);
    assert_non_null(strstr(why, "/file: Not a directory"));
    assert_int_equal(symlink(".", path("ring")), 0);
    assert_int_equal(snapshot_make(folder, why), -1);
    assert_non_null(strstr(why, "ring/ring: more than 16 folders are in each other"));
    unlink(path("ring"));
    put("large", "x");
    assert_int_equal(truncate(path("large"), SNAPSHOT_FILE_BYTES + 1L), 0);
    assert_int_equal(snapshot_make(folder, why), -1);
    assert_non_null(strstr(why, "/large: it is larger than 16 MiB"));
}

static void other_memory_is_none(void **state)
{
    (void)state;
    static const char wrong[] = "lunette\1\377\377\377\377\377\377\377\377";
    int fd = memfd_create("other", MFD_CLOEXEC);
    assert_null(snapshot_open(fd)); // nothing in it
    assert_int_equal(write(fd, wrong, 16), 16);
    assert_null(snapshot_open(fd));
    assert_int_equal(errno, EPROTO);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_by_name),
        TEST(it_does_not_change),
        TEST(nobody_can_write_to_it),
        TEST(a_folder_that_is_not_there_is_empty),
        TEST(what_cannot_be_read_is_named),
        TEST(other_memory_is_none),
        TEST(names_come_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

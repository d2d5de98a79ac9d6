// The annotations that the program carries, and what becomes of them in a folder.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

#include "app/meta.h"

static char top[] = "/tmp/lunette-meta-XXXXXX";
static int folder; // that one

static int setup(void **state)
{
    (void)state;
    folder = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    close(folder);
    return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

// The path beneath the test's folder, static.
static const char *beneath(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void check_has(const char *path, const char *text, size_t n)
{
    char *got = malloc(n + 1);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_non_null(got);
    assert_int_equal(fread(got, 1, n + 1, f), n);
    assert_memory_equal(got, text, n);
    fclose(f);
    free(got);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void files_are_those_of_the_source(void **state)
{
    (void)state;
    char path[256];
    for (const struct meta_file *f = meta_files; f->name; f++) {
        snprintf(path, sizeof path, "src/meta/%s", f->name);
        check_has(path, f->text, f->n);
    }
    assert_non_null(meta_files[0].name);
}

static void all_are_written_to_a_new_folder(void **state)
{
    (void)state;
    char name[256];
    assert_int_equal(meta_write(folder, "site/.lunette/meta"), 0);
    for (const struct meta_file *f = meta_files; f->name; f++) {
        snprintf(name, sizeof name, "site/.lunette/meta/%s", f->name);
        check_has(beneath(name), f->text, f->n);
    }
}

static void what_is_there_is_left_alone(void **state)
{
    (void)state;
    char name[256];
    snprintf(name, sizeof name, "again/%s", meta_files[0].name);
    assert_int_equal(meta_write(folder, "again"), 0);
    put(beneath(name), "---@meta\n-- of an older version\n");
    assert_int_equal(meta_write(folder, "again"), -EEXIST);
    check_has(beneath(name), "---@meta\n-- of an older version\n", 32);
}

static void what_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    put(beneath("file"), "not a folder");
    assert_int_equal(meta_write(folder, "file"), -ENOTDIR);
    char deep[5000];
    memset(deep, 'x', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(meta_write(folder, deep), -ENAMETOOLONG);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char name[256], target[512];
    snprintf(name, sizeof name, "linked/%s", meta_files[0].name);
    assert_int_equal(meta_write(folder, "linked"), 0);
    put(beneath("victim"), "mine");
    snprintf(target, sizeof target, "%s", beneath("victim"));
    assert_int_equal(unlink(beneath(name)), 0);
    assert_int_equal(symlink(target, beneath(name)), 0);
    assert_int_equal(meta_write(folder, "linked"), -EEXIST);
    check_has(target, "mine", 4);
    assert_int_equal(mkdir(beneath("outside"), 0700), 0);
    assert_int_equal(symlink("outside", beneath("elsewhere")), 0);
    assert_int_equal(meta_write(folder, "elsewhere"), -ENOTDIR);
    assert_int_equal(rmdir(beneath("outside")), 0); // nothing is in it
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_the_source),
        cmocka_unit_test(all_are_written_to_a_new_folder),
        cmocka_unit_test(what_is_there_is_left_alone),
        cmocka_unit_test(what_cannot_be_written_is_an_error),
        cmocka_unit_test(links_are_not_followed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

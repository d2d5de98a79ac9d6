// Coded forms beside files: which count.
#include "content/siblings.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { GZIP = 1u << CODING_GZIP, BROTLI = 1u << CODING_BROTLI, ZSTD = 1u << CODING_ZSTD };

static char top[] = "/tmp/lunette-siblings-XXXXXX";
static struct file_root *root;

static void file(const char *name, size_t size, time_t seconds, long ns)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    struct timespec times[2] = {{seconds, ns}, {seconds, ns}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static int enter(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    assert_int_equal(chdir(top) | mkdir("site", 0755) | chdir("site"), 0);
    return file_root_open(".", &root);
}

static int leave(void **state)
{
    (void)state;
    char command[64];
    file_root_close(root);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static unsigned forms(const char *path)
{
    struct file f;
    assert_int_equal(file_open(root, str_z(path), &f), 0);
    unsigned found = siblings_of(root, str_z(path), &f);
    close(f.fd);
    return found;
}

static void which_count(void **state)
{
    (void)state;
    file("a", 10, 1000, 500);
    assert_int_equal(forms("/a"), 0);
    file("a.gz", 5, 1000, 500);
    file("a.br", 50, 2000, 0); // larger than the file: its author's will
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    file("a.zst", 5, 999, 999);
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    file("a.zst", 0, 2000, 0); // empty
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    assert_int_equal(unlink("a.zst") | mkdir("a.zst", 0755), 0);
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    assert_int_equal(rmdir("a.zst") | mkfifo("a.zst", 0644), 0);
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    file("../out", 5, 2000, 0);
    assert_int_equal(unlink("a.zst") | symlink("../out", "a.zst"), 0);
    assert_int_equal(forms("/a"), GZIP | BROTLI);
    assert_int_equal(unlink("a.zst") | symlink("a.gz", "a.zst"), 0);
    assert_int_equal(forms("/a"), GZIP | BROTLI | ZSTD);
    file("a.gz.gz", 5, 3000, 0);
    assert_int_equal(forms("/a.gz"), 0); // it is one itself
}

static void freshness(void **state)
{
    (void)state;
    static const struct {
        struct timespec form, original;
        bool fresh;
    } cases[] = {
        {{5, 5}, {5, 5}, true},  {{6, 0}, {5, 5}, true},  {{5, 6}, {5, 5}, true},
        {{5, 4}, {5, 5}, false}, {{4, 9}, {5, 5}, false}, {{5, 0}, {5, 5}, true}, // a second kept
        {{4, 0}, {5, 5}, false}, {{5, 0}, {5, 0}, true},  {{-1, 0}, {0, 0}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(sibling_is_fresh(cases[i].form, cases[i].original), cases[i].fresh);
}

static void paths(void **state)
{
    (void)state;
    char dst[8];
    assert_true(str_eq(sibling_path(STR("/a.b"), CODING_ZSTD, dst, 8), STR("/a.b.zst")));
    assert_int_equal(sibling_path(STR("/a.bc"), CODING_ZSTD, dst, 8).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_count),
        cmocka_unit_test(freshness),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

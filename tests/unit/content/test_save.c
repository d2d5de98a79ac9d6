// Saving copies: where they may go, and that they are whole.
#include "content/save.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], folder[96];

static int setup(void **unused)
{
    (void)unused;
    strcpy(top, "/tmp/test_save.XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(folder, sizeof folder, "%s/data", top);
    return 0;
}

static int teardown(void **unused)
{
    char command[128];
    (void)unused;
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command);
}

static const char *at(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static int save(const char *path, const char *text, bool overwrite)
{
    struct save s = {.folder = folder, .path = path, .overwrite = overwrite, .fd = -1};
    s.bytes = str_z(text);
    s.n = s.bytes.n;
    return save_write(&s);
}

static void assert_holds(const char *path, const char *text)
{
    char got[256] = "";
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_true(read(fd, got, sizeof got - 1) >= 0);
    close(fd);
    assert_string_equal(got, text);
}

static unsigned entries(const char *path)
{
    char command[300], line[32];
    snprintf(command, sizeof command, "ls -A %s | wc -l", path);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, f));
    pclose(f);
    return (unsigned)atoi(line);
}

static void folders_are_made(void **unused)
{
    struct stat st;
    (void)unused;
    assert_int_equal(save("a/b//./c.txt", "hello", false), 0);
    assert_holds(at("data/a/b/c.txt"), "hello");
    assert_int_equal(stat(at("data/a/b/c.txt"), &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~(mode_t)0640, 0);
    assert_int_equal(entries(at("data/a/b")), 1);
}

static void an_existing_file_stays_unless_told(void **unused)
{
    (void)unused;
    assert_int_equal(save("x", "one", false), 0);
    assert_int_equal(save("x", "two", false), -EEXIST);
    assert_holds(at("data/x"), "one");
    assert_int_equal(save("x", "three", true), 0);
    assert_holds(at("data/x"), "three");
    assert_int_equal(entries(folder), 1);
}

static void nothing_leaves_the_folder(void **unused)
{
    static const struct {
        const char *path;
        int error;
    } cases[] = {
        {"../x", -EXDEV},   {"a/../../x", -EXDEV}, {"..", -EXDEV},      {"a/..", -EXDEV},
        {"/tmp/x", -EXDEV}, {"", -EISDIR},         {"a/", -EISDIR},     {".", -EISDIR},
        {"a/.", -EISDIR},   {"out/x", -EXDEV},     {"a/out/x", -EXDEV}, {"file/x", -EXDEV},
        {"link", -EEXIST},
    };
    (void)unused;
    assert_int_equal(save("a/y", "y", false), 0);
    assert_int_equal(save("file", "f", false), 0);
    assert_int_equal(symlink("/tmp", at("data/out")), 0);
    assert_int_equal(symlink("/tmp", at("data/a/out")), 0);
    assert_int_equal(symlink("../elsewhere", at("data/link")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (save(cases[i].path, "x", false) != cases[i].error)
            fail_msg("%s", cases[i].path);
    // An overwrite replaces a link, and does not follow it.
    assert_int_equal(save("link", "x", true), 0);
    assert_holds(at("data/link"), "x");
    assert_int_equal(access(at("elsewhere"), F_OK), -1);
}

static void an_absolute_path_is_taken_as_it_is(void **unused)
{
    struct save s = {.path = at("here.txt"), .fd = -1, .bytes = STR("abc"), .n = 3};
    (void)unused;
    assert_int_equal(save_write(&s), 0);
    assert_holds(at("here.txt"), "abc");
    s.path = at("missing/here.txt");
    assert_int_equal(save_write(&s), -ENOENT);
    s.path = "here.txt";
    assert_int_equal(save_write(&s), -EXDEV);
}

// The range of a file, also between two file systems, where the kernel may not copy by itself.
static void a_part_of_a_file_is_copied(void **unused)
{
    static char big[300 * 1024];
    char name[] = "/dev/shm/test_save.XXXXXX";
    (void)unused;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 31 >> 3);
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, big, sizeof big), sizeof big);
    struct save s = {.folder = folder, .path = "big", .fd = fd, .at = 1000, .n = 250 * 1024};
    assert_int_equal(save_write(&s), 0);
    static char got[sizeof big];
    int copy = open(at("data/big"), O_RDONLY);
    assert_int_equal(read(copy, got, sizeof got), 250 * 1024);
    assert_memory_equal(got, big + 1000, 250 * 1024);
    close(copy);
    // One that is shorter than said leaves nothing behind.
    s.path = "short";
    s.n = sizeof big;
    assert_int_equal(save_write(&s), -EIO);
    assert_int_equal(entries(folder), 1);
    close(fd);
}

static void a_folder_that_cannot_be_written_says_so(void **unused)
{
    (void)unused;
    assert_int_equal(save("x", "x", false), 0);
    assert_int_equal(mkdir(at("data/dir"), 0755), 0);
    assert_int_equal(save("dir", "x", false), -EEXIST);
    assert_int_equal(save("dir", "x", true), -EISDIR);
    assert_int_equal(entries(folder), 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folders_are_made),           TEST(an_existing_file_stays_unless_told),
        TEST(nothing_leaves_the_folder),  TEST(an_absolute_path_is_taken_as_it_is),
        TEST(a_part_of_a_file_is_copied), TEST(a_folder_that_cannot_be_written_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

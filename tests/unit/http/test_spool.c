// The spool: memory, file, the border between them, and file systems that refuse.
#include "http/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/lunette-spool-XXXXXX";
static struct spool_options options = {.folder = folder, .memory = 16};
static struct spool s;
static unsigned writes;
static bool no_tmpfile; // open() says what a file system without O_TMPFILE says

// Stands before the C library's, for the whole program.
int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    writes++;
    return syscall(SYS_pwritev, fd, iov, count, at, 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

// Also proves that nothing with a name was left behind.
static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int setup(void **state)
{
    (void)state;
    no_tmpfile = false;
    writes = 0;
    spool_init(&s, &options, 1000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    spool_fini(&s);
    return 0;
}

static char pattern(uint64_t at)
{
    return (char)('a' + at % 23);
}

// Adds n bytes of the pattern.
static int grow(size_t n)
{
    static char bytes[4 * SPOOL_GATHER];
    assert_true(n <= sizeof bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(s.size + i);
    return spool_add(&s, str_of(bytes, n));
}

static void expect_read(uint64_t at, size_t n, int64_t want)
{
    static char bytes[4 * SPOOL_GATHER];
    assert_true(n <= sizeof bytes);
    assert_int_equal(spool_read(&s, at, bytes, n), want);
    for (int64_t i = 0; i < want; i++)
        assert_int_equal(bytes[i], pattern(at + (uint64_t)i));
}

static void empty(void **state)
{
    (void)state;
    assert_int_equal(grow(0), 0);
    assert_int_equal(s.size, 0);
    assert_int_equal(s.fd, -1);
    expect_read(0, 10, 0);
    expect_read(5, 10, 0);
}

static void the_next_body(void **state)
{
    (void)state;
    struct spool_options more = {.folder = folder, .memory = 4 * SPOOL_KEPT};
    struct spool_options less = {.folder = folder, .memory = 8};
    spool_reuse(&s, &more, 1000);
    assert_int_equal(grow(9), 0);
    spool_reset(&s);
    assert_true(s.memory.cap <= SPOOL_KEPT);
    assert_int_equal(spool_add(&s, STR("x")), -EFBIG); // nothing, until it is used again
    spool_reuse(&s, &more, 1000);
    expect_read(0, 1, 0); // nothing is left of the last one
    assert_int_equal(grow(12), 0);
    expect_read(0, 20, 12);
    spool_reset(&s);
    spool_reuse(&s, &less, 10); // less memory than was kept
    assert_int_equal(grow(9), 0);
    assert_true(s.fd >= 0);
    expect_read(0, 10, 9);
    assert_int_equal(spool_add(&s, STR("xy")), -EFBIG);
    spool_reset(&s);
    assert_int_equal(s.fd, -1);
    spool_reuse(&s, &more, 10000);
    assert_int_equal(grow(SPOOL_KEPT + 1), 0);
    spool_reset(&s);
    assert_int_equal(s.memory.cap, 0); // a large one stays not
}

static void at_the_border(void **state)
{
    (void)state;
    assert_int_equal(grow(10), 0);
    assert_int_equal(grow(6), 0); // sixteen: exactly what memory may hold
    assert_int_equal(s.fd, -1);
    expect_read(0, 100, 16);
    assert_int_equal(grow(1), 0); // one more moves everything
    assert_true(s.fd >= 0);
    assert_null(s.memory.p);
    assert_int_equal(s.size, 17);
    expect_read(0, 100, 17);
    expect_read(15, 2, 2); // across the border
}

static void large_at_once(void **state)
{
    (void)state;
    assert_int_equal(grow(500), 0);
    assert_true(s.fd >= 0);
    assert_int_equal(grow(400), 0);
    expect_read(0, 1000, 900);
    expect_read(499, 2, 2);
    expect_read(899, 100, 1);
    expect_read(900, 1, 0);
    expect_read(UINT64_MAX, 1, 0);
}

static void tiny_chunks_are_gathered(void **state)
{
    (void)state;
    s.max = UINT64_MAX;
    assert_int_equal(grow(100), 0);
    assert_int_equal(s.in_file, 100);
    writes = 0;
    for (int i = 0; i < 3 * SPOOL_GATHER; i++)
        assert_int_equal(grow(1), 0);
    assert_true(writes == 2 || writes == 3);
    assert_true(s.memory.n > 0 && s.memory.cap <= SPOOL_GATHER);
    expect_read(0, 100 + 3 * SPOOL_GATHER, 100 + 3 * SPOOL_GATHER); // file and memory
    expect_read((uint64_t)s.in_file - 1, 2, 2);                     // across the border
    expect_read(s.in_file, 1, 1);
    assert_int_equal(spool_end(&s), 0);
    assert_int_equal(s.in_file, s.size);
    assert_null(s.memory.p);
    expect_read(0, 100 + 3 * SPOOL_GATHER, 100 + 3 * SPOOL_GATHER);
    writes = 0;
    assert_int_equal(spool_end(&s), 0);
    assert_int_equal(writes, 0);
    assert_int_equal(grow(2 * SPOOL_GATHER), 0); // what is large is not copied first
    assert_int_equal(writes, 1);
    assert_null(s.memory.p);
    expect_read(s.size - 2, 9, 2);
}

static void the_end_of_a_spool_in_memory(void **state)
{
    (void)state;
    assert_int_equal(grow(16), 0);
    assert_int_equal(spool_end(&s), 0);
    assert_int_equal(s.fd, -1);
    expect_read(0, 100, 16);
}

static void memory_of_none(void **state)
{
    (void)state;
    struct spool_options none = {.folder = folder, .memory = 0};
    spool_init(&s, &none, 10);
    assert_int_equal(grow(0), 0);
    assert_int_equal(grow(1), 0);
    assert_true(s.fd >= 0);
    expect_read(0, 10, 1);
    spool_fini(&s);
    spool_init(&s, &options, 10);
}

static void at_the_maximum(void **state)
{
    (void)state;
    assert_int_equal(grow(1000), 0);
    assert_int_equal(grow(1), -EFBIG);
    assert_int_equal(grow(0), 0);
    assert_int_equal(s.size, 1000);
    spool_fini(&s);
    assert_int_equal(s.size, 0);
    assert_int_equal(s.fd, -1);
    assert_int_equal(grow(10), 0); // and the spool can be used again
    spool_fini(&s);
    spool_init(&s, &options, 8); // a maximum below what memory may hold
    assert_int_equal(grow(9), -EFBIG);
    assert_int_equal(grow(8), 0);
    expect_read(0, 100, 8);
}

static void nameless_and_private(void **state)
{
    for (int i = 0; i < 2; i++) {
        no_tmpfile = i;
        assert_int_equal(grow(100), 0);
        struct stat st;
        assert_int_equal(fstat(s.fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
        expect_read(0, 200, 100);
        teardown(state);
        setup(state);
    }
}

static void no_folder(void **state)
{
    (void)state;
    char missing[128];
    snprintf(missing, sizeof missing, "%s/none", folder);
    struct spool_options elsewhere = {.folder = missing, .memory = 16};
    for (int i = 0; i < 2; i++) {
        no_tmpfile = i;
        spool_init(&s, &elsewhere, 1000);
        assert_int_equal(grow(16), 0);
        assert_int_equal(grow(1), -ENOENT);
        assert_int_equal(s.size, 16);
        expect_read(0, 100, 16); // what was there is still there
        spool_fini(&s);
    }
    spool_init(&s, &options, 1000);
}

// A file system that takes LIMIT bytes and no more: what was there stays, a shorter append still fits.
static bool survives_a_full_disk(void)
{
    signal(SIGXFSZ, SIG_IGN);
    enum { LIMIT = 2 * SPOOL_GATHER };
    static char bytes[2 * LIMIT];
    struct rlimit limit = {LIMIT, LIMIT};
    s.max = UINT64_MAX;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return false;
    if (grow(40) != 0 || grow(LIMIT) != -ENOSPC || s.size != 40)
        return false;
    if (grow(LIMIT - 40) != 0 || s.size != LIMIT || spool_end(&s) != 0)
        return false;
    // what is gathered has no room: it is told at the next write, or at the end, and is not lost
    if (grow(10) != 0 || spool_end(&s) != -ENOSPC || grow(SPOOL_GATHER) != -ENOSPC)
        return false;
    if (s.size != LIMIT + 10 || spool_read(&s, 0, bytes, sizeof bytes) != LIMIT + 10)
        return false;
    for (uint64_t i = 0; i < LIMIT + 10; i++)
        if (bytes[i] != pattern(i))
            return false;
    spool_fini(&s);
    s.max = UINT64_MAX;
    return grow(16) == 0 && grow(LIMIT) == -ENOSPC && s.size == 16;
}

static void full_disk(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(survives_a_full_disk() ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_body, setup, teardown),
        cmocka_unit_test_setup_teardown(at_the_border, setup, teardown),
        cmocka_unit_test_setup_teardown(large_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(tiny_chunks_are_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_spool_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_of_none, setup, teardown),
        cmocka_unit_test_setup_teardown(at_the_maximum, setup, teardown),
        cmocka_unit_test_setup_teardown(nameless_and_private, setup, teardown),
        cmocka_unit_test_setup_teardown(no_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

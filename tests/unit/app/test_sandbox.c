// The sandbox: its words, its list, the access that each Landlock ABI knows; and, each in a process
// of its own that has entered it, what is refused then.
#include "app/sandbox.h"

#include "app/sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char site[PATH_MAX], path[PATH_MAX], why[SANDBOX_WHY_MAX];

static const char *in(const char *name)
{
    snprintf(path, sizeof path, "%.4000s/%s", site, name);
    return path;
}

static void touch(const char *name)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    char made[] = "/tmp/test_sandbox_XXXXXX";
    (void)state;
    if (!mkdtemp(made) || !realpath(made, site) || mkdir(in("data"), 0755) != 0 ||
        mkdir(in("site"), 0755) != 0 || mkdir(in("temp"), 0755) != 0)
        return -1;
    touch("site/page");
    touch("data/note");
    return 0;
}

static int teardown(void **state)
{
    char command[PATH_MAX + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", site);
    return system(command);
}

// Pure --------------------------------------------------------------------------------------------

static void test_it_is_told_in_words(void **state)
{
    static const struct {
        bool wanted;
        struct sandbox_kernel kernel;
        const char *text;
    } cases[] = {
        {true, {7, true}, "on (Landlock ABI 7, seccomp)"},
        {true, {1, true}, "on (Landlock ABI 1, seccomp)"},
        {true, {0, true}, "partly (seccomp; this kernel has no Landlock)"},
        {true, {3, false}, "partly (Landlock ABI 3; this kernel has no seccomp)"},
        {true, {0, false}, "off (this kernel has neither Landlock nor seccomp)"},
        {false, {7, true}, "off (sandbox = false)"},
        {false, {0, false}, "off (sandbox = false)"},
    };
    char text[SANDBOX_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(sandbox_describe(cases[i].wanted, cases[i].kernel, text),
                            cases[i].text);
}

static void test_each_abi_knows_more(void **state)
{
    (void)state;
    assert_int_equal(sandbox_known_access(1), 0x1fff);
    assert_int_equal(sandbox_known_access(2), 0x3fff);
    assert_int_equal(sandbox_known_access(3), 0x7fff);
    assert_int_equal(sandbox_known_access(4), 0x7fff); // which brought rules for TCP
    assert_int_equal(sandbox_known_access(5), 0xffff);
    assert_int_equal(sandbox_known_access(99), 0xffff);
}

static void test_access_of_rights(void **state)
{
    const uint64_t no_devices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
    const uint64_t of_folders = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REFER;
    (void)state;
    assert_int_equal(sandbox_access(REACH_READ, true, 7),
                     LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
    assert_int_equal(sandbox_access(REACH_READ, false, 7), LANDLOCK_ACCESS_FS_READ_FILE);
    assert_int_equal(sandbox_access(REACH_READ | REACH_EXEC, false, 7),
                     LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE);
    for (int abi = 1; abi <= 8; abi++) {
        for (unsigned rights = 0; rights < 8; rights++) {
            uint64_t folder = sandbox_access(rights, true, abi);
            uint64_t file = sandbox_access(rights, false, abi);
            assert_int_equal(folder & ~sandbox_known_access(abi), 0); // the kernel says EINVAL
            assert_int_equal(folder & no_devices, 0);
            assert_int_equal(file & of_folders, 0); // and here too
            assert_int_equal(file & ~folder, 0);
            assert_true(!(rights & REACH_WRITE) == !(folder & LANDLOCK_ACCESS_FS_WRITE_FILE));
            assert_true(!(rights & REACH_EXEC) == !(folder & LANDLOCK_ACCESS_FS_EXECUTE));
        }
    }
}

static struct sandbox_options options(char buffer[static 2 * PATH_MAX])
{
    snprintf(buffer, PATH_MAX, "%.4000s/data", site);
    snprintf(buffer + PATH_MAX, PATH_MAX, "%.4000s/temp", site);
    return (struct sandbox_options){.site = site, .data = buffer, .temp = buffer + PATH_MAX};
}

static void test_the_list(void **state)
{
    char buffer[2 * PATH_MAX], real[PATH_MAX];
    struct reach r;
    struct sandbox_options o = options(buffer);
    (void)state;
    o.read = (const char *const[]){"/etc/group", NULL};
    o.exec = (const char *const[]){"/bin/sh", NULL};
    reach_init(&r);
    assert_true(sandbox_list(&o, &r, why));
    assert_true(reach_allows(&r, in("site/page"), REACH_READ));
    assert_false(reach_allows(&r, in("site/page"), REACH_WRITE));
    assert_true(reach_allows(&r, in("data/x/y"), REACH_READ | REACH_WRITE));
    assert_true(reach_allows(&r, in("temp/x"), REACH_READ | REACH_WRITE));
    assert_true(reach_allows(&r, "/etc/passwd", REACH_READ));
    assert_false(reach_allows(&r, "/etc/shadow", REACH_READ));
    assert_false(reach_allows(&r, "/etc/ssl/private/key.pem", REACH_READ));
    assert_false(reach_allows(&r, "/root", REACH_READ));
    assert_false(reach_allows(&r, "/tmp", REACH_READ));
    assert_true(reach_allows(&r, "/dev/null", REACH_READ | REACH_WRITE));
    assert_non_null(realpath("/bin/sh", real));
    assert_true(reach_allows(&r, real, REACH_EXEC));
    assert_false(reach_allows(&r, "/usr/bin/id", REACH_EXEC));
    reach_fini(&r);
    o.exec = NULL;
    assert_true(sandbox_list(&o, &r, why));
    for (size_t i = 0; i < r.n; i++)
        assert_int_equal(r.item[i].rights & REACH_EXEC, 0); // no linker either
    reach_fini(&r);
    o.write = (const char *const[]){"/no/such/path", NULL};
    assert_false(sandbox_list(&o, &r, why));
    assert_string_equal(why, "sandbox.write of config.lua names /no/such/path: "
                             "No such file or directory");
    reach_fini(&r);
}

// In a process of its own -------------------------------------------------------------------------

// Exit statuses of a child, beside the number of the first check that failed.
enum { HOLDS = 0, TRUNCATED = 99, NOT_ENTERED = 100 };

// The status of a child that ran check in the sandbox.
static int inside(const struct sandbox_options *o, struct sandbox_kernel k, int (*check)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct reach r;
        reach_init(&r);
        bool entered = sandbox_list(o, &r, why) && sandbox_enter(&r, o->exec != NULL, k, why);
        if (!entered)
            fprintf(stderr, "%s\n", why);
        reach_fini(&r);
        _exit(entered ? check() : NOT_ENTERED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define HOLD(n, what)   \
    do {                \
        if (!(what))    \
            return (n); \
    } while (0)

static bool refused(long rc, int err)
{
    return rc == -1 && errno == err;
}

static int opens(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : (close(fd), 0);
}

static int check_files(void)
{
    char to[PATH_MAX];
    HOLD(1, opens(in("site/page"), O_RDONLY) == 0);
    HOLD(2, opens(in("site/page"), O_RDWR) == -EACCES);
    HOLD(3, opens(in("site/new"), O_WRONLY | O_CREAT) == -EACCES);
    HOLD(4, opens(in("data/new"), O_WRONLY | O_CREAT | O_TRUNC) == 0);
    int unnamed = opens(in("temp"), O_TMPFILE | O_RDWR | O_EXCL);
    HOLD(5, unnamed == 0 || unnamed == -EOPNOTSUPP);
    HOLD(6, opens("/etc/passwd", O_RDONLY) == 0);
    HOLD(7, opens("/etc/fstab", O_RDONLY) == -EACCES || access("/etc/fstab", F_OK) != 0);
#ifndef __SANITIZE_ADDRESS__ // whose search for leaks reads /proc
    HOLD(8, opens("/proc/self/mem", O_RDONLY) == -EACCES);
#endif
    HOLD(20, opens("/proc/self/mem", O_WRONLY) == -EACCES);
    HOLD(9, opens("/tmp", O_RDONLY | O_DIRECTORY) == -EACCES);
    HOLD(10, opens("/dev/null", O_RDWR) == 0 && opens("/dev/urandom", O_RDONLY) == 0);
    HOLD(11, opens("/proc/self/stat", O_RDONLY) == 0);
    HOLD(12, refused(unlink(in("site/page")), EACCES));
    snprintf(to, sizeof to, "%.4000s/site/note", site);
    HOLD(13, rename(in("data/note"), to) == -1 && (errno == EACCES || errno == EXDEV));
    snprintf(to, sizeof to, "%.4000s/data/page", site);
    // A file that may only be read gets no name where it could be written.
    HOLD(14, link(in("site/page"), to) == -1 && (errno == EACCES || errno == EXDEV));
    HOLD(15, symlink("/etc/fstab", in("data/link")) == 0 || errno == EEXIST);
    HOLD(16, opens(in("data/link"), O_RDONLY) == -EACCES || access("/etc/fstab", F_OK) != 0);
    HOLD(17, refused(mkfifo(in("site/fifo"), 0600), EACCES));
    HOLD(19, mkdir(in("data/folder"), 0700) == 0 && rmdir(in("data/folder")) == 0);
    HOLD(TRUNCATED, refused(truncate(in("site/page"), 0), EACCES)); // the last: from ABI 3 on
    return HOLDS;
}

static bool skip_without(bool what, const char *name)
{
    if (!what)
        print_message("[  SKIPPED ] this kernel has no %s\n", name);
    return !what;
}

static void test_files(void **state)
{
    char buffer[2 * PATH_MAX];
    struct sandbox_options o = options(buffer);
    struct sandbox_kernel k = sandbox_kernel();
    (void)state;
    if (skip_without(k.landlock > 0, "Landlock"))
        skip();
    for (int abi = 1; abi <= k.landlock; abi++) // also as a kernel with an older one would
        assert_int_equal(inside(&o, (struct sandbox_kernel){abi, true}, check_files),
                         abi < 3 ? TRUNCATED : HOLDS);
}

static int check_calls(void)
{
    int status;
    HOLD(1, refused(syscall(SYS_execve, "/bin/true", NULL, NULL), EPERM));
    HOLD(2, refused(syscall(SYS_execveat, -1, "", NULL, NULL, 0), EPERM));
    HOLD(3, refused(syscall(SYS_mount, NULL, "/", NULL, 0, NULL), EPERM));
    HOLD(4, refused(syscall(SYS_bpf, 0, NULL, 0), EPERM));
    HOLD(5, refused(syscall(SYS_keyctl, 0, 0), EPERM));
    HOLD(6, refused(syscall(SYS_unshare, CLONE_NEWUSER), EPERM));
    HOLD(7, refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM));
    HOLD(8, refused(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0), EPERM));
    HOLD(9, refused(syscall(SYS_clone3, NULL, 0), ENOSYS));
    HOLD(10, refused(syscall(SYS_io_uring_setup, 0, NULL), EPERM));
    HOLD(11, refused(syscall(SYS_userfaultfd, 0), EPERM));
    HOLD(12, refused(syscall(SYS_init_module, NULL, 0, ""), EPERM));
    HOLD(13, refused(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0), EPERM));
    HOLD(14, refused(syscall(SYS_pidfd_getfd, -1, 0, 0), EPERM));
    HOLD(15, refused(ioctl(STDIN_FILENO, TIOCSTI, "x"), EPERM));
    HOLD(16, refused(syscall(SYS_ioctl, STDIN_FILENO, 0xffffffff00000000 | TIOCSTI, "x"), EPERM));
    HOLD(17, refused(personality(ADDR_NO_RANDOMIZE), EPERM));
    HOLD(18, personality(0xffffffff) != -1);
    HOLD(19, refused(kill(getppid(), 0), EPERM));
    HOLD(20, refused(kill(0, 0), EPERM));
    HOLD(21, refused(kill(-1, 0), EPERM));
    HOLD(22, kill(getpid(), 0) == 0);
    HOLD(23, refused(syscall(SYS_tkill, getppid(), 0), EPERM));
    HOLD(24, refused(syscall(SYS_open_by_handle_at, -1, NULL, 0), EPERM));
#ifdef __x86_64__
    HOLD(25, refused(syscall(0x40000000 | 39), EPERM)); // x32's getpid
#endif
#ifndef __SANITIZE_ADDRESS__
    HOLD(26, refused(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM)); // PTRACE_TRACEME
#endif
    struct rlimit none = {0, 0}, own;
    HOLD(29, refused(prlimit(getppid(), RLIMIT_CPU, &none, NULL), EPERM));
    HOLD(30, refused(setpriority(PRIO_PROCESS, (id_t)getppid(), 19), EPERM));
    HOLD(31, refused(sched_setscheduler(getppid(), SCHED_IDLE, &(struct sched_param){0}), EPERM));
    HOLD(32, getrlimit(RLIMIT_NOFILE, &own) == 0 && setrlimit(RLIMIT_NOFILE, &own) == 0);
    HOLD(33, setpriority(PRIO_PROCESS, 0, 19) == 0); // 19 may be had by whoever is nice already
    // Still there: children, and what the C library does with clone.
    pid_t pid = fork();
    HOLD(27, pid >= 0);
    if (pid == 0)
        _exit(0);
    HOLD(28, waitpid(pid, &status, 0) == pid);
    return HOLDS;
}

static void *thread(void *arg)
{
    *(bool *)arg = refused(syscall(SYS_execve, "/bin/true", NULL, NULL), EPERM);
    return arg;
}

static int check_threads(void)
{
    pthread_t id;
    bool is_refused = false;
    HOLD(1, pthread_create(&id, NULL, thread, &is_refused) == 0);
    HOLD(2, pthread_join(id, NULL) == 0);
    HOLD(3, is_refused);
    return HOLDS;
}

static void test_calls(void **state)
{
    char buffer[2 * PATH_MAX];
    struct sandbox_options o = options(buffer);
    struct sandbox_kernel k = sandbox_kernel();
    (void)state;
    if (skip_without(k.seccomp, "seccomp"))
        skip();
    // Both with Landlock, whose refusals would look the same, and without.
    assert_int_equal(inside(&o, k, check_calls), HOLDS);
    assert_int_equal(inside(&o, (struct sandbox_kernel){0, true}, check_calls), HOLDS);
    assert_int_equal(inside(&o, k, check_threads), HOLDS);
}

static int run(const char *program)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "-c", ":", (char *)NULL);
        _exit(errno);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int check_programs(void)
{
    HOLD(1, run("/bin/sh") == 0);
    HOLD(2, run("/usr/bin/env") == EACCES);
    HOLD(3, run("/usr/bin/id") == EACCES);
    return HOLDS;
}

static void test_programs_that_are_named(void **state)
{
    char buffer[2 * PATH_MAX];
    struct sandbox_options o = options(buffer);
    struct sandbox_kernel k = sandbox_kernel();
    (void)state;
    if (skip_without(k.landlock > 0, "Landlock"))
        skip();
    o.exec = (const char *const[]){"/bin/sh", NULL};
    assert_int_equal(inside(&o, k, check_programs), HOLDS);
}

// From ABI 6 on Landlock keeps signals inside, also where seccomp lets children be signalled.
static int check_signals(void)
{
    int status;
    HOLD(1, refused(kill(getppid(), 0), EPERM));
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    HOLD(2, kill(pid, SIGKILL) == 0);
    HOLD(3, waitpid(pid, &status, 0) == pid);
    return HOLDS;
}

static void test_signals_stay_inside(void **state)
{
    char buffer[2 * PATH_MAX];
    struct sandbox_options o = options(buffer);
    struct sandbox_kernel k = sandbox_kernel();
    (void)state;
    if (skip_without(k.landlock >= 6, "Landlock of ABI 6"))
        skip();
    o.exec = (const char *const[]){"/bin/sh", NULL};
    assert_int_equal(inside(&o, k, check_signals), HOLDS);
}

static int check_nothing(void)
{
    HOLD(1, opens("/etc/fstab", O_RDONLY) == 0 || access("/etc/fstab", R_OK) != 0);
    HOLD(2, syscall(SYS_unshare, 0) == 0);
    return HOLDS;
}

static void test_a_kernel_that_has_neither(void **state)
{
    char buffer[2 * PATH_MAX];
    struct sandbox_options o = options(buffer);
    (void)state;
    assert_int_equal(inside(&o, (struct sandbox_kernel){0, false}, check_nothing), HOLDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_told_in_words),
        cmocka_unit_test(test_each_abi_knows_more),
        cmocka_unit_test(test_access_of_rights),
        cmocka_unit_test(test_the_list),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_programs_that_are_named),
        cmocka_unit_test(test_signals_stay_inside),
        cmocka_unit_test(test_a_kernel_that_has_neither),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

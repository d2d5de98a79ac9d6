// Files beneath a folder: every way out, everything that must not be seen, both ways of opening.
#include "content/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// Beside the folder "site" lies a secret that nobody may reach.
static char top[] = "/tmp/lunette-file-XXXXXX";
static struct file_root *root;

static void folder(const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
}

static void file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void links(const char *target, const char *path)
{
    assert_int_equal(symlink(target, path), 0);
}

static void local_socket(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

static int make_tree(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    assert_int_equal(chdir(top), 0);
    assert_int_equal(chmod(".", 0755), 0); // for no_right_to_read
    file("secret.txt", "secret");
    folder("site");
    assert_int_equal(chdir("site"), 0);
    file("a.txt", "hello");
    file("empty", "");
    file("a b%\xc3\xa9.html", "odd");
    folder("sub");
    folder("sub/deep");
    file("sub/deep/b.txt", "deep");
    file(".hidden", "h");
    folder(".git");
    file(".git/config", "h");
    folder("sub/.well-known");
    file("sub/.well-known/x", "h");
    folder(".well-known");
    file(".well-known/ok.txt", "known");
    file(".well-known/.no", "h");
    file("...", "h");
    file("locked", "l");
    assert_int_equal(chmod("locked", 0), 0);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    local_socket("socket");
    links("../secret.txt", "out-relative");
    links("sub/../../secret.txt", "out-winding");
    char absolute[PATH_MAX];
    snprintf(absolute, sizeof absolute, "%s/secret.txt", top);
    links(absolute, "out-absolute");
    snprintf(absolute, sizeof absolute, "%s/site/a.txt", top);
    links(absolute, "in-absolute"); // inside, but found from outside
    links("..", "up");
    links("/proc/self/cwd", "magic");
    links("a.txt", "in");
    links("in", "in-chain");
    links("deep", "sub/in-folder");
    links("../a.txt", "sub/in-up");
    links("ring", "ring");
    links("nowhere", "dangling");
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", top);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/site", top);
    return file_root_open(path, &root);
}

static int setup_walk(void **state)
{
    int err = setup(state);
    if (!err)
        file_root_walk(root);
    return err;
}

static int teardown(void **state)
{
    (void)state;
    file_root_close(root);
    return 0;
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void expect_text(struct str path, const char *text)
{
    struct file f;
    char bytes[64];
    int err = file_open(root, path, &f);
    if (err)
        fail_msg("%.*s: %s", STR_ARG(path), strerror(-err));
    assert_false(f.is_dir);
    assert_int_equal(f.size, strlen(text));
    assert_int_equal(read(f.fd, bytes, sizeof bytes), f.size);
    assert_memory_equal(bytes, text, f.size);
    close(f.fd);
}

static void expect_error(struct str path, int want)
{
    struct file f;
    int before = open_descriptors();
    int err = file_open(root, path, &f);
    if (err != want)
        fail_msg("%.*s: %d, not %d", STR_ARG(path), err, want);
    assert_int_equal(open_descriptors(), before);
}

static void what_may_be_seen(void **state)
{
    (void)state;
    expect_text(STR("/a.txt"), "hello");
    expect_text(STR("/empty"), "");
    expect_text(STR("/a b%\xc3\xa9.html"), "odd");
    expect_text(STR("/sub/deep/b.txt"), "deep");
    expect_text(STR("/.well-known/ok.txt"), "known");
}

static void description(void **state)
{
    (void)state;
    struct file f;
    struct stat st;
    assert_int_equal(stat("a.txt", &st), 0);
    assert_int_equal(file_open(root, STR("/a.txt"), &f), 0);
    assert_int_equal(f.inode, st.st_ino);
    assert_int_equal(f.mtime.tv_sec, st.st_mtim.tv_sec);
    assert_int_equal(f.mtime.tv_nsec, st.st_mtim.tv_nsec);
    assert_true(str_eq(f.type, STR("text/plain; charset=utf-8")));
    assert_int_equal(fcntl(f.fd, F_GETFD), FD_CLOEXEC);
    close(f.fd);
}

static void folders(void **state)
{
    (void)state;
    static const struct str paths[] = {STR("/"), STR("/sub"), STR("/sub/"), STR("/sub/deep/"),
                                       STR("/.well-known/")};
    int before = open_descriptors();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct file f;
        assert_int_equal(file_open(root, paths[i], &f), 0);
        assert_true(f.is_dir);
        assert_int_equal(f.fd, -1);
    }
    assert_int_equal(open_descriptors(), before);
}

static void what_may_not_be_seen(void **state)
{
    (void)state;
    static const struct str paths[] = {
        STR("/../secret.txt"),
        STR("/sub/../../secret.txt"),
        STR("/sub/../a.txt"), // not normalised: not ours to do
        STR("/./a.txt"),
        STR("/.."),
        STR("/."),
        STR("//a.txt"),
        STR("//"),
        STR("/sub//deep/b.txt"),
        STR("//etc/passwd"),
        STR("a.txt"),
        STR(""),
        STR("/out-relative"),
        STR("/out-winding"),
        STR("/out-absolute"),
        STR("/in-absolute"),
        STR("/up"),
        STR("/up/secret.txt"),
        STR("/magic"),
        STR("/magic/a.txt"),
        STR("/ring"),
        STR("/ring/x"),
        STR("/dangling"),
        STR("/.hidden"),
        STR("/.git"),
        STR("/.git/"),
        STR("/.git/config"),
        STR("/..."),
        STR("/.well-known/.no"),
        STR("/.well-knownx"),
        STR("/sub/.well-known/x"),
        STR("/fifo"),
        STR("/socket"),
        STR("/fifo/"),
        STR("/nothing"),
        STR("/nothing/b.txt"),
        STR("/a.txt/"),
        STR("/a.txt/b"),
        STR("/in/"),
        STR("/a.txt\0"),
        STR("/a.txt\0.html"),
        STR("/sub\0/deep/b.txt"),
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        expect_error(paths[i], -ENOENT);
}

static void links_inside_are_followed(void **state)
{
    (void)state;
    expect_text(STR("/in"), "hello");
    expect_text(STR("/in-chain"), "hello");
    expect_text(STR("/sub/in-folder/b.txt"), "deep");
    expect_text(STR("/sub/in-up"), "hello");
}

static void links_inside_are_refused(void **state)
{
    (void)state;
    expect_error(STR("/in"), -ENOENT);
    expect_error(STR("/in-chain"), -ENOENT);
    expect_error(STR("/sub/in-folder"), -ENOENT);
    expect_error(STR("/sub/in-folder/"), -ENOENT);
    expect_error(STR("/sub/in-folder/b.txt"), -ENOENT);
    expect_error(STR("/sub/in-up"), -ENOENT);
}

static void long_names(void **state)
{
    (void)state;
    static char path[2 * PATH_MAX];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    expect_error(str_of(path, 256), -ENOENT); // 255 bytes: the longest that a name may be
    expect_error(str_of(path, 257), -ENAMETOOLONG);
    for (size_t i = 2; i < sizeof path; i += 2)
        path[i] = '/';
    expect_error(str_of(path, PATH_MAX), -ENOENT); // with its NUL exactly PATH_MAX
    expect_error(str_of(path, PATH_MAX + 1), -ENAMETOOLONG);
    expect_error(str_of(path, sizeof path), -ENAMETOOLONG);
}

static void no_right_to_read(void **state)
{
    (void)state;
    bool is_root = geteuid() == 0; // who may read everything
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    struct file f;
    int err = file_open(root, STR("/locked"), &f);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(err, -EACCES);
}

static void no_descriptors(void **state)
{
    (void)state;
    struct rlimit normal, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    none = (struct rlimit){3, normal.rlim_max}; // the standard ones are open already
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct file f;
    int err = file_open(root, STR("/sub/deep/b.txt"), &f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
    assert_int_equal(err, -EMFILE);
}

// Every later openat2 of this process fails with err, as under a sandbox that came too late.
static bool refuse_openat2(unsigned err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int opens_under_a_sandbox(unsigned err)
{
    struct file f;
    struct file_root *later;
    if (!refuse_openat2(err))
        return 1;
    if (file_open(root, STR("/sub/deep/b.txt"), &f) != 0 || f.size != 4)
        return 2;
    if (file_open(root, STR("/in"), &f) != -ENOENT)
        return 3;
    if (file_root_open(".", &later) != 0 || file_open(later, STR("/a.txt"), &f) != 0)
        return 4;
    return 0;
}

static void without_openat2(void **state)
{
    (void)state;
    static const unsigned errors[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(opens_under_a_sandbox(errors[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static void asked_again(void **state)
{
    (void)state;
    struct file first, now;
    file("again.txt", "12345");
    assert_int_equal(file_open(root, STR("/again.txt"), &first), 0);
    assert_int_equal(file_again(&first, &now), 0);
    assert_true(file_same(&first, &now));
    assert_int_equal(now.fd, first.fd);
    assert_true(str_eq(now.type, first.type));
    struct timespec times[2] = {{0, 0}, {first.mtime.tv_sec, first.mtime.tv_nsec ^ 1}};
    assert_int_equal(utimensat(AT_FDCWD, "again.txt", times, 0), 0);
    assert_int_equal(file_again(&first, &now), 0);
    assert_false(file_same(&first, &now));
    close(first.fd);
}

// Each fact counts by itself.
static void the_same_file(void **state)
{
    (void)state;
    static const struct file f = {
        .size = 1, .inode = 2, .device = 3, .mtime = {4, 5}, .ctime = {6, 7}};
    struct file others[] = {f, f, f, f, f, f, f, f};
    others[0].size = others[1].inode = others[2].device = 9;
    others[3].mtime.tv_sec = others[4].mtime.tv_nsec = 9;
    others[5].ctime.tv_sec = others[6].ctime.tv_nsec = 9;
    others[7].is_dir = true;
    assert_true(file_same(&f, &f));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(file_same(&f, &others[i]));
}

static void roots_have_numbers(void **state)
{
    (void)state;
    struct file_root *other;
    uint64_t numbers[3] = {file_root_id(root)};
    for (int i = 1; i < 3; i++) {
        assert_int_equal(file_root_open(".", &other), 0);
        numbers[i] = file_root_id(other);
        file_root_close(other);
    }
    assert_true(numbers[0] != numbers[1] && numbers[1] != numbers[2] && numbers[0] != numbers[2]);
}

static void no_such_root(void **state)
{
    (void)state;
    struct file_root *r;
    assert_int_equal(file_root_open("/nowhere/at/all", &r), -ENOENT);
    assert_int_equal(file_root_open("a.txt", &r), -ENOTDIR);
    file_root_close(NULL);
}

#define BOTH(test)                                           \
    {#test, test, setup, teardown, NULL},                    \
    {                                                        \
#test " (walking)", test, setup_walk, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_may_be_seen),
        BOTH(description),
        BOTH(folders),
        BOTH(what_may_not_be_seen),
        BOTH(long_names),
        BOTH(no_right_to_read),
        BOTH(no_descriptors),
        cmocka_unit_test_setup_teardown(links_inside_are_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(links_inside_are_refused, setup_walk, teardown),
        cmocka_unit_test_setup_teardown(without_openat2, setup, teardown),
        cmocka_unit_test_setup_teardown(asked_again, setup, teardown),
        cmocka_unit_test(the_same_file),
        cmocka_unit_test_setup_teardown(roots_have_numbers, setup, teardown),
        cmocka_unit_test(no_such_root),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}

// Rights: whom root becomes, that there is no way back, and what stands in the way of a path.
//
// What needs root is tried in a child when the tests run as root; the rest holds for everybody.
#include "app/privs.h"

#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static bool was_root;
static char folder[] = "/tmp/test_privs_XXXXXX";
static char path[PATH_MAX];

static const char *in(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void touch(const char *name, mode_t mode)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(chmod(in(name), mode), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_privs_XXXXXX");
    return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", folder, folder);
    return system(command);
}

// Runs check in a child that is not root, and gives its result.
static int without_root(int (*check)(void))
{
    char why[PRIVS_WHY_MAX];
    struct identity nobody = {.uid = 65534, .gid = 65534};
    int status;
    was_root = geteuid() == 0;
    pid_t pid = fork();
    if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR1) != 0)
        _exit(101);
    if (pid == 0)
        _exit(geteuid() == 0 && !privs_become(&nobody, why) ? 100 : check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_choice(void **state)
{
    (void)state;
    static const struct {
        const char *user, *group, *expect, *why;
    } rows[] = {
        {"nobody", NULL, "nobody:nogroup", NULL},
        {"65534", NULL, "nobody:nogroup", NULL},
        {"nobody", "12345", "nobody:12345", NULL},
        {"54321", NULL, "54321:nogroup", NULL},
        {"root", NULL, NULL, "lunette never serves as root, and user 'root' is root"},
        {"0", NULL, NULL, "lunette never serves as root, and user 'root' is root"},
        {"nobody", "root", NULL, "lunette never serves as root, and group 'root' is root"},
        {"no-such-user", NULL, NULL, "there is no user 'no-such-user' on this machine"},
        {"nobody", "no-such", NULL, "there is no group 'no-such' on this machine"},
        {"4294967295", NULL, NULL, "there is no user '4294967295' on this machine"},
        {"-1", NULL, NULL, "there is no user '-1' on this machine"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct identity id;
        char why[PRIVS_WHY_MAX] = "", got[200];
        bool ok = privs_choose(rows[i].user, rows[i].group, folder, &id, why);
        if (ok != !rows[i].why)
            fail_msg("%s: %s", rows[i].user, why);
        snprintf(got, sizeof got, "%s:%s", id.user, id.group);
        if (ok)
            assert_string_equal(got, rows[i].expect);
        else if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s", why);
    }
}

static void test_owner(void **state)
{
    (void)state;
    struct identity id;
    char why[PRIVS_WHY_MAX] = "";
    uid_t expected = geteuid() == 0 ? 65534 : geteuid(); // root's own folder is nobody's
    assert_true(privs_choose(NULL, NULL, folder, &id, why));
    assert_int_equal(id.uid, expected);
    assert_int_not_equal(id.gid, 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(folder, 4321, 0), 0);
        assert_true(privs_choose(NULL, NULL, folder, &id, why));
        assert_int_equal(id.uid, 4321);
        assert_int_equal(id.gid, 65534); // not root's group
    }
    assert_false(privs_choose(NULL, NULL, in("missing"), &id, why));
    assert_non_null(strstr(why, "No such file"));
}

static int stays_down(void)
{
    uid_t r, e, s;
    if (getresuid(&r, &e, &s) != 0 || r == 0 || e == 0 || s == 0)
        return 1;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return 2;
    return was_root && (getgroups(0, NULL) != 0 || umask(0) != 007) ? 3 : 0;
}

static void test_no_way_back(void **state)
{
    (void)state;
    char why[PRIVS_WHY_MAX];
    struct identity root = {.uid = 0, .gid = 0, .user = "root", .group = "root"};
    assert_int_equal(without_root(stays_down), 0);
    assert_false(privs_become(&root, why));
    assert_string_equal(why, "cannot become root:root: the target is root");
}

static int still_ends_with_its_parent(void)
{
    int number = 0;
    return prctl(PR_GET_PDEATHSIG, &number) != 0 || number != SIGUSR1;
}

static void test_the_signal_at_the_parents_death_stays(void **state)
{
    (void)state;
    assert_int_equal(without_root(still_ends_with_its_parent), 0);
}

static void test_who_would_reach_a_folder(void **state)
{
    (void)state;
    struct identity nobody = {.uid = 65534, .gid = 65534};
    mkdir(in("way"), 0755);
    mkdir(in("way/site"), 0755);
    bool is_root = geteuid() == 0; // nobody else can become anybody
    assert_int_equal(privs_would_reach(&nobody, in("way/site")), is_root);
    chmod(in("way/site"), 0711);
    assert_false(privs_would_reach(&nobody, in("way/site")));
    chmod(in("way/site"), 0755);
    chmod(in("way"), 0700);
    assert_false(privs_would_reach(&nobody, in("way/site")));
    chmod(in("way"), 0705);
    assert_true(!is_root || chown(in("way"), 0, nobody.gid) == 0); // he may have another group
    assert_int_equal(privs_would_reach(&nobody, in("way/site")), is_root);
    assert_true(!is_root || chown(in("way"), nobody.uid, 0) == 0); // or have closed it himself
    chmod(in("way"), 0007);
    assert_int_equal(privs_would_reach(&nobody, in("way/site")), is_root);
    assert_true(!is_root || chown(in("way"), 0, 0) == 0);
    chmod(in("way"), 0755);
    assert_int_equal(geteuid() == 0, is_root); // it was tried elsewhere
}

// Exit status 10: the outer folder is named, 11: the file, 0: nothing, 1: something else.
static int who_blocks(void)
{
    char blocked[PATH_MAX];
    if (!privs_blocked(in("shut/open/file"), R_OK, blocked))
        return 0;
    if (strcmp(blocked, in("shut")) == 0)
        return 10;
    return strcmp(blocked, in("shut/open/file")) == 0 ? 11 : 1;
}

static void test_the_first_obstacle(void **state)
{
    (void)state;
    char blocked[PATH_MAX];
    mkdir(in("shut"), 0755);
    mkdir(in("shut/open"), 0755);
    touch("shut/open/file", 0644);
    assert_int_equal(without_root(who_blocks), 0);
    chmod(in("shut/open/file"), 0200);
    assert_int_equal(without_root(who_blocks), 11);
    chmod(in("shut"), 0600);
    assert_int_equal(without_root(who_blocks), 10);
    assert_false(privs_blocked(in("missing/at/all"), R_OK, blocked));
    assert_false(privs_blocked("/", R_OK, blocked));
}

static int open_pid(const char *at)
{
    pid_t holder;
    return files_open_pid(at, &holder);
}

static void test_pid_file(void **state)
{
    (void)state;
    char text[32] = "";
    int fd = open_pid(in("pid"));
    assert_true(fd >= 0);
    FILE *f = fopen(in("pid"), "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_int_equal(atoi(text), getpid());
    files_close_pid(in("pid"), fd);
    assert_int_equal(access(in("pid"), F_OK), -1);
    fd = open_pid(in("pid")); // what an earlier run left behind is taken over
    close(fd);
    fd = open_pid(in("pid"));
    assert_true(fd >= 0);
    files_close_pid(in("pid"), fd);
}

// Takes the file again and again until it is ended.
static pid_t start_taker(int fd)
{
    pid_t pid = fork();
    while (pid == 0)
        files_take_pid(fd);
    return pid;
}

static int id_in(int fd)
{
    char text[32] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 ? atoi(text) : 0;
}

static void test_pid_file_is_never_without_an_id(void **state)
{
    (void)state;
    enum { READS = 20000 };
    int fd = open_pid(in("pid")), empty = 0;
    assert_true(fd >= 0);
    assert_true(pwrite(fd, "4194304\n", 8, 0) == 8); // longer than what comes
    pid_t taker = start_taker(fd);
    assert_true(taker > 0);
    for (int i = 0, id = 0; i < READS || id != taker; i++) {
        id = id_in(fd);
        empty += id == 0;
    }
    assert_int_equal(kill(taker, SIGKILL), 0);
    assert_int_equal(waitpid(taker, NULL, 0), taker);
    files_close_pid(in("pid"), fd);
    assert_int_equal(unlink(in("pid")), 0);
    assert_int_equal(empty, 0);
}

static bool has_lock(int fd, short kind)
{
    struct flock l = {.l_type = kind, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static void test_pid_file_of_one_server_alone(void **state)
{
    (void)state;
    pid_t holder = -1;
    int fd = files_open_pid(in("pid"), &holder), reader;
    assert_true(fd >= 0 && holder == 0);
    assert_int_equal(files_open_pid(in("pid"), &holder), -EBUSY);
    assert_int_equal(holder, getpid());
    int inherited = dup(fd);
    close(fd);
    assert_int_equal(open_pid(in("pid")), -EBUSY); // it goes with the last one
    files_free_pid(inherited);
    fd = open_pid(in("pid"));
    assert_true(fd >= 0);
    files_close_pid(in("pid"), inherited); // the other one's by now
    assert_int_equal(access(in("pid"), F_OK), 0);
    assert_int_equal(unlink(in("pid")), 0);
    touch("pid", 0644); // another file at its path
    files_close_pid(in("pid"), fd);
    assert_int_equal(access(in("pid"), F_OK), 0);
    reader = open(in("pid"), O_RDONLY);
    assert_true(reader >= 0 && has_lock(reader, F_RDLCK)); // anybody may have that
    fd = open_pid(in("pid"));
    assert_true(fd >= 0);
    files_close_pid(in("pid"), fd);
    close(reader);
}

static void test_readers_keep_no_server_from_its_pid_file(void **state)
{
    (void)state;
    pid_t holder;
    struct stat st;
    touch("pid", 0644);
    int reader = open(in("pid"), O_RDONLY);
    assert_true(reader >= 0 && has_lock(reader, F_RDLCK));
    int fd = files_open_pid(in("pid"), &holder);
    assert_true(fd >= 0);
    assert_int_equal(files_open_pid(in("pid"), &holder), -EBUSY); // there were two servers
    assert_int_equal(holder, getpid());
    assert_int_equal(stat(in("pid"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(access(in(".pid.new"), F_OK), -1);
    close(reader);
    reader = open(in("pid"), O_RDONLY);
    files_free_pid(fd); // it stops
    assert_true(reader >= 0 && has_lock(reader, F_RDLCK));
    int next = files_open_pid(in("pid"), &holder);
    assert_true(next >= 0);
    files_close_pid(in("pid"), fd);
    assert_int_equal(id_in(next), getpid());
    assert_int_equal(access(in("pid"), F_OK), 0);
    files_close_pid(in("pid"), next);
    assert_int_equal(access(in("pid"), F_OK), -1);
    close(reader);
}

static void test_what_a_start_left_beside_the_pid_file(void **state)
{
    (void)state;
    pid_t holder;
    touch("pid", 0644);
    touch(".pid.new", 0600); // it was killed before it could lock, or exchange
    int reader = open(in("pid"), O_RDONLY);
    assert_true(reader >= 0 && has_lock(reader, F_RDLCK));
    int fd = files_open_pid(in("pid"), &holder);
    assert_true(fd >= 0);
    assert_int_equal(access(in(".pid.new"), F_OK), -1);
    files_close_pid(in("pid"), fd);
    close(reader);
    touch("pid", 0644);
    touch(".pid.new", 0644); // or before it could remove the old one, which readers have
    int other = open(in(".pid.new"), O_RDONLY);
    reader = open(in("pid"), O_RDONLY);
    assert_true(has_lock(other, F_RDLCK) && has_lock(reader, F_RDLCK));
    fd = files_open_pid(in("pid"), &holder);
    assert_true(fd >= 0);
    assert_int_equal(access(in(".pid.new"), F_OK), -1);
    files_close_pid(in("pid"), fd);
    close(reader);
    close(other);
}

// Takes the pid file for a moment, and says on the pipe that it has it; ends when somebody else has it then.
static _Noreturn void compete(const char *at, int *have)
{
    pid_t holder;
    prctl(PR_SET_PDEATHSIG, SIGKILL); // where the test has failed, and its folder is gone
    for (int taken = 0; taken < 500;) {
        int fd = files_open_pid(at, &holder);
        if (fd < 0)
            continue;
        if (__atomic_add_fetch(have, 1, __ATOMIC_SEQ_CST) != 1)
            _exit(1);
        sched_yield();
        __atomic_sub_fetch(have, 1, __ATOMIC_SEQ_CST);
        taken++;
        close(fd); // as one that is killed
    }
    _exit(0);
}

static void test_one_of_many_servers_has_it_whatever_readers_do(void **state)
{
    (void)state;
    enum { SERVERS = 3 };
    pid_t pids[SERVERS], reader;
    int status,
        *have = mmap(NULL, sizeof *have, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char at[PATH_MAX];
    assert_true(have != MAP_FAILED);
    strcpy(at, in("pid"));
    touch("pid", 0644);
    reader = fork();
    if (reader == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (reader == 0) { // has a lock for reading now and then
        int fd = open(at, O_RDONLY);
        has_lock(fd, F_RDLCK);
        sched_yield();
        close(fd);
    }
    for (int i = 0; i < SERVERS; i++)
        if ((pids[i] = fork()) == 0)
            compete(at, have);
    for (int i = 0; i < SERVERS; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    munmap(have, sizeof *have);
    unlink(at);
}

static void test_pid_file_through_links(void **state)
{
    (void)state;
    char target[PATH_MAX];
    touch("victim", 0644);
    snprintf(target, sizeof target, "%s/victim", folder);
    assert_int_equal(symlink(target, in("pid")), 0);
    assert_int_equal(open_pid(in("pid")), -ELOOP);
    assert_int_equal(unlink(in("pid")), 0);
    assert_int_equal(link(target, in("pid")), 0);
    assert_int_equal(open_pid(in("pid")), -EEXIST);
    // a link to a folder: followed where only we can make one, else refused
    assert_int_equal(mkdir(in("real"), 0755), 0);
    assert_int_equal(symlink("./real", in("way")), 0);
    int fd = open_pid(in("way/pid"));
    assert_true(fd >= 0);
    files_close_pid(in("way/pid"), fd);
    assert_int_equal(access(in("real/pid"), F_OK), -1);
    assert_int_equal(chmod(folder, 01777), 0);
    assert_int_equal(open_pid(in("way/pid")), -ELOOP);
    assert_int_equal(symlink("loop", in("loop")), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(open_pid(in("loop/pid")), -ELOOP);
    assert_int_equal(open_pid(in("missing/pid")), -ENOENT);
    assert_int_equal(open_pid(in("real")), -EISDIR);
    assert_int_equal(open_pid(in("victim/pid")), -ENOTDIR);
}

static void test_data_folder(void **state)
{
    (void)state;
    struct stat st;
    struct identity id;
    char data[PATH_MAX];
    privs_current(&id);
    if (id.uid == 0)
        id.uid = id.gid = 65534;
    snprintf(data, sizeof data, "%s/data", folder);
    assert_int_equal(files_make_data(folder, data, &id), 0);
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_uid, id.uid);
    assert_int_equal(st.st_mode & 0777, 0770 & ~(geteuid() == 0 ? 0 : 022));
    assert_int_equal(files_make_data(folder, data, &id), 0); // again
    touch("file", 0644);
    assert_int_equal(files_make_data(folder, in("file"), &id), -ENOTDIR);
    // deeper down, root makes nothing
    snprintf(data, sizeof data, "%s/data/deeper", folder);
    assert_int_equal(files_make_data(folder, data, &id), 0);
    assert_int_equal(access(data, F_OK), geteuid() == 0 ? -1 : 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_choice),
        TEST(test_owner),
        TEST(test_no_way_back),
        TEST(test_the_signal_at_the_parents_death_stays),
        TEST(test_who_would_reach_a_folder),
        TEST(test_the_first_obstacle),
        TEST(test_pid_file),
        TEST(test_pid_file_is_never_without_an_id),
        TEST(test_pid_file_of_one_server_alone),
        TEST(test_readers_keep_no_server_from_its_pid_file),
        TEST(test_what_a_start_left_beside_the_pid_file),
        TEST(test_one_of_many_servers_has_it_whatever_readers_do),
        TEST(test_pid_file_through_links),
        TEST(test_data_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

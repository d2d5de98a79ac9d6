// The default places of control sockets: their names, and whose folders are taken.
#include "app/control.h"
#include "app/control_place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char folder[32];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/lunette-XXXXXX");
    return mkdtemp(folder) ? setenv("RUNTIME_DIRECTORY", folder, 1) : -1;
}

static int teardown(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void a_site_has_a_name_of_its_own(void **state)
{
    (void)state;
    char a[PATH_MAX], b[PATH_MAX], want[PATH_MAX];
    assert_true(control_place(0, "/srv/my site", 0, a));
    size_t n = (size_t)snprintf(want, sizeof want, "%s/my_site-", folder);
    assert_memory_equal(a, want, n);
    assert_int_equal(strspn(a + n, "0123456789abcdef"), 16);
    assert_string_equal(a + n + 16, "/control");
    assert_true(control_place(0, "/srv/other/my site", 0, b));
    assert_memory_equal(b, want, n);
    assert_string_not_equal(a, b);
    assert_true(control_place(0, "/srv/my site", 0, b));
    assert_string_equal(a, b);
    assert_true(control_place(0, "/srv/..x", 0, a)); // no name of it begins with a dot
    assert_non_null(strstr(a, "/_.x-"));
}

static void places_come_in_their_order(void **state)
{
    (void)state;
    char path[PATH_MAX];
    setenv("RUNTIME_DIRECTORY", "/run/one:/run/other", 1);
    setenv("XDG_RUNTIME_DIR", "/run/mine", 1);
    static const char *const begin[CONTROL_PLACES] = {
        "/run/one/s-", "/run/lunette/s-", "/run/mine/lunette/s-", "/run/user/7/lunette/s-",
        "/tmp/lunette-7/s-"};
    for (unsigned i = 0; i < CONTROL_PLACES; i++) {
        assert_true(control_place(i, "/s", 7, path));
        assert_memory_equal(path, begin[i], strlen(begin[i]));
    }
    setenv("RUNTIME_DIRECTORY", "relative", 1);
    unsetenv("XDG_RUNTIME_DIR");
    assert_false(control_place(0, "/s", 7, path));
    assert_false(control_place(2, "/s", 7, path));
    assert_false(control_place(CONTROL_PLACES, "/s", 7, path));
}

static void folders_are_made_for_nobody_else(void **state)
{
    (void)state;
    char path[PATH_MAX], own[PATH_MAX];
    struct stat st;
    assert_true(control_place(0, "/s", geteuid(), path));
    for (int i = 0; i < 2; i++) // also where they are there already
        assert_int_equal(control_place_make(path, NULL), 0);
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(stat(own, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(control_place_check(path, geteuid()), 0);
    assert_int_equal(chmod(own, 0770), 0);
    assert_int_equal(control_place_make(path, NULL), -EPERM);
    assert_int_equal(chmod(own, 0700), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(control_place_make(path, NULL), -EPERM);
    assert_int_equal(control_place_check(path, geteuid()), -EPERM);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char path[PATH_MAX], own[PATH_MAX];
    assert_true(control_place(0, "/s", geteuid(), path));
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(symlink("/tmp", own), 0);
    assert_int_equal(control_place_make(path, NULL), -EPERM);
    setenv("RUNTIME_DIRECTORY", own, 1);
    assert_true(control_place(0, "/s", geteuid(), path));
    assert_int_equal(control_place_make(path, NULL), -EPERM);
}

// A folder that root had given to another user, and what that one left in it.
static const struct identity one = {.uid = 54321, .gid = 54321};
static const struct identity other = {.uid = 54322, .gid = 54322};
static char path[PATH_MAX], own[PATH_MAX];

static void leave(const char *name, const char *how)
{
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "cd %s && %s %s", own, how, name);
    assert_int_equal(system(command), 0);
}

static void give_to_one(void)
{
    if (geteuid() != 0)
        skip();
    assert_true(control_place(0, "/s", 0, path));
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(control_place_make(path, &one), 0);
}

static void expect_folder(uid_t uid, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(own, &st), 0);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void what_another_user_left_is_gone(void **state)
{
    (void)state;
    char kept[64];
    struct file_id id;
    give_to_one();
    snprintf(kept, sizeof kept, "%s/kept", folder);
    assert_int_equal(mkdir(kept, 0700), 0);
    int fd = control_bind(path, &one, &id); // which listens still
    assert_true(fd >= 0);
    leave("file .hidden", "touch");
    leave("../kept link", "ln -s");
    leave("nowhere", "ln -s x");
    leave("empty", "mkdir");
    assert_int_equal(chmod(own, 0777), 0);
    assert_int_equal(control_place_make(path, &one), 0); // one's own stays
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(control_place_make(path, &other), 0);
    expect_folder(other.uid, 0700);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(access(kept, F_OK), 0);
    close(fd);
}

static void what_cannot_be_emptied_is_given_to_nobody(void **state)
{
    (void)state;
    give_to_one();
    leave("folder/more", "mkdir -p");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(control_place_make(path, &other), -ENOTEMPTY);
        expect_folder(0, 0700);
    }
    leave("folder", "rm -r");
    leave("$(seq 1025)", "touch");
    assert_int_equal(control_place_make(path, &other), -ENOTEMPTY);
    assert_int_equal(control_place_make(path, &other), 0); // there are fewer now
    expect_folder(other.uid, 0700);
}

static void a_server_of_roots_keeps_its_place(void **state)
{
    (void)state;
    struct file_id id;
    if (geteuid() != 0)
        skip();
    assert_true(control_place(0, "/s", 0, path));
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(control_place_make(path, NULL), 0);
    int fd = control_bind(path, NULL, &id);
    assert_true(fd >= 0);
    assert_int_equal(control_place_make(path, &other), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    expect_folder(0, 0700);
    close(fd);
    assert_int_equal(control_place_make(path, &other), 0);
    expect_folder(other.uid, 0700);
}

static void whom_it_was_given_to_is_known(void **state)
{
    (void)state;
    uid_t uid = 0;
    give_to_one();
    assert_int_equal(control_place_owner(path, &uid), 0);
    assert_int_equal(uid, one.uid);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(control_place_owner(path, &uid), -ENOENT);
    assert_int_equal(symlink("/tmp", own), 0);
    assert_int_equal(control_place_owner(path, &uid), -ENOTDIR);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_site_has_a_name_of_its_own),      TEST(places_come_in_their_order),
        TEST(folders_are_made_for_nobody_else),  TEST(links_are_not_followed),
        TEST(what_another_user_left_is_gone),    TEST(what_cannot_be_emptied_is_given_to_nobody),
        TEST(a_server_of_roots_keeps_its_place), TEST(whom_it_was_given_to_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The pid file that others may read, and unix sockets that were bound.
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char folder[] = "/tmp/lunette-files-XXXXXX";
static int at = -1;

static int make_folder(void **state)
{
    (void)state;
    at = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return at < 0;
}

static int remove_folder(void **state)
{
    (void)state;
    close(at);
    return rmdir(folder);
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static pid_t said_in(const char *name)
{
    int pid = 0;
    FILE *f = fopen(path_of(name), "r");
    assert_non_null(f);
    if (fscanf(f, "%d", &pid) != 1)
        pid = 0;
    fclose(f);
    return pid;
}

static bool is_there(const char *name)
{
    return faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

// Another one's descriptor of an old pid file, with a lock for reading.
static int read_locked(const char *name)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    close(openat(at, name, O_CREAT | O_WRONLY, 0644));
    int fd = openat(at, name, O_RDONLY);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    return fd;
}

static void another_file_takes_the_place_of_one_that_a_reader_has_locked(void **state)
{
    (void)state;
    pid_t holder;
    int reader = read_locked("pid");
    int fd = files_open_pid(path_of("pid"), &holder);
    assert_true(fd >= 0);
    assert_int_equal(said_in("pid"), getpid());
    assert_int_equal(files_open_pid(path_of("pid"), &holder), -EBUSY);
    assert_int_equal(holder, getpid());
    files_close_pid(path_of("pid"), fd);
    assert_false(is_there("pid") || is_there(".pid.new"));
    close(reader);
}

// It failed for whatever kept the other file from being made.
static void a_reader_holds_no_start_up_where_no_other_file_can_be_made(void **state)
{
    (void)state;
    pid_t holder;
    int reader = read_locked("pid");
    assert_int_equal(mkdirat(at, ".pid.new", 0700), 0);
    int fd = files_open_pid(path_of("pid"), &holder);
    assert_true(fd >= 0);
    assert_int_equal(said_in("pid"), getpid());
    files_close_pid(path_of("pid"), fd);
    assert_int_equal(said_in("pid"), 0);
    close(reader);
    unlinkat(at, ".pid.new", AT_REMOVEDIR);
    unlinkat(at, "pid", 0);
}

static void a_socket_is_noted_and_removed(void **state)
{
    (void)state;
    struct file_id id = {0, 0};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%.100s", path_of("socket"));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(files_own_socket_in(at, "socket", NULL, &id), 0);
    files_remove_socket(path_of("socket"), &id);
    assert_false(is_there("socket"));
    close(fd);
}

// The start that failed for it removed it as the socket that it had made.
static void a_file_in_place_of_the_socket_is_left_alone(void **state)
{
    (void)state;
    struct file_id id = {0, 0};
    close(openat(at, "socket", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(files_own_socket_in(at, "socket", NULL, &id), -EEXIST);
    files_remove_socket(path_of("socket"), &id);
    assert_true(is_there("socket"));
    unlinkat(at, "socket", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_file_takes_the_place_of_one_that_a_reader_has_locked),
        cmocka_unit_test(a_reader_holds_no_start_up_where_no_other_file_can_be_made),
        cmocka_unit_test(a_socket_is_noted_and_removed),
        cmocka_unit_test(a_file_in_place_of_the_socket_is_left_alone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

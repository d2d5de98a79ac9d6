// Listening sockets on loopback and in a temporary folder.
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "net/listener.h"

static struct loop *loop;
static char folder[40];
static int accepted, last_fd;
static struct addr last_peer;
static struct listener *frees; // listener to be freed by the callback

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    strcpy(folder, "/tmp/test_listener.XXXXXX");
    accepted = 0;
    frees = NULL;
    return loop && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return rmdir(folder); // tests remove what they made
}

static struct addr parse(const char *text)
{
    struct addr a;
    const char *why;
    assert_int_equal(addr_parse(str_z(text), &a, &why), 0);
    return a;
}

static struct addr unix_addr(void)
{
    char text[60];
    snprintf(text, sizeof text, "unix:%s/s", folder);
    return parse(text);
}

static int dial(int listening)
{
    struct addr a = {.len = sizeof a.storage};
    assert_int_equal(getsockname(listening, &a.sa, &a.len), 0);
    int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &a.sa, a.len), 0);
    return fd;
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
    assert_ptr_equal(arg, &accepted);
    accepted++;
    last_fd = fd;
    last_peer = *peer;
    if (frees)
        listener_free(frees);
}

static void tcp_connections_inherit_their_options(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    assert_true(fd >= 0);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    int client = dial(fd);
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 1);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(last_fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    assert_true(fcntl(last_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(last_fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(addr_is_loopback(&last_peer));
    struct addr self = {.len = sizeof self.storage};
    getsockname(client, &self.sa, &self.len);
    assert_int_equal(addr_port(&last_peer), addr_port(&self));
    close(client);
    close(last_fd);
    listener_free(li);
    close(fd);
}

static void one_connection_a_turn(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = dial(fd);
    for (int i = 1; i <= 3; i++) {
        loop_turn(loop, 1000);
        assert_int_equal(accepted, i);
        close(last_fd);
        close(clients[i - 1]);
    }
    listener_free(li);
    close(fd);
}

static void those_of_a_stopped_one_wait_for_another(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    listener_stop(li);
    listener_stop(li);
    int client = dial(fd);
    loop_turn(loop, 20);
    listener_wake(li);
    assert_int_equal(accepted, 0);
    listener_free(li);
    li = listener_new(loop, fd, on_accept, &accepted);
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 1);
    close(client);
    close(last_fd);
    listener_free(li);
    close(fd);
}

static bool others_are_free;
static unsigned asked;

static bool yields(void *arg)
{
    assert_ptr_equal(arg, &accepted);
    asked++;
    return others_are_free;
}

static void what_another_worker_should_have_is_left_for_2_ms(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    listener_share(li, yields);
    others_are_free = true;
    asked = 0;
    int first = dial(fd);
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 0); // it stepped aside
    for (int i = 0; i < 100 && accepted == 0; i++)
        loop_turn(loop, 10);
    assert_int_equal(accepted, 1); // nobody else took it
    close(last_fd);
    int second = dial(fd); // and for a while nobody is asked
    unsigned before = asked;
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 2);
    assert_int_equal(asked, before);
    close(last_fd);
    close(first);
    close(second);
    listener_free(li);
    close(fd);
}

static void a_woken_listener_takes_what_waits(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10), clients[3];
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    listener_share(li, yields);
    others_are_free = false;
    for (int i = 0; i < 3; i++)
        clients[i] = dial(fd);
    listener_wake(li); // all at once, without waiting for events
    assert_int_equal(accepted, 3);
    others_are_free = true;
    int late = dial(fd);
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 3); // aside
    others_are_free = false;
    listener_wake(li); // the others say that it is this one's turn
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 4);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    close(late);
    close(last_fd);
    listener_free(li);
    close(fd);
}

static void the_callback_may_free_the_listener(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    frees = listener_new(loop, fd, on_accept, &accepted);
    int client = dial(fd);
    loop_turn(loop, 1000);
    loop_turn(loop, 10);
    assert_int_equal(accepted, 1);
    close(client);
    close(last_fd);
    close(fd);
}

static void ports_in_use_are_refused(void **state)
{
    (void)state;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    assert_true(fd >= 0);
    a.len = sizeof a.storage;
    getsockname(fd, &a.sa, &a.len);
    assert_int_equal(listener_open(&a, 10), -EADDRINUSE);
    close(fd);
    fd = listener_open(&a, 10);
    assert_true(fd >= 0);
    close(fd);
}

static void v6_is_v6_only(void **state)
{
    (void)state;
    struct addr a = parse("[::1]:0");
    int fd = listener_open(&a, 10);
    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)
        skip(); // a machine without IPv6
    assert_true(fd >= 0);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, &len), 0);
    assert_true(on);
    close(fd);
}

static void a_unix_socket_in_use_is_left_alone(void **state)
{
    (void)state;
    struct addr a = unix_addr();
    int fd = listener_open(&a, 10);
    assert_true(fd >= 0);
    assert_int_equal(listener_open(&a, 10), -EADDRINUSE);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    loop_turn(loop, 100); // the connection that asked whether somebody is there
    close(last_fd);
    int client = dial(fd);
    loop_turn(loop, 1000);
    assert_int_equal(accepted, 2);
    char text[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(&last_peer, text), "unix:");
    close(client);
    close(last_fd);
    listener_free(li);
    close(fd);
    unlink(a.un.sun_path);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    (void)state;
    struct addr a = unix_addr();
    close(listener_open(&a, 10)); // its file stays
    assert_int_equal(access(a.un.sun_path, F_OK), 0);
    int fd = listener_open(&a, 10);
    assert_true(fd >= 0);
    close(dial(fd));
    close(fd);
    unlink(a.un.sun_path);
}

// connect() is refused by these too; they are somebody's, and stay.
static void what_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    struct addr a = unix_addr();
    int file = open(a.un.sun_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(file, "mine", 4), 4);
    close(file);
    assert_int_equal(listener_open(&a, 10), -EADDRINUSE);
    struct stat st;
    assert_int_equal(stat(a.un.sun_path, &st), 0);
    assert_int_equal(st.st_size, 4);
    unlink(a.un.sun_path);

    assert_int_equal(symlink("/nowhere/at/all", a.un.sun_path), 0);
    assert_int_equal(listener_open(&a, 10), -EADDRINUSE);
    assert_int_equal(unlink(a.un.sun_path), 0);
}

static void errors_are_told(void **state)
{
    (void)state;
    struct addr a = parse("unix:/nowhere/at/all");
    assert_int_equal(listener_open(&a, 10), -ENOENT);
    errno = 0;
    int file = open("/dev/null", O_RDONLY);
    assert_null(listener_new(loop, file, on_accept, &accepted));
    assert_int_equal(errno, EPERM);
    close(file);
    listener_free(NULL);
}

// How often text stands in the file.
static int count_in_file(const char *path, const char *text)
{
    static char bytes[10000];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    bytes[n < 0 ? 0 : n] = '\0';
    int count = 0;
    for (const char *at = bytes; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static void turns_for(uint64_t ms)
{
    loop_update_time(loop);
    for (uint64_t end = loop_now(loop) + ms; loop_now(loop) < end;)
        loop_turn(loop, 10);
}

// In a child of its own, which runs out of descriptors twice. Returns what went wrong, 0 for
// nothing.
static int starve_twice(const char *log_path)
{
    const char *failed;
    struct log_options o = {.error = log_path, .access = "off", .level = LOG_WARN};
    if (log_open(&o, &failed) < 0)
        return 1;
    struct addr a = parse("127.0.0.1:0");
    int fd = listener_open(&a, 10);
    struct listener *li = listener_new(loop, fd, on_accept, &accepted);
    struct rlimit enough, tight;
    getrlimit(RLIMIT_NOFILE, &enough);
    for (int round = 1; round <= 2; round++) {
        dial(fd);
        int next = dup(0);
        close(next);
        tight = (struct rlimit){(rlim_t)next, enough.rlim_max};
        setrlimit(RLIMIT_NOFILE, &tight);
        clock_t cpu = clock();
        turns_for(350); // three tries and more
        if (accepted != round - 1)
            return 2;
        if (clock() - cpu > CLOCKS_PER_SEC / 10)
            return 3; // it spun
        setrlimit(RLIMIT_NOFILE, &enough);
        turns_for(150);
        if (accepted != round)
            return 4;
        if (count_in_file(log_path, "cannot accept") != round)
            return 5;
    }
    listener_free(li);
    close(fd);
    return 0;
}

static void without_descriptors_it_pauses_and_says_so_once(void **state)
{
    (void)state;
    char log_path[60];
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    pid_t child = fork();
    if (child == 0)
        _exit(starve_twice(log_path));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    unlink(log_path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(tcp_connections_inherit_their_options),
        TEST(one_connection_a_turn),
        TEST(those_of_a_stopped_one_wait_for_another),
        TEST(what_another_worker_should_have_is_left_for_2_ms),
        TEST(a_woken_listener_takes_what_waits),
        TEST(the_callback_may_free_the_listener),
        TEST(ports_in_use_are_refused),
        TEST(v6_is_v6_only),
        TEST(a_unix_socket_in_use_is_left_alone),
        TEST(a_stale_unix_socket_is_replaced),
        TEST(what_is_no_socket_is_left_alone),
        TEST(errors_are_told),
        TEST(without_descriptors_it_pauses_and_says_so_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What the service manager is told, and how its variables are read.
#include "app/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static int manager = -1;
static char address[64];

static int setup(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)state;
    snprintf(address, sizeof address, "@lunette-unit-%d", (int)getpid());
    memcpy(a.sun_path + 1, address + 1, strlen(address) - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    setenv("NOTIFY_SOCKET", address, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return bind(manager, (struct sockaddr *)&a, n);
}

static int teardown(void **state)
{
    (void)state;
    return close(manager);
}

static const char *heard(void)
{
    static char text[4096];
    ssize_t n = recv(manager, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void it_is_told_and_the_variables_go(void **state)
{
    struct notify n;
    (void)state;
    notify_open(&n);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_int_equal(notify_due(&n), INT64_MAX);
    notify_tell(&n, "READY=%d\nSTATUS=%s", 1, "well");
    assert_string_equal(heard(), "READY=1\nSTATUS=well");
    notify_turn(&n, 1000);
    assert_string_equal(heard(), "");
    notify_pass_on(&n, 7);
    assert_string_equal(getenv("NOTIFY_SOCKET"), address);
    assert_null(getenv("WATCHDOG_PID"));
    notify_close(&n);
    notify_tell(&n, "READY=1"); // harmless
}

static void the_watchdog_is_fed_at_half_its_time(void **state)
{
    struct notify n;
    char pid[24];
    (void)state;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    notify_open(&n);
    assert_null(getenv("WATCHDOG_USEC"));
    notify_turn(&n, 10000);
    assert_string_equal(heard(), "WATCHDOG=1");
    assert_int_equal(notify_due(&n), 11500);
    notify_turn(&n, 11499);
    assert_string_equal(heard(), "");
    notify_turn(&n, 11500);
    assert_string_equal(heard(), "WATCHDOG=1");
    notify_pass_on(&n, 77);
    assert_string_equal(getenv("WATCHDOG_USEC"), "3000000");
    assert_string_equal(getenv("WATCHDOG_PID"), "77");
    notify_close(&n);
}

static void nonsense_is_nobody(void **state)
{
    static const char *const addresses[] = {"", "/", "@", "relative", "tcp:1"};
    static const char *const times[] = {"0", "-1", "soon", "99999999999999999999",
                                        "9999999999999999"};
    struct notify n;
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        setenv("NOTIFY_SOCKET", addresses[i], 1);
        notify_open(&n);
        assert_int_equal(n.fd, -1);
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        setenv("NOTIFY_SOCKET", address, 1);
        setenv("WATCHDOG_USEC", times[i], 1);
        notify_open(&n);
        assert_int_equal(notify_due(&n), INT64_MAX);
        notify_close(&n);
    }
}

static void a_manager_that_is_gone_is_no_error(void **state)
{
    struct notify n;
    (void)state;
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify_open(&n);
    assert_true(n.fd >= 0);
    notify_tell(&n, "READY=1");
    assert_true(n.failed); // which the log has, once
    notify_tell(&n, "READY=1");
    notify_close(&n);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_told_and_the_variables_go),
        TEST(the_watchdog_is_fed_at_half_its_time),
        TEST(nonsense_is_nobody),
        TEST(a_manager_that_is_gone_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

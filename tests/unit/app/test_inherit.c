// Sockets and other descriptors that the program was started with.
#include "app/inherit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static struct inherited in;
static char *arguments[] = {(char *)"./lunette", NULL};

static int listening(struct addr *a)
{
    const char *why;
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), a, &why), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &a->sa, a->len), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, &a->sa, &a->len), 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void nothing_is_inherited(void **state)
{
    (void)state;
    char here[PATH_MAX], there[2 * PATH_MAX];
    inherit_read(&in, arguments);
    assert_int_equal(in.n, 0);
    assert_true(!in.replaces && in.line < 0 && in.cache < 0 && in.pid_file < 0);
    snprintf(there, sizeof there, "%s/./lunette", getcwd(here, sizeof here));
    assert_string_equal(in.program, there);
    inherit_close_rest(&in);
}

static void a_predecessor_hands_over(void **state)
{
    (void)state;
    struct addr one, other, zero;
    const char *why;
    char sockets[600] = "", handover[200];
    int a = listening(&one), b = listening(&other), c = listening(&(struct addr){.len = 0});
    int file = open("/dev/null", O_RDWR), line = dup(file), reaper = dup(file);
    char text[ADDR_TEXT_MAX];
    assert_true(inherit_note(sockets, sizeof sockets, a, true, addr_format(&one, text)));
    assert_true(inherit_note(sockets, sizeof sockets, b, false, "127.0.0.1:0"));
    assert_true(inherit_note(sockets, sizeof sockets, c, false, "127.0.0.1:1"));
    assert_false(inherit_note(sockets, 60, c, false, "127.0.0.1:1"));
    setenv("LUNETTE_SOCKETS", sockets, 1);
    snprintf(handover, sizeof handover,
             "first=128 inode=99 line=%d pid_file=%d cache=9999 other=3 reaper=%d", line, file,
             reaper);
    setenv("LUNETTE_HANDOVER", handover, 1);
    inherit_read(&in, arguments);
    assert_true(!getenv("LUNETTE_SOCKETS") && !getenv("LUNETTE_HANDOVER"));
    assert_true(in.replaces && in.n == 3 && in.line == line && in.pid_file == file);
    assert_true(in.reaper == reaper && fcntl(reaper, F_GETFD) & FD_CLOEXEC);
    assert_true(in.cache < 0 && in.control < 0 && in.cache_first == 128 && in.control_inode == 99);
    assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC && fcntl(file, F_GETFD) & FD_CLOEXEC);
    const struct inherited_socket *s = inherit_find(&in, &one);
    assert_true(s && s->fd == a && s->shared);
    assert_null(inherit_find(&in, &one)); // taken
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &zero, &why), 0);
    s = inherit_find(&in, &zero);
    assert_true(s && s->fd == b && !s->shared);
    inherit_close_rest(&in);
    assert_true(is_open(a) && is_open(b) && !is_open(c) && !is_open(file) && is_open(line));
    assert_true(is_open(reaper));
    assert_int_equal(inherit_take(&in.line), line);
    assert_int_equal(in.line, -1);
    close(a), close(b), close(line), close(reaper);
}

static void nonsense_is_left_out(void **state)
{
    static const char *const rows[] = {"",
                                       "\n",
                                       "x=127.0.0.1:1\n",
                                       "=",
                                       "9999=127.0.0.1:1\n",
                                       "-3=127.0.0.1:1\n",
                                       "99999999999=127.0.0.1:1"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("LUNETTE_SOCKETS", rows[i], 1);
        setenv("LUNETTE_HANDOVER", rows[i], 1);
        inherit_read(&in, arguments);
        assert_int_equal(in.n, 0);
        assert_int_equal(in.line, -1);
    }
}

static void what_is_meant_for_another_process_stays(void **state)
{
    (void)state;
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    inherit_read(&in, arguments);
    assert_int_equal(in.n, 0);
    assert_null(getenv("LISTEN_FDS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_inherited),
        cmocka_unit_test(a_predecessor_hands_over),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(what_is_meant_for_another_process_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

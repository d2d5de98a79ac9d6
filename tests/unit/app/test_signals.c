// How a worker is told of its end: in children, which are the workers.
#include "app/signals.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

enum { PATIENCE = 10 * 1000 };

// In the child: says that it is ready, and returns what it is told within PATIENCE; 0: nothing.
static uint64_t hear(int ready, bool ignores_quit)
{
    uint64_t told = 0;
    int fd = signals_catch_end();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (ignores_quit) // as system() has it while its program runs
        signal(SIGQUIT, SIG_IGN);
    if (fd < 0 || write(ready, "", 1) != 1)
        return 0;
    while (poll(&p, 1, PATIENCE) < 0)
        continue;
    return read(fd, &told, sizeof told) == sizeof told ? told : 0;
}

// Whether a worker that was told so by its master hears of an end, and of one at once.
static void tell(int signo, bool ignores_quit, bool *end, bool *at_once)
{
    int ready[2], status;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t worker = fork();
    if (worker == 0) {
        uint64_t told = hear(ready[1], ignores_quit);
        _exit(told >= SIGNALS_AT_ONCE ? 2 : told > 0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    signals_tell_worker(worker, signo);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_true(WIFEXITED(status));
    *end = WEXITSTATUS(status) > 0;
    *at_once = WEXITSTATUS(status) == 2;
    close(ready[0]);
    close(ready[1]);
}

static void a_worker_hears_of_its_end(void **state)
{
    (void)state;
    bool end, at_once;
    tell(SIGTERM, false, &end, &at_once);
    assert_true(end && !at_once);
    tell(SIGQUIT, false, &end, &at_once);
    assert_true(end && at_once);
}

// It was lost.
static void a_quit_is_heard_while_the_c_library_ignores_it(void **state)
{
    (void)state;
    bool end, at_once;
    tell(SIGQUIT, true, &end, &at_once);
    assert_true(end && at_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_hears_of_its_end),
        cmocka_unit_test(a_quit_is_heard_while_the_c_library_ignores_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Descriptors as a whole: what is kept, and that nothing else is. In children, which lose theirs.
#include "base/io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// Whether the child, which has the pipe's other end somewhere, keeps that alone, as the next descriptor.
static bool keeps_alone(bool is_next_already)
{
    int fds[2], next = STDERR_FILENO + 1;
    if (is_next_already)
        close(next);
    if (pipe(fds) != 0) // the first is the next one where that is free
        return false;
    int kept = fds[!is_next_already];
    if (is_next_already && kept != next)
        return false;
    bool moved = io_keep_alone(kept) == next && fcntl(next, F_GETFD) == FD_CLOEXEC;
    for (int fd = next + 1; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return false;
    for (int fd = 0; fd < next; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return false;
    bool writes = (fcntl(next, F_GETFL) & O_ACCMODE) == O_WRONLY;
    return moved && writes == !is_next_already;
}

static void one_descriptor_is_kept_beside_the_standard_ones(void **state)
{
    (void)state;
    for (int is_next = 0; is_next <= 1; is_next++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(keeps_alone(is_next) ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_descriptor_is_kept_beside_the_standard_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

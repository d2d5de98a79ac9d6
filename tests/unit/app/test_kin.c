// Which processes come from which, and elders: masters that stay for what their scripts have started.
#include "app/kin.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

// A child that sleeps until it is killed, or its parent has ended.
static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sleep(60);
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void descendants_are_known(void **state)
{
    (void)state;
    pid_t child = sleeper();
    assert_true(kin_descends(child, getpid()));
    assert_true(kin_descends(child, getppid()));
    assert_false(kin_descends(getpid(), child));
    assert_false(kin_descends(getpid(), getpid()));
    assert_false(kin_descends(getppid(), getpid()));
    assert_false(kin_descends(1, getpid()));
    end(child);
    assert_true(kin_descends(child, getppid())); // not to be told
}

// Runs job in a child that takes in orphans; what it returns.
static int in_an_elder(int (*job)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        alarm(30);
        _exit(job());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int one_with_an_elder_above(void)
{
    int status;
    kin_become_elder(4194304);
    pid_t pid = fork();
    if (pid == 0) {
        if (kin_elder() != getppid())
            _exit(1);
        kin_become_elder(7); // the older one counts
        pid = fork();
        if (pid == 0)
            _exit(kin_elder() > 0 && kin_descends(getppid(), kin_elder()) ? 0 : 2);
        waitpid(pid, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void elders_are_known_by_their_name(void **state)
{
    (void)state;
    assert_int_equal(kin_elder(), 0);
    assert_int_equal(in_an_elder(one_with_an_elder_above), 0);
}

// The heir alone is nothing to wait for.
static int without_orphans(void)
{
    pid_t heir = sleeper();
    kin_outlast(heir);
    return kill(heir, 0);
}

// An orphan's own child is waited for, too: it becomes ours.
static int with_orphans(void)
{
    pid_t heir = sleeper(), orphan = fork();
    if (orphan == 0) {
        if (fork() == 0)
            usleep(200 * 1000);
        _exit(0);
    }
    kin_outlast(heir);
    return kill(heir, 0) != 0 || waitpid(-1, NULL, WNOHANG) != 0;
}

// The end of the server ends it, whatever lives still.
static int until_the_heir_ends(void)
{
    sleeper();
    pid_t heir = fork();
    if (heir == 0) {
        usleep(100 * 1000);
        _exit(0);
    }
    kin_outlast(heir);
    return kill(heir, 0) == 0; // it was waited for
}

// The heir has given way to another, which comes to us.
static int until_the_heirs_heir_ends(void)
{
    int line[2];
    pid_t heir, second = 0;
    sleeper();
    if (pipe(line) != 0)
        return 1;
    heir = fork();
    if (heir == 0) {
        second = fork();
        if (second == 0) {
            usleep(300 * 1000);
            _exit(0);
        }
        kin_become_elder(second);
        _exit(write(line[1], &second, sizeof second) != sizeof second);
    }
    if (read(line[0], &second, sizeof second) != sizeof second)
        return 1;
    kin_outlast(heir);
    return kill(second, 0) == 0;
}

// One that came before counts, too, and is no end by a signal.
static int until_it_is_asked_to_end(void)
{
    sigset_t term;
    pid_t heir = sleeper();
    sleeper();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    kill(getpid(), SIGTERM);
    kin_outlast(heir);
    return kill(heir, 0);
}

static void an_elder_outlasts_what_scripts_have_started(void **state)
{
    (void)state;
    assert_int_equal(in_an_elder(without_orphans), 0);
    assert_int_equal(in_an_elder(with_orphans), 0);
    assert_int_equal(in_an_elder(until_the_heir_ends), 0);
    assert_int_equal(in_an_elder(until_the_heirs_heir_ends), 0);
    assert_int_equal(in_an_elder(until_it_is_asked_to_end), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descendants_are_known),
        cmocka_unit_test(elders_are_known_by_their_name),
        cmocka_unit_test(an_elder_outlasts_what_scripts_have_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

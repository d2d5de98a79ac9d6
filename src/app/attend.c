// A child that is waited for: see the header.
#include "app/attend.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void attend_begin(struct attend *a)
{
    static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    a->signal = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); // where it is ignored there is nothing to wait for
    sigemptyset(&a->taken);
    sigaddset(&a->taken, SIGCHLD);
    for (size_t i = 0; i < sizeof enders / sizeof *enders; i++)
        if (!is_ignored(enders[i]))
            sigaddset(&a->taken, enders[i]);
    sigprocmask(SIG_BLOCK, &a->taken, &a->before);
}

static int wait_for(struct attend *a, pid_t child)
{
    int status;
    while (waitpid(child, &status, WNOHANG) != child) {
        int got = sigwaitinfo(&a->taken, NULL);
        if (got < 0 || got == SIGCHLD)
            continue;
        a->signal = got;
        kill(child, SIGKILL);
        waitpid(child, &status, 0); // no handler can interrupt it: all are blocked
        break;
    }
    if (!a->signal && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
        a->signal = SIGINT; // the terminal's, which is ours, too
    return status;
}

int attend_run(struct attend *a, int (*fn)(void *arg), void *arg)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return -errno;
    if (child > 0)
        return wait_for(a, child);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &a->before, NULL);
    exit(getppid() == parent ? fn(arg) : 1);
}

void attend_end(const struct attend *a)
{
    if (!a->signal)
        return;
    signal(a->signal, SIG_DFL);
    raise(a->signal);
    sigprocmask(SIG_SETMASK, &a->before, NULL);
}

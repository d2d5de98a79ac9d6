// The signals that the master hears: see the header.
#include "app/signals.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int harmless[] = {SIGHUP, SIGUSR1, SIGUSR2};
static const int enders[] = {SIGTERM, SIGINT, SIGQUIT};

static bool held; // and no more than that

static void all(sigset_t *set, bool with_enders)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        sigaddset(set, harmless[i]);
    for (size_t i = 0; with_enders && i < sizeof enders / sizeof *enders; i++)
        sigaddset(set, enders[i]);
}

void signals_hold(void)
{
    sigset_t set;
    all(&set, getpid() == 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    held = true;
}

void signals_block(sigset_t *set)
{
    all(set, true);
    sigaddset(set, SIGCHLD);
    sigprocmask(SIG_BLOCK, set, NULL);
    held = false;
}

void signals_release_for_heir(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof enders / sizeof *enders; i++)
        sigaddset(&set, enders[i]);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void signals_release_held(void)
{
    sigset_t set;
    all(&set, true);
    sigaddset(&set, SIGCHLD);
    if (held)
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int signals_open(const sigset_t *set)
{
    return signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
}

// Of a worker -------------------------------------------------------------------------------------

enum { MARK = 0x51554954 }; // of a TERM that stands for a QUIT

static _Atomic int end_fd = -1; // where an end is told
static pid_t end_owner;

static void do_nothing(int signo)
{
    (void)signo;
}

void signals_spare(int signo)
{
    signal(signo, do_nothing); // SIG_IGN would go on in the program
}

// What is not the worker, but was forked there, ends by the signal once this has returned.
static void tell_end(int signo, siginfo_t *info, void *context)
{
    int err = errno, fd = end_fd;
    bool marked = info->si_code == SI_QUEUE && info->si_value.sival_int == MARK;
    uint64_t word = signo == SIGQUIT || marked ? SIGNALS_AT_ONCE : 1;
    (void)context;
    if (getpid() != end_owner) {
        signal(signo, SIG_DFL);
        raise(signo);
    } else if (fd >= 0 && write(fd, &word, sizeof word) < 0) {
        // the counter is full: it has been told often enough
    }
    errno = err;
}

int signals_catch_end(void)
{
    struct sigaction action = {.sa_sigaction = tell_end, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t none;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -1;
    end_owner = getpid();
    end_fd = fd;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return fd;
}

void signals_tell_worker(pid_t worker, int signo)
{
    kill(worker, signo);
    if (signo == SIGQUIT)
        sigqueue(worker, SIGTERM, (union sigval){.sival_int = MARK});
}

void signals_forget_end(int fd)
{
    end_fd = -1;
    close(fd);
}

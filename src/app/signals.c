// The signals that the master hears: see the header.
#include "app/signals.h"

#include <stdbool.h>
#include <stddef.h>
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

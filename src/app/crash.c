// Crashes: see the header. The handler puts back what was there before it looks at anything, so that a
// crash within it is the end, too.
#include "app/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { STACK = 64 * 1024 };

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { FATAL = sizeof fatal / sizeof *fatal };

static struct flights *_Atomic flights; // for the signal handler
static struct watchdog *_Atomic watchdog;
static struct sigaction before[FATAL];

static void note(struct flights *f)
{
    struct watchdog *w = atomic_load(&watchdog);
    struct watchdog_words words = {.n = 0};
    if (!w || !watchdog_what(w, &words))
        return;
    size_t n = words.n < FLIGHTS_RAN - 1 ? words.n : FLIGHTS_RAN - 1;
    for (size_t i = 0; i < n; i++)
        f->ran[i] = words.text[i];
    f->ran[n] = '\0';
}

// A fault happens again when the handler returns, to what was there before; a signal that was sent
// does not, and is sent again.
static void on_fatal(int signo, siginfo_t *info, void *context)
{
    (void)context;
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &before[i], NULL);
    struct flights *f = atomic_load(&flights);
    if (f)
        note(f);
    if (info->si_code <= 0)
        raise(signo);
}

// A stack that ran over needs another one. A sanitizer has brought its own.
static void give_stack(void)
{
    static char stack[STACK];
    stack_t now, own = {.ss_sp = stack, .ss_size = sizeof stack};
    if (sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE)
        sigaltstack(&own, NULL);
}

void crash_watch(struct flights *f, struct watchdog *w)
{
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    atomic_store(&flights, f);
    atomic_store(&watchdog, w);
    give_stack();
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &action, &before[i]);
}

void crash_forget(void)
{
    atomic_store(&watchdog, NULL);
}

// The watchdog: see the header. The worker's thread writes `run`, odd while a run is under way and
// never the same again; the watchdog's thread writes `sentence`, the run that a signal is meant for
// and its step. The signal handler runs in the worker's thread, where `run` stands still meanwhile:
// a signal that comes when its run is over meets another number, and does nothing.
#include "net/watchdog.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PACE_MIN = 5,
    PACE_MAX = 100, // ms between two looks
    STEP_BITS = 2,
    WORDS_MAX = 150, // ms more that options.lost waits for words
};

// How long after the step before it each step is taken; with WORDS_MAX a second. Most of it is for a run
// that unwinds: out of Lua 200,000 calls deep that takes a tenth of a second, and a busy machine lends it
// a fifth of a processor.
static const uint32_t step_after[] = {
    [WATCHDOG_STILL] = 100,
    [WATCHDOG_LOST] = 700,
    [WATCHDOG_LOST + 1] = 50, // options.lost
};

struct watchdog {
    struct watchdog_options options;
    uint32_t pace;
    pthread_t worker, thread;
    void *subject; // of the run; for the signal handler
    _Atomic uint64_t run;
    _Atomic uint64_t sentence;  // run << STEP_BITS | step
    _Atomic uint64_t described; // the run that words are about
    _Atomic uint32_t asleep;    // futex: 1 while the thread waits for a run to begin
    _Atomic uint32_t stopping;  // futex
    struct watchdog_words words;
};

// What the thread knows of a run.
struct view {
    uint64_t run;
    uint64_t looked; // when it looked last
    uint64_t age;    // ms that it has seen the run for
    uint64_t due;    // the age at which the next step is taken
    unsigned step;   // the next step
};

static struct watchdog *_Atomic current; // for the signal handler

// Words

void watchdog_say(struct watchdog_words *words, struct str s)
{
    size_t room = sizeof words->text - 1 - words->n;
    size_t n = s.n < room ? s.n : room;
    for (size_t i = 0; i < n; i++)
        words->text[words->n++] = s.p[i];
    words->text[words->n] = '\0';
}

void watchdog_say_number(struct watchdog_words *words, unsigned number)
{
    char digits[10];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    watchdog_say(words, str_of(digits + at, sizeof digits - at));
}

// The worker's side

static void wake(_Atomic uint32_t *futex)
{
    syscall(SYS_futex, futex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

// The store and the look at asleep must not change places, nor those of the thread: one of the two
// sees what the other wrote.
void watchdog_begin(struct watchdog *w, void *subject)
{
    w->subject = subject;
    atomic_store(&w->run, atomic_load_explicit(&w->run, memory_order_relaxed) + 1);
    if (atomic_load(&w->asleep) && atomic_exchange(&w->asleep, 0))
        wake(&w->asleep);
}

void watchdog_end(struct watchdog *w)
{
    uint64_t run = atomic_load_explicit(&w->run, memory_order_relaxed);
    atomic_store_explicit(&w->run, run + 1, memory_order_release);
}

static void on_signal(int signo)
{
    int error = errno;
    struct watchdog *w = atomic_load(&current);
    (void)signo;
    if (!w || !pthread_equal(pthread_self(), w->worker))
        return;
    uint64_t sentence = atomic_load(&w->sentence), run = sentence >> STEP_BITS;
    if (run == atomic_load(&w->run) && run % 2 == 1) {
        enum watchdog_step step = sentence & ((1 << STEP_BITS) - 1);
        w->options.interrupt(w->subject, step, &w->words);
        if (step == WATCHDOG_LOST)
            atomic_store(&w->described, run);
    }
    errno = error;
}

bool watchdog_what(struct watchdog *w, struct watchdog_words *words)
{
    if (!pthread_equal(pthread_self(), w->worker) || atomic_load(&w->run) % 2 == 0)
        return false;
    w->options.interrupt(w->subject, WATCHDOG_LOST, words);
    return true;
}

int watchdog_signal(void)
{
    return SIGRTMIN;
}

// The thread

static uint64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void nap(struct watchdog *w, uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    syscall(SYS_futex, &w->stopping, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
}

static void sleep_until_begin(struct watchdog *w, uint64_t run)
{
    atomic_store(&w->asleep, 1);
    if (atomic_load(&w->run) == run && !atomic_load(&w->stopping))
        syscall(SYS_futex, &w->asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    atomic_store(&w->asleep, 0);
}

static bool tell(struct watchdog *w, uint64_t run)
{
    bool described = atomic_load(&w->described) == run;
    return w->options.lost(w->options.arg, described ? w->words.text : "");
}

// On a busy machine the worker's thread has not taken the signal yet.
static bool waits_for_words(struct watchdog *w, const struct view *v)
{
    return v->step > WATCHDOG_LOST && v->age < v->due + WORDS_MAX &&
           atomic_load(&w->described) != v->run;
}

// The step that is due, if one is.
static void act(struct watchdog *w, struct view *v)
{
    if (v->age < v->due || waits_for_words(w, v))
        return;
    if (v->step <= WATCHDOG_LOST) {
        atomic_store(&w->sentence, v->run << STEP_BITS | v->step);
        pthread_kill(w->worker, watchdog_signal());
    } else if (!tell(w, v->run)) {
        return;
    }
    v->due = v->step <= WATCHDOG_LOST ? v->age + step_after[++v->step] : UINT64_MAX;
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    struct view v = {0};
    while (!atomic_load(&w->stopping)) {
        uint64_t run = atomic_load(&w->run), now = monotonic_ms();
        if (run != v.run) {
            // A millisecond more, since the clock's are cut.
            v = (struct view){run, now, 0, w->options.limit_ms + 1ull, WATCHDOG_LATE};
        } else if (run % 2 == 0) {
            sleep_until_begin(w, run);
            continue;
        } else {
            uint64_t passed = now - v.looked;
            v.age += passed < 2 * w->pace ? passed : 2 * w->pace;
            v.looked = now;
            act(w, &v);
        }
        uint64_t left = v.due > v.age ? v.due - v.age : 1;
        nap(w, run % 2 == 1 && left < w->pace ? left : w->pace);
    }
    return NULL;
}

// Start and stop

// The thread takes no signal: those of the process are the worker's.
static int start_thread(struct watchdog *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct watchdog *watchdog_start(const struct watchdog_options *o)
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    uint32_t pace = o->limit_ms / 8;
    w->options = *o;
    w->pace = pace < PACE_MIN ? PACE_MIN : pace > PACE_MAX ? PACE_MAX : pace;
    w->worker = pthread_self();
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&current, w);
    sigaction(watchdog_signal(), &action, NULL);
    int rc = start_thread(w);
    if (rc == 0)
        return w;
    atomic_store(&current, NULL);
    free(w);
    errno = rc;
    return NULL;
}

// The handler stays: a signal that is still on its way finds no watchdog.
void watchdog_stop(struct watchdog *w)
{
    if (!w)
        return;
    atomic_store(&w->stopping, 1);
    atomic_store(&w->asleep, 0);
    wake(&w->stopping);
    wake(&w->asleep);
    pthread_join(w->thread, NULL);
    atomic_store(&current, NULL);
    free(w);
}

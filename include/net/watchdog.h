// A watchdog: a thread that sees to it that no run of the worker's thread lasts for ever.
//
// The worker says when a run begins and ends: two stores to memory, no system call and no look at a
// clock. The thread samples the number of the run; what it saw for longer than the limit is
// interrupted, in steps, by a signal to the worker's thread. While nothing runs the thread sleeps,
// and the first run after that wakes it.
//
//      run begins ──limit──> LATE ──100 ms──> STILL ──700 ms──> LOST ──50 ms──> options.lost
//
// A run is seen at most an eighth of the limit, and 100 ms, after it began. The last step waits up
// to 150 ms more for what the run says of itself: a second after the limit somebody else ends it. Time in
// which the thread itself did not run (a stopped process) does not count. There is one watchdog in a
// process.
#ifndef LUNETTE_NET_WATCHDOG_H
#define LUNETTE_NET_WATCHDOG_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct watchdog;

enum watchdog_step {
    WATCHDOG_LATE = 1, // the run is over its limit
    WATCHDOG_STILL,    // and did not end within the grace
    WATCHDOG_LOST,     // nor ever will: it is to say where it is, in `words`
};

enum { WATCHDOG_TEXT = 256 };

// What a run says of itself when it is lost; written in a signal handler.
struct watchdog_words {
    char text[WATCHDOG_TEXT];
    size_t n; // of text, without the NUL
};
// Adds s, cut to what there is room for. Safe in a signal handler.
void watchdog_say(struct watchdog_words *words, struct str s);
void watchdog_say_number(struct watchdog_words *words, unsigned number);

struct watchdog_options {
    uint32_t limit_ms; // at least 1
    // Called by the signal handler, amid whatever the run does: async-signal-safe work only.
    // subject is that of the run, which has not ended.
    void (*interrupt)(void *subject, enum watchdog_step step, struct watchdog_words *words);
    // The run will not end by itself: somebody else has to end the process. Called in the
    // watchdog's thread; must not lock or allocate, since the worker may hold any lock. text: what
    // interrupt said, "" when it could not. false: to be called again a little later.
    bool (*lost)(void *arg, const char *text);
    void *arg;
};

// Starts the thread. The caller is the worker's thread from now on. NULL with errno.
struct watchdog *watchdog_start(const struct watchdog_options *o);
// Between runs. NULL is harmless.
void watchdog_stop(struct watchdog *w);

// A run begins, or ends. No run within another.
void watchdog_begin(struct watchdog *w, void *subject);
void watchdog_end(struct watchdog *w);

// For a signal handler of a process that is about to end: what the run that is under way says of
// itself, as when it is lost. False when this thread runs nothing.
bool watchdog_what(struct watchdog *w, struct watchdog_words *words);

// The signal: for tests, which send it at the wrong moment.
int watchdog_signal(void);

#endif

// The program replaces itself (SIGUSR2): a new master, from the file that now lies where this one
// was started from, with the same arguments, beside the old one.
//
//      old:  NONE ──USR2──> STARTING ──it says that it is ready──> LEAVING, and it ends
//                              └─its end, a sentence, time──> NONE
//
// The new one inherits what is open, named in its environment: listening sockets, the cache, the
// pid file, the control socket, log files (for it may have no right to open them), and a line to
// the old one, on which it says that its workers are ready, or why it could not start. Then the old
// workers finish what is theirs. Nobody listens to a closed socket at any time.
#ifndef LUNETTE_APP_REPLACE_H
#define LUNETTE_APP_REPLACE_H

#include "app/inherit.h"

#include <stdint.h>
#include <sys/types.h>

enum { REPLACE_WHY_MAX = 1024 };

struct replace {
    enum replace_stage { REPLACE_NONE, REPLACE_STARTING, REPLACE_LEAVING } stage;
    bool asked;
    bool rotated; // while STARTING, logs were opened again: the new one may have the old ones
    pid_t pid;    // the new master; 0: none
    int line;     // to it; −1
    int reaper;   // the line to all that come after process 1 (reaper.h); −1
    bool cut;     // the new one, which is to stop, has been told to do so at once
    // While LEAVING, a signal to stop has come: it was for the new one, or changed nothing.
    bool told;
    int64_t deadline, wake_due;
    char why[REPLACE_WHY_MAX]; // it could not start
};

struct master;
void replace_ask(struct master *m);
void replace_on_turn(struct master *m);
// A child ended: whether it was the new master.
bool replace_on_end(struct master *m, pid_t pid, int status);
int64_t replace_due(const struct master *m);
// In a container whose process 1 was a server: what was meant for it is the new one's. Whether that
// is all.
bool replace_pass_on(struct master *m, int signo);
// This one leaves, and ends when its requests are over: the first signal to stop is to change
// nothing in that. A second one is false.
bool replace_ends_anyway(struct master *m);
void replace_say_rest(struct master *m); // to a new one that runs: the background work is its own
// The server stops: so does a new one that has just begun, by the same signal. Again with a
// stronger one.
void replace_stop(struct master *m, int signo);
// It had its time: it is to cut what it has, and when this is called again it is killed.
void replace_cut(struct master *m);
// Whether a new one that was ended, since it is not to take over, has not gone yet.
bool replace_dies(const struct master *m);

// For the new one: says why it cannot start, on stderr and to the one that it was to replace.
void replace_fail_start(const struct inherited *in, const char *why);
// All its workers are ready: what was the old one's is its own.
void replace_take_over(struct master *m);

#endif

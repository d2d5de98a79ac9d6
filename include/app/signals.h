// The signals that the master hears (API.md): TERM, INT, QUIT, HUP, USR1, USR2; and CHLD. They are
// blocked while it runs, and read from a descriptor, so that none has its default effect: that
// would be an end at once, which leaves behind what the master has made.
#ifndef LUNETTE_APP_SIGNALS_H
#define LUNETTE_APP_SIGNALS_H

#include <signal.h>
#include <stdint.h>

// First thing in the program: HUP, USR1 and USR2, which end nothing, wait for the master. So do
// TERM, INT and QUIT where this is process 1, to which the kernel would not give them at all;
// elsewhere they end the program while nothing is made yet (config.lua may take 30 s, or more on a
// busy machine).
void signals_hold(void);
// First thing in the master, before anything is made: all of them are blocked. set: which these
// are.
void signals_block(sigset_t *set);
// In a process that was just forked, before it becomes the next server's program: what ends one
// does. HUP, USR1 and USR2 go on to wait, for its own signals_hold: in between they would end it.
void signals_release_for_heir(void);
// In a process that was just forked where the master has not begun: none is blocked. A later child
// that is to be spared what a terminal sends to the whole group has them blocked as before.
void signals_release_held(void);
// In a process that does without a signal, and lets nobody else do so: it has no effect here, and
// its default one in a program that is started from here.
void signals_spare(int signo);
// In a worker: no signal is blocked any more, so that programs which its scripts start begin with
// an empty mask (and with default actions: what is caught here is not there). TERM and QUIT are
// told on the descriptor (close-on-exec and non-blocking), from which a uint64_t is read, at least
// SIGNALS_AT_ONCE where there was a QUIT. A process that was forked here and executes nothing ends
// by them. −1 with errno.
#define SIGNALS_AT_ONCE ((uint64_t)1 << 32)
int signals_catch_end(void);
// To a worker of this process, from its master: signo. A QUIT reaches it also while os.execute
// waits for a program, when the C library ignores QUIT: it goes as a TERM, too, which says what is
// meant.
void signals_tell_worker(pid_t worker, int signo);
// They are caught on, and told no more.
void signals_forget_end(int fd);
// A descriptor from which they are read, close-on-exec and non-blocking; or −1 with errno.
int signals_open(const sigset_t *set);

#endif

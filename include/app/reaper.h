// Process 1 of a container, whose end is the end of all that is in it: so when another master has
// taken over from it (replace.h), it does not end with its requests, but stays, with nothing of the
// server's. It passes the signals that it gets on to the master that serves, USR1 to one that still
// finishes as well (both write to the logs), keeps what comes while none serves for the next one,
// ends the zombies that the kernel gives process 1, and ends when no master is left, with the
// status of the last one.
//
//      1 ──fork──> 2           1 stays; 2 says its pid on the line, and serves
//                  2 ──> 3     3 says its pid there, too; when 2 ends, 3 is 1's child
//
// What scripts of a master have left becomes its child: it is named as the elder (kin.h) of the one
// that serves, so that this is known for what it is.
//
// Each master has the other end of the line from the one before it, and no process besides: its end
// is the end of them all.
#ifndef LUNETTE_APP_REAPER_H
#define LUNETTE_APP_REAPER_H

#include <sys/types.h>

// The line, before the first successor begins: [0] is for reaper_run, [1] the masters'. −1 with
// errno.
int reaper_open(int ends[static 2]);
// A master has taken over.
void reaper_tell(int line);
// In process 1, in which the signals are blocked: line is closed, and so is everything else but 0
// to 2. master: the child that has taken over; 0: it has ended already, with status. The exit
// status.
int reaper_run(int line, pid_t master, int status);
// The exit status that stands for a wait status, as a shell has it: 128 and its number for a
// signal.
int reaper_status(int status);

#endif

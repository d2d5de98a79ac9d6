// Which processes come from which: for refusing what a server's own workers, and what they have
// started, ask of their master.
//
// A master is a subreaper: what a script leaves behind becomes its child, not that of process 1. When
// another program takes over (replace.h) and the old master has such children still, it stays as their
// elder until they have ended or the server has: an ancestor of the new master, so that whatever the
// scripts of any generation have started is known as kin for as long as it lives.
//
// Process 1, if it was a server, stays anyway (reaper.h): it is the one elder of all masters after it.
//
// That can be proven of processes which may not signal a master, as those in the sandbox (its exec
// included) may not. With sandbox = false a script has all the rights of the server's user: what it
// starts may kill an elder to be an orphan of process 1, as it may kill the master; it may ask cron or
// systemd to start a process that is no kin; and the server's own signals do what the words do. An
// elder or old master that is killed leaves orphans that cannot be told from others.
#ifndef LUNETTE_APP_KIN_H
#define LUNETTE_APP_KIN_H

#include <stdbool.h>
#include <sys/types.h>

enum {
    KIN_MAX = 64,  // generations
    KIN_TRIES = 8, // walks up, while processes on the way end
};

// Whether pid is a child of `of`, or a child's child, and so on. Also true where that cannot be told: the
// process is gone, cannot be seen, is more than KIN_MAX generations down, or its forebears end one
// after the other. No process that has the number of an ended one is taken for it, but pid itself,
// which the caller has to know for alive.
bool kin_descends(pid_t pid, pid_t of);

// For a master that another one, a child of its own, has taken over from: it is known as an elder
// from then on, by its name, "lunette>" and the heir's pid.
void kin_become_elder(pid_t heir);
// The oldest elder that this process descends from; 0: there is none.
pid_t kin_elder(void);
// Waits until an elder has no child but its heir, or the heir has ended without one of its own. TERM,
// INT and QUIT end the wait. Every descriptor but the standard ones is closed.
void kin_outlast(pid_t heir);

#endif

// A child that is waited for, by a process that has something to remove afterwards: from attend_begin
// on, CHLD, INT, TERM, HUP and QUIT are blocked and taken one by one while the child runs; so none is
// lost between its fork and the wait, and none ends this process before it has cleaned up.
#ifndef LUNETTE_APP_ATTEND_H
#define LUNETTE_APP_ATTEND_H

#include <signal.h>

struct attend {
    sigset_t taken, before; // the signals that are waited for; those that were blocked before
    int signal;             // that came, and ended the child; 0: none
};

// Signals that this process was started to ignore (nohup) stay ignored. PIPE is ignored from here on:
// who reads no more must not keep us from removing what there is to remove.
void attend_begin(struct attend *a);
// Runs fn(arg) in a child, whose exit status is what it returns, with the signals as they were before;
// it is killed when this process ends first, or gets one of the signals. The child's wait status, or
// −errno when there is none. A signal is in a->signal.
int attend_run(struct attend *a, int (*fn)(void *arg), void *arg);
// Ends this process by a->signal, if there is one.
void attend_end(const struct attend *a);

#endif

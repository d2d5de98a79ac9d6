// The master: opens what needs rights, gives them up, and keeps the workers running.
#ifndef LUNETTE_APP_MASTER_H
#define LUNETTE_APP_MASTER_H

#include "app/config.h"
#include "app/inherit.h"

// Serves until it is told to stop, on the sockets of in where it has one for an address. The exit
// status: 0 after a stop that was asked for, 1 when the server could not start (said on stderr or
// in the log); process 1 of a container has that of the last master (reaper.h). Returns in no
// worker.
int master_run(const struct config *c, struct inherited *in);

#endif

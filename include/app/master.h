// The master: opens what needs rights, gives them up, and keeps the workers running.
#ifndef LUNETTE_APP_MASTER_H
#define LUNETTE_APP_MASTER_H

#include "app/config.h"

// Serves until it is told to stop; in a worker it returns too, with the worker's status. The exit
// status: 0 after a stop that was asked for, 1 when the server could not start (said on stderr or
// in the log).
int master_run(const struct config *c);

#endif

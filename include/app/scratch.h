// A data folder for once: for commands that load a site without leaving anything behind, or touching
// what is there. It is empty: a copy of a database that a server is writing might be none.
#ifndef LUNETTE_APP_SCRATCH_H
#define LUNETTE_APP_SCRATCH_H

#include "app/solo.h"

// solo_run in a process of its own, whose data folder is an empty one in $TMPDIR (or /tmp) and gone
// afterwards: what scripts open or make there while they load goes with it. Returns the exit status.
int scratch_run(const struct config *c, const struct solo_job *job);

#endif

// `lunette test --watch`: runs the tests again when something was saved.
#ifndef LUNETTE_APP_TRIAL_WATCH_H
#define LUNETTE_APP_TRIAL_WATCH_H

#include "app/cli.h"

// Calls run(cli) in a process of its own, now and after every change beneath scripts/, site/ and tests/
// of the site; a run that such a change finds under way is ended, and begun again. Until INT, TERM,
// HUP or QUIT comes: the exit status of the last run, which ends first.
int trial_watch(struct cli *cli, int (*run)(struct cli *cli));

#endif

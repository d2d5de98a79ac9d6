// `lunette test`: runs tests/*.lua of a site, each file with the site freshly loaded in a process of its
// own (app/solo.h, script/lua_trial.h).
//
//      this process ─── makes a temporary folder for data/
//        └─ one child after the other: loads the site, runs one file, prints what came of it
//      then the folder is removed, however it ended, and the sum is printed
//
// What a file does to the site's modules, or to its own process, is over with the file. The site's own
// data/ is left alone.
#ifndef LUNETTE_APP_TRIAL_H
#define LUNETTE_APP_TRIAL_H

#include "app/cli.h"

// Exit status: 0 when there were tests and all have passed, else 1. Ends by the signal when it gets
// INT, TERM, HUP or QUIT. With cli->watch it runs them again whenever something beneath scripts/, site/
// or tests/ was saved, until such a signal comes.
int trial_run(struct cli *cli);

#endif

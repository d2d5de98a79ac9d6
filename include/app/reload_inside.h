// Private to reload*.c: a reload, in the master.
//
//      reload.c        its stages (the drawing in master_inside.h), and what moves it on
//      reload_check.c  the scripts as they are read, and the process that tries them
//      reload_end.c    that it went well, or did not, and who is told
#ifndef LUNETTE_APP_RELOAD_INSIDE_H
#define LUNETTE_APP_RELOAD_INSIDE_H

#include "app/master_inside.h"

// reload_check.c
int reload_read_scripts(const struct config *c, char why[static SNAPSHOT_WHY_MAX]); // −1
bool reload_changes_nothing(const struct master *m); // what was read is what is in force
// NULL, or why what was read must not be taken for a site.
const char *reload_lost_entry(const struct master *m);
int reload_start_checker(struct master *m); // 0 or −errno

// reload_end.c
void reload_close(struct told *t);
void reload_fail(struct master *m,
                 const char *why);    // all that is to be said, or the head of a list
void reload_commit(struct master *m); // every worker has loaded it
void reload_tell_workers(struct master *m, enum channel_kind kind, const struct told *t);

#endif

// A folder for large bodies, where neither config.lua nor data/ gives one:
// /tmp/lunette-UID/NAME/bodies, NAME being the site's (app/control_place.h).
//
// One name for all servers of a site, so that the next one takes what a killed one left. Each holds a
// shared lock of it, which also keeps systemd-tmpfiles from taking it for forgotten; the last one to
// leave removes it. Nobody but the user has a way into it. Where somebody has the lock for himself for longer
// than 200 ms, NAME/bodies.2 stands in, with the same rules; where that is locked as well, there is none.
#ifndef LUNETTE_APP_TEMP_H
#define LUNETTE_APP_TEMP_H

#include <limits.h>

struct temp {
    int fd; // −1: none
    char path[PATH_MAX];
};

// Within half a second: 0 or −errno: it cannot be had, or somebody else has taken its name; −EBUSY: locked.
int temp_open(struct temp *t, const char *site);
void temp_close(struct temp *t); // harmless without one

#endif

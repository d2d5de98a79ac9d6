// A folder for large bodies, where neither config.lua nor data/ gives one:
// /tmp/lunette-UID/NAME/bodies, NAME being the site's (app/control_place.h).
//
// One name for all servers of a site, so that the next one takes what a killed one left. Each holds a
// shared lock of it, which also keeps systemd-tmpfiles from taking it for forgotten; the last one to
// leave removes it. Nobody but the user has a way into it.
#ifndef LUNETTE_APP_TEMP_H
#define LUNETTE_APP_TEMP_H

#include <limits.h>

struct temp {
    int fd; // −1: none
    char path[PATH_MAX];
};

// 0 or −errno: it cannot be had, or somebody else has taken its name.
int temp_open(struct temp *t, const char *site);
void temp_close(struct temp *t); // harmless without one

#endif

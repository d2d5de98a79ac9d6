// Where the control socket of a site is, when config.lua's `control` says nothing: BASE/NAME/control.
//
// NAME is the site's: the name of its folder and a hash of its path, so that everybody who knows the
// site finds it. BASE is the first of these that can be had, and none of them is open to a worker's
// sandbox:
//
//      $RUNTIME_DIRECTORY (systemd's)   /run/lunette (root makes it)   $XDG_RUNTIME_DIR/lunette
//      /run/user/UID/lunette            /tmp/lunette-UID
//
// BASE is root's or the server's own; BASE/NAME belongs to the server's user, mode 0700.
#ifndef LUNETTE_APP_CONTROL_PLACE_H
#define LUNETTE_APP_CONTROL_PLACE_H

#include "app/privs.h"

#include <limits.h>
#include <stdbool.h>

enum {
    CONTROL_PLACES = 5,
    CONTROL_PLACES_ROOT = 2, // the first of them, which root makes for whom it becomes
    CONTROL_PLACES_UID = 3,  // from this one on they depend on whose the server is
};

// The i-th place for the site (an absolute path) of a server that runs as uid. False where that names
// nothing: a variable is not set, or the path would be too long.
bool control_place(unsigned i, const char *site, uid_t uid, char path[static PATH_MAX]);

// Makes the folders of a place; owner: whose BASE/NAME is to be, NULL: ours. 0 or −errno; −EPERM for
// folders that are somebody else's, or that others may write.
int control_place_make(const char *path, const struct identity *owner);

// Removes the folder of a place, BASE/NAME, and in /tmp BASE, where they are empty and that is allowed.
void control_place_leave(const char *path);

// For who looks for a server of uid: 0, or −EPERM where another one could have made the place.
int control_place_check(const char *path, uid_t uid);

// Where root alone can have made the folder of a place: true, with in *uid whom it was given to.
bool control_place_given(const char *path, uid_t *uid);

#endif

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
//
// A server that has given root up cannot remove its folder from one of root's. `lunette stop` by root
// does; after an end of another kind an empty folder remains there (a socket in it too, after kill -9)
// until the machine starts again. That is all its user has of it: the next server of another user's
// gets it emptied, and nobody but that user is believed to listen in it (ask.c).
#ifndef LUNETTE_APP_CONTROL_PLACE_H
#define LUNETTE_APP_CONTROL_PLACE_H

#include "app/privs.h"

#include <limits.h>
#include <stdbool.h>

enum {
    CONTROL_PLACES = 5,
    CONTROL_PLACES_ROOT = 2,   // the first of them, which root makes for whom it becomes
    CONTROL_PLACES_UID = 3,    // from this one on they depend on whose the server is
    CONTROL_PLACE_LEFT = 1024, // entries of another user's that are removed; more are not
};

// The i-th place for the site (an absolute path) of a server that runs as uid. False where that names
// nothing: a variable is not set, or the path would be too long.
bool control_place(unsigned i, const char *site, uid_t uid, char path[static PATH_MAX]);

// Makes the folders of a place; owner: to whom root gives BASE/NAME, NULL: it is ours. What another
// user had there is removed before it is given: files, sockets, links, empty folders. 0 or −errno;
// −EPERM for folders that are somebody else's, or that others may write; −ENOTEMPTY where such a one
// has left a folder that is not empty, or too much; −EADDRINUSE where a server that root itself runs
// has it.
int control_place_make(const char *path, const struct identity *owner);

// Removes the folder of a place, BASE/NAME, and in /tmp BASE, where they are empty and that is allowed.
void control_place_leave(const char *path);

// For who looks for a server of uid: 0, or −EPERM where another one could have made the place.
int control_place_check(const char *path, uid_t uid);

// Whose BASE/NAME is, and so who listens at a place, if it is a server. 0 or −errno.
int control_place_owner(const char *path, uid_t *uid);

#endif

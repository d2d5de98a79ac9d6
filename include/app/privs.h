// Rights: whom a server that root started becomes, and how root is given up.
#ifndef LUNETTE_APP_PRIVS_H
#define LUNETTE_APP_PRIVS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PRIVS_WHY_MAX = 512 };

struct identity {
    uid_t uid;
    gid_t gid;
    char user[64], group[64]; // names, or numbers where there is no name
};

// Whom to become: user and group are names or numbers, or NULL: the owner of the folder site with
// his primary group, or nobody:nogroup where that is root. False, with a sentence, for an account
// that does not exist or is root (uid 0 or gid 0).
bool privs_choose(const char *user, const char *group, const char *site, struct identity *out,
                  char why[static PRIVS_WHY_MAX]);
// Who the process is now.
void privs_current(struct identity *out);

// Becomes id for good: no supplementary groups, real, effective and saved ids, umask 007, an empty
// bounding set of capabilities, and no way back to root, which is tried. The signal at the
// parent's death (prctl) stays what it was. False, with a sentence; the process must then end.
bool privs_become(const struct identity *id, char why[static PRIVS_WHY_MAX]);

// Gives up every capability for good, here and in whatever this process executes (no_new_privs);
// the ids stay. For workers, and for root under --dev, who keeps what its files are to their owner.
// False, with a sentence.
bool privs_drop_capabilities(char why[static PRIVS_WHY_MAX]);

// Whether id, whom root would become, may read the folder path and pass all above it, or is kept
// from it by what others may have a part in: his own modes, or groups that he would not have. Only
// where path is root's own, or in a folder of root's that is closed to all others, has nobody else
// put there what is in it. Tried in a process of its own.
bool privs_would_reach(const struct identity *id, const char *path);

// Walks the absolute path with the rights the process has: true, with in blocked the first
// component that it may not pass, or the whole path when that may not be used as mode (R_OK …)
// says. False when all is well, or where the path ends early because a component does not exist.
bool privs_blocked(const char *path, int mode, char blocked[static PATH_MAX]);

#endif

// What a process may reach in the file system: paths, each with what may be done there and beneath.
//
// This is the list in words. The kernel enforces one like it (app/sandbox.h); whoever wants to say
// beforehand, or afterwards, whether it was this list that refused a path, asks here.
#ifndef LUNETTE_BASE_REACH_H
#define LUNETTE_BASE_REACH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { REACH_MAX = 8192 }; // entries

enum reach_right {
    REACH_READ = 1,  // files, and what folders hold
    REACH_WRITE = 2, // files, and making, renaming and removing entries
    REACH_EXEC = 4,  // programs
};

struct reach_path {
    char *path; // canonical: absolute, without links
    unsigned rights;
};

struct reach {
    struct reach_path *item;
    size_t n, room;
};

void reach_init(struct reach *r);
void reach_fini(struct reach *r);

// Adds the rights for path and, where it is a folder, all beneath it. Links are followed now. 0, or
// −errno: −ENOENT, −EACCES for a path that cannot be looked up, −ENOSPC beyond REACH_MAX.
int reach_add(struct reach *r, const char *path, unsigned rights);

// Whether all of the rights are given for path, which must be canonical; several entries above it
// may give them together.
bool reach_allows(const struct reach *r, const char *path, unsigned rights);

// The canonical form of path, whose last component need not exist: 0 or −errno.
int reach_resolve(const char *path, char dst[static PATH_MAX]);

#endif

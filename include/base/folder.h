// Whole folders: made like another, removed with all that is in them; and new ones, with their
// files.
//
// Links are never followed: one that is in a folder is copied, or removed, as a link.
#ifndef LUNETTE_BASE_FOLDER_H
#define LUNETTE_BASE_FOLDER_H

#include "base/str.h"

#include <limits.h>

enum { FOLDER_DEPTH = 64 }; // folders in each other; deeper ones are −ELOOP

// Opens the folder name, which is no link, in parent: its descriptor or −errno.
int folder_open(int parent, const char *name);
// Makes the folder `to`, made if it is not there, hold what the folder `from` holds, and nothing
// else: files, folders and links; what is of another kind in `from` (a socket, a pipe) is left out.
// A file that is in both is written over where it is, so that whoever has it open sees the new
// bytes. 0 or −errno, with some of it done.
int folder_mirror(const char *from, const char *to);
// Removes it. 0, also when it is not there, or −errno.
int folder_remove(const char *path);
// Removes what is in the open folder. 0 or −errno.
int folder_empty(int folder);

// New ones (folder_make.c). Who owns the folder above may rename what is made there, or put
// something else in its place, at any time: so what is made is opened once, and all else goes
// beneath its descriptor.

// Makes the folder "STEM-xxxxxx" in parent, for its owner alone (0700), and says in name what it is
// called. Its descriptor; or −errno, −EPERM, −ENOTDIR or −ELOOP when something else has taken its
// place.
int folder_make(int parent, const char *stem, char name[static NAME_MAX + 1]);
// The same in the folder that TMPDIR names, where that is an absolute path, else in /tmp. The path
// is absolute; after an error it is what was tried, for a sentence.
int folder_make_temporary(const char *stem, char path[static PATH_MAX]);
// Makes the file path, "a/b.txt", beneath the open folder top, with the folders that it lies in
// where they are not there; their modes are what the umask leaves. 0 or −errno: −EEXIST when there
// is something of that name, −ENOTDIR or −ELOOP when one of the folders is a link or no folder.
int folder_write(int top, const char *path, struct str text);

#endif

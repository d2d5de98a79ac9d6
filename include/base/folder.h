// Whole folders: made like another, or removed, with all that is in them.
//
// Links are never followed: one that is in a folder is copied, or removed, as a link.
#ifndef LUNETTE_BASE_FOLDER_H
#define LUNETTE_BASE_FOLDER_H

enum { FOLDER_DEPTH = 64 }; // folders in each other; deeper ones are −ELOOP

// Makes the folder `to`, made if it is not there, hold what the folder `from` holds, and nothing else: files, folders and
// links; what is of another kind in `from` (a socket, a pipe) is left out. A file that is in both is
// written over where it is, so that whoever has it open sees the new bytes. 0 or −errno, with some of
// it done.
int folder_mirror(const char *from, const char *to);
// Removes it. 0, also when it is not there, or −errno.
int folder_remove(const char *path);

#endif

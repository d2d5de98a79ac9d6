// A copy of bytes or of a part of a file, as a file of its own: there whole, or not at all.
//
// It is written without a name, or under a name of ours, and gets its own when it is complete.
// Everything here blocks: it is for a thread of the pool.
#ifndef LUNETTE_CONTENT_SAVE_H
#define LUNETTE_CONTENT_SAVE_H

#include "base/str.h"

#include <sys/types.h>

struct save {
    // The folder that path is relative to; it is made when it is missing, and so are folders
    // within it. No link is followed beneath it. NULL: path is absolute, and its folder is there.
    const char *folder;
    const char *path;
    bool overwrite; // an existing file gives way to the new one
    int fd;         // n bytes of it from at on; −1: the bytes
    off_t at;
    uint64_t n;
    struct str bytes;
};

// 0, −EEXIST (without overwrite), −EXDEV for a path that leaves its folder ("..", an absolute one, a
// link), −EISDIR for one that names no file, or what the file system says. Mode 0640.
int save_write(const struct save *s);

// The folder that path, whose last component is cut off it, names beneath folder: O_PATH, made when
// it is missing. *name is the last component, within path. Errors as above.
int save_open_folder(const char *folder, char *path, const char **name);

#endif

// A snapshot: the files beneath a folder, read once, in memory that any number of processes may
// map.
//
// So what several processes load is the same in all of them, however often the folder changes
// meanwhile, and also in one that is started later. The memory is sealed: nobody can change it any
// more. Names are paths relative to the folder, separated by "/".
#ifndef LUNETTE_BASE_SNAPSHOT_H
#define LUNETTE_BASE_SNAPSHOT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SNAPSHOT_FILES = 10000,
    SNAPSHOT_DEPTH = 16,            // folders in each other
    SNAPSHOT_FILE_BYTES = 16 << 20, // of one file
    SNAPSHOT_BYTES = 256 << 20,     // of all of them
    SNAPSHOT_WHY_MAX = 4096 + 256,
};

// Reads every regular file beneath folder but those whose name begins with "." or ends in "~",
// which editors make for themselves; links are followed, other kinds left out. A folder that is not
// there has no files. The descriptor of the memory, which is close-on-exec; −1 with a sentence in
// why.
int snapshot_make(const char *folder, char why[static SNAPSHOT_WHY_MAX]);

struct snapshot;
// Maps it; fd stays the caller's. NULL with errno: EPROTO for memory that snapshot_make has not
// made.
struct snapshot *snapshot_open(int fd);
void snapshot_close(struct snapshot *s); // NULL is fine

// The file of that name: false when there is none. *text is good until snapshot_close.
bool snapshot_find(const struct snapshot *s, struct str name, struct str *text);
// The i-th file, from 0 on, in the order of their names (str_order): false behind the last.
bool snapshot_file(const struct snapshot *s, size_t i, struct str *name, struct str *text);
// Whether both hold the same files with the same bytes.
bool snapshot_same(const struct snapshot *a, const struct snapshot *b);

#endif

// Watching a folder for changes, for --dev: whatever is written, moved or deleted beneath it.
#ifndef LUNETTE_APP_WATCH_H
#define LUNETTE_APP_WATCH_H

#include <stdbool.h>

enum { WATCH_FOLDERS = 2000, WATCH_DEPTH = 16 };

struct watch_tree;

// NULL with errno. Folders beyond the bounds are not watched, which the log tells.
struct watch_tree *watch_new(const char *folder);
void watch_free(struct watch_tree *w); // NULL is fine

// Looks again for a folder that was not there. Whether it is now.
bool watch_found(struct watch_tree *w);

// Readable when watch_changed has something to look at.
int watch_fd(const struct watch_tree *w);
// Whether anything has changed since the last call; files whose name begins with "." or ends in "~",
// which editors make for themselves, do not count. Calls tell (NULL: nobody) for each change with the path
// beneath the folder, "" where it is not known.
bool watch_changed(struct watch_tree *w, void (*tell)(void *arg, const char *path), void *arg);

#endif

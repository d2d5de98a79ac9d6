// Watching a folder: see the header. inotify watches one folder each; which ones there are is found out
// anew when a folder came, went or was renamed, for such a thing is rare and the whole tree is small.
#include "app/watch.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

struct watch_tree {
    int fd;
    unsigned count; // folders that are watched
    bool told;      // that there are too many
    char folder[PATH_MAX];
    struct watched {
        int id;     // the kernel's
        char *path; // beneath folder, "" for itself; NULL without memory
    } watched[WATCH_FOLDERS];
};

enum {
    CHANGES = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB |
              IN_DELETE_SELF | IN_MOVE_SELF
};

static void tell_bound(struct watch_tree *w, const char *path, const char *why)
{
    if (!w->told)
        log_write(LOG_WARN, "%s is not watched for changes: %s", path, why);
    w->told = true;
}

static void add_folders(struct watch_tree *w, char path[static PATH_MAX], int depth);

static void add_entry(struct watch_tree *w, char path[static PATH_MAX], size_t n, const char *name,
                      int depth)
{
    struct stat st;
    if (name[0] == '.' || snprintf(path + n, PATH_MAX - n, "/%s", name) >= (int)(PATH_MAX - n))
        return;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        add_folders(w, path, depth + 1);
}

// The folder at path and those beneath it; path is as before afterwards.
static void add_folders(struct watch_tree *w, char path[static PATH_MAX], int depth)
{
    size_t n = strlen(path);
    struct dirent *e;
    if (w->count >= WATCH_FOLDERS || depth >= WATCH_DEPTH) {
        tell_bound(w, path, "there are too many folders");
        return;
    }
    int id = inotify_add_watch(w->fd, path, CHANGES | IN_ONLYDIR);
    if (id < 0) {
        if (errno != ENOENT)
            tell_bound(w, path, strerror(errno));
        return;
    }
    const char *beneath = path + strlen(w->folder);
    w->watched[w->count++] = (struct watched){id, strdup(*beneath ? beneath + 1 : beneath)};
    DIR *d = opendir(path);
    while (d && (e = readdir(d)))
        add_entry(w, path, n, e->d_name, depth);
    if (d)
        closedir(d);
    path[n] = '\0';
}

static void forget_folders(struct watch_tree *w)
{
    while (w->count)
        free(w->watched[--w->count].path);
}

// Watching a folder twice is watching it once.
static void look_for_folders(struct watch_tree *w)
{
    char path[PATH_MAX];
    memcpy(path, w->folder, sizeof path);
    forget_folders(w);
    add_folders(w, path, 0);
}

struct watch_tree *watch_new(const char *folder)
{
    struct watch_tree *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 || snprintf(w->folder, sizeof w->folder, "%s", folder) >= PATH_MAX) {
        watch_free(w);
        return NULL;
    }
    look_for_folders(w);
    return w;
}

bool watch_found(struct watch_tree *w)
{
    if (w->count > 0)
        return false;
    look_for_folders(w);
    return w->count > 0;
}

void watch_free(struct watch_tree *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    forget_folders(w);
    free(w);
}

int watch_fd(const struct watch_tree *w)
{
    return w->fd;
}

static bool counts(const struct inotify_event *e)
{
    size_t n = e->len ? strlen(e->name) : 0;
    if (e->mask & (IN_IGNORED | IN_UNMOUNT))
        return false;
    return n == 0 || (e->name[0] != '.' && e->name[n - 1] != '~');
}

// Where it happened, as far as is known.
static const char *path_of(const struct watch_tree *w, const struct inotify_event *e,
                           char dst[static PATH_MAX])
{
    for (unsigned i = 0; i < w->count && e->len; i++) {
        const char *folder = w->watched[i].path;
        if (w->watched[i].id != e->wd || !folder)
            continue;
        int n = snprintf(dst, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", e->name);
        return n < PATH_MAX ? dst : "";
    }
    return "";
}

bool watch_changed(struct watch_tree *w, void (*tell)(void *arg, const char *path), void *arg)
{
    char path[PATH_MAX];
    char events[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false, folders = false;
    ssize_t n;
    while ((n = read(w->fd, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(events + at);
            // A file that was made is not yet written.
            bool empty = (e->mask & IN_CREATE) && !(e->mask & IN_ISDIR);
            if (counts(e) && !empty) {
                changed = true;
                if (tell)
                    tell(arg, path_of(w, e, path));
            }
            folders |= e->mask & (IN_ISDIR | IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF);
            at += (ssize_t)sizeof *e + e->len;
        }
    }
    if (folders)
        look_for_folders(w);
    return changed;
}

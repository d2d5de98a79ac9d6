// Folders and files that are new, made beneath descriptors: see the header.
#include "base/folder.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES = 100,
    LETTERS = 6, // of a name that is made up
};

// A folder with a name of its own --------------------------------------------------------------------

static int make_up(const char *stem, char name[static NAME_MAX + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char random[LETTERS];
    int n = snprintf(name, NAME_MAX + 1, "%s-", stem);
    if (n < 0 || n + LETTERS > NAME_MAX)
        return -ENAMETOOLONG;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -errno;
    for (int i = 0; i < LETTERS; i++)
        name[n + i] = letters[random[i] % (sizeof letters - 1)];
    name[n + LETTERS] = '\0';
    return 0;
}

static bool is_empty(int folder)
{
    int fd = folder_open(folder, ".");
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    bool empty = d != NULL;
    while (empty && (e = readdir(d)))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return empty;
}

// The folder that has just been made. Whoever owns the parent may have put another in its place: so it
// must be ours, and there must be nothing in it.
static int open_made(int parent, const char *name)
{
    struct stat st;
    int fd = folder_open(parent, name);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && is_empty(fd))
        return fd;
    close(fd);
    return -EPERM;
}

int folder_make(int parent, const char *stem, char name[static NAME_MAX + 1])
{
    for (int i = 0; i < TRIES; i++) {
        int rc = make_up(stem, name);
        if (rc < 0)
            return rc;
        if (mkdirat(parent, name, 0700) == 0)
            return open_made(parent, name);
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int folder_make_temporary(const char *stem, char path[static PATH_MAX])
{
    char name[NAME_MAX + 1];
    const char *top = getenv("TMPDIR");
    if (!top || top[0] != '/')
        top = "/tmp";
    if (strlen(top) + strlen(stem) + 2 + LETTERS + 1 >= PATH_MAX)
        return -ENAMETOOLONG;
    snprintf(path, PATH_MAX, "%s/%s-", top, stem);
    int parent = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -errno;
    int fd = folder_make(parent, stem, name);
    if (fd >= 0)
        snprintf(path, PATH_MAX, "%s/%s", top, name);
    close(parent);
    return fd;
}

// Files ----------------------------------------------------------------------------------------------

// Goes on from *folder to the folder name in it, made if need be; *folder is replaced. 0 or −errno.
static int step(int top, int *folder, const char *name)
{
    if (mkdirat(*folder, name, 0777) != 0 && errno != EEXIST)
        return -errno;
    int next = folder_open(*folder, name);
    if (next < 0)
        return next;
    if (*folder != top)
        close(*folder);
    *folder = next;
    return 0;
}

static int write_new(int folder, const char *name, struct str text)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int rc = io_write_all(fd, text);
    return close(fd) != 0 && rc == 0 ? -errno : rc;
}

int folder_write(int top, const char *path, struct str text)
{
    char name[NAME_MAX + 1];
    int folder = top, rc = 0;
    for (const char *slash; rc == 0 && (slash = strchr(path, '/')); path = slash + 1) {
        if (slash - path > NAME_MAX)
            rc = -ENAMETOOLONG;
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        if (rc == 0)
            rc = step(top, &folder, name);
    }
    if (rc == 0)
        rc = write_new(folder, path, text);
    if (folder != top)
        close(folder);
    return rc;
}

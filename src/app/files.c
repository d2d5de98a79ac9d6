// Files of the master: see the header. Paths are walked one component at a time, so that nothing
// can be swapped between a check and its use.
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 16 };

// Whether somebody else than root and this process may make entries in the folder.
static bool others_may_write(int folder)
{
    struct stat st;
    if (fstat(folder, &st) != 0)
        return true;
    return (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH));
}

// Puts the target of the link at fd in front of rest. 0 or −errno.
static int expand_link(int folder, int fd, char rest[static PATH_MAX])
{
    char target[PATH_MAX], joined[2 * PATH_MAX];
    if (others_may_write(folder))
        return -ELOOP;
    ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    if (snprintf(joined, sizeof joined, "%s/%s", target, rest) >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(rest, joined, strlen(joined) + 1);
    return 0;
}

// Takes the first component off rest, which has one.
static void take_component(char rest[static PATH_MAX], char name[static NAME_MAX + 1])
{
    size_t n = strcspn(rest, "/"), skip = n + strspn(rest + n, "/");
    snprintf(name, NAME_MAX + 1, "%.*s", (int)n, rest);
    memmove(rest, rest + skip, strlen(rest + skip) + 1);
}

// One step from *folder into rest's first component; *folder is replaced. 0 or −errno.
static int step(int *folder, char rest[static PATH_MAX])
{
    char name[NAME_MAX + 1];
    struct stat st;
    if (strcspn(rest, "/") > NAME_MAX)
        return -ENAMETOOLONG;
    take_component(rest, name);
    int fd = openat(*folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISLNK(st.st_mode)) {
        close(*folder);
        *folder = fd;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    }
    int rc = expand_link(*folder, fd, rest);
    close(fd);
    if (rc == 0 && rest[0] == '/') {
        memmove(rest, rest + strspn(rest, "/"), strlen(rest + strspn(rest, "/")) + 1);
        close(*folder);
        *folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        rc = *folder < 0 ? -errno : 0;
    }
    return rc < 0 ? rc : 1; // one link followed
}

int files_open_parent(const char *path, const char **name)
{
    char rest[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (**name == '\0')
        return -EISDIR;
    if (n >= sizeof rest)
        return -ENAMETOOLONG;
    size_t lead = slash ? strspn(path, "/") : 0;
    n = n > lead ? n - lead : 0;
    memcpy(rest, path + lead, n);
    rest[n] = '\0';
    int folder = open(lead ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0, links = 0;
    if (folder < 0)
        return -errno;
    while (rest[0] && rc >= 0) {
        rc = step(&folder, rest);
        links += rc > 0;
        if (links > LINKS_MAX)
            rc = -ELOOP;
    }
    if (rc < 0 && folder >= 0)
        close(folder);
    return rc < 0 ? rc : folder;
}

// Gives the folder that root has just made to its owner.
static int hand_over(int parent, const char *name, const struct identity *owner)
{
    struct stat st;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid())
        rc = -EEXIST; // not the one that was made
    else if (fchown(fd, owner->uid, owner->gid) != 0 || fchmod(fd, 0770) != 0)
        rc = -errno;
    close(fd);
    return rc;
}

bool files_others_may_change(const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    size_t n = strlen(path);
    if (path[0] != '/' || n >= sizeof folder)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (path[i] != '/')
            continue;
        memcpy(folder, path, i + 1);
        folder[i ? i : 1] = '\0';
        if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 ||
            (st.st_mode & (S_IWGRP | S_IWOTH)))
            return true;
    }
    return false;
}

int files_make_data(const char *site, const char *data, const struct identity *owner)
{
    const char *name;
    struct stat st;
    size_t n = strlen(site);
    bool as_root = geteuid() == 0 && owner->uid != 0;
    bool inside = strncmp(data, site, n) == 0 && data[n] == '/' && !strchr(data + n + 1, '/');
    if (stat(data, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    if (as_root && !inside)
        return 0; // left to the user that root becomes, who asks again
    int parent = files_open_parent(data, &name);
    if (parent < 0)
        return parent;
    int rc = mkdirat(parent, name, 0770) != 0 ? -errno : 0;
    if (rc == 0 && as_root)
        rc = hand_over(parent, name, owner);
    close(parent);
    return rc == -EEXIST ? 0 : rc;
}

static const char *broken_link(int err)
{
    return err == ELOOP    ? "a link that leads in a circle"
           : err == ENOENT ? "a link that leads nowhere"
                           : "a link that cannot be followed";
}

const char *files_instead(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return NULL;
    if (stat(path, &st) != 0)
        return broken_link(errno);
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return "a folder";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

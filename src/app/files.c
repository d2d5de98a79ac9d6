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

enum {
    LINKS_MAX = 16,
    TRIES = 10, // that servers which end may spoil
};

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

// Whether a lock of somebody else is in the way of one of this kind.
static bool is_locked(int fd, short against)
{
    struct flock l = {.l_type = against, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

// 0, or −EBUSY: a server has it. Who may only read the file can have locks for reading: these do not count,
// nor that there are no locks here.
static int lock_pid(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool had = fcntl(fd, F_OFD_SETLK, &l) == 0 || (errno != EAGAIN && errno != EACCES);
    return had || !is_locked(fd, F_RDLCK) ? 0 : -EBUSY;
}

static bool is_at(const char *path, int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static pid_t read_pid(int fd)
{
    char said[24];
    ssize_t n = pread(fd, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    return (pid_t)strtol(said, NULL, 10);
}

// 0 or −errno, −EAGAIN when a server that ended has removed it meanwhile.
static int own_pid(const char *path, int fd, pid_t *holder)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 ||
        (st.st_uid != 0 && st.st_uid != geteuid()))
        return -EEXIST;
    int rc = lock_pid(fd);
    if (rc == 0 && !is_at(path, fd))
        return -EAGAIN;
    if (rc == 0)
        return files_take_pid(fd);
    *holder = read_pid(fd);
    return rc;
}

static int open_pid(const char *path, pid_t *holder)
{
    const char *name;
    int parent = files_open_parent(path, &name);
    if (parent < 0)
        return parent;
    int fd = openat(parent, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
    int rc = fd < 0 ? -errno : 0;
    close(parent);
    if (rc == 0)
        rc = own_pid(path, fd, holder);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

int files_open_pid(const char *path, pid_t *holder)
{
    int rc = -EAGAIN;
    *holder = 0;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = open_pid(path, holder);
    return rc;
}

// What the file had that is longer is written over with empty lines before it is cut off, so that who reads
// it meanwhile, to send a signal, never finds it without an id.
static int write_pid(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    memset(text + n, '\n', sizeof text - (size_t)n);
    ssize_t put = pwrite(fd, text, sizeof text, 0);
    if (put < 0 || ftruncate(fd, n) != 0)
        return -errno;
    return put < n ? -EIO : 0;
}

int files_take_pid(int fd)
{
    lock_pid(fd); // again: nothing changes where it is locked already
    return write_pid(fd);
}

void files_retake_pid(int fd, pid_t ended)
{
    if (read_pid(fd) == ended)
        write_pid(fd);
}

void files_free_pid(int fd)
{
    struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_OFD_SETLK, &l);
}

// With the lock nobody takes it between the look at it and its end. A successor that was started while we
// stopped says its own process id.
void files_close_pid(const char *path, int fd)
{
    bool ours = lock_pid(fd) == 0 && read_pid(fd) == getpid();
    bool gone = ours && is_at(path, fd) && unlink(path) == 0;
    if (ours && !gone && ftruncate(fd, 0) != 0)
        fprintf(stderr, "lunette: %s could not be removed\n", path);
    close(fd);
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

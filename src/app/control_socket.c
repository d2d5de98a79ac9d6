// The control socket's way into the file system: see control.h. It is bound under a name of its own,
// made what it should be, and renamed, so that nobody meets it half-made; paths are used beneath
// a descriptor of their folder, which also makes room for long ones.
#include "app/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int address(int folder, const char *name, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", folder, name);
    return n < (int)sizeof a->sun_path ? 0 : -ENAMETOOLONG;
}

static int connect_to(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

// To the socket itself: a link that lies there instead leads to somebody else's.
static int connect_in(int folder, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    int file = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return -errno;
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d", file);
    int rc = fstat(file, &st) != 0 ? -errno : S_ISLNK(st.st_mode) ? -ELOOP : connect_to(&a);
    close(file);
    return rc;
}

int control_connect(const char *path)
{
    const char *name;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return folder;
    int fd = connect_in(folder, name);
    close(folder);
    return fd;
}

// 0 when the name is free, or a socket that nobody listens on.
static int is_free(int folder, const char *name)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = connect_in(folder, name);
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED || fd == -ENOENT ? 0 : fd < 0 && fd != -EAGAIN ? fd : -EADDRINUSE;
}

// Gives the socket that was bound to its owner, if it is that one.
static int hand_over(int folder, const char *name, const struct identity *owner, struct file_id *id)
{
    struct stat st;
    int rc = 0, fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        rc = -EEXIST;
    else if (owner && fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) != 0)
        rc = -errno;
    *id = (struct file_id){st.st_dev, st.st_ino};
    close(fd);
    return rc;
}

static int bind_in(int folder, const char *name, const struct identity *owner, struct file_id *id)
{
    char own[NAME_MAX + 1];
    struct sockaddr_un a;
    int rc = is_free(folder, name);
    if (rc == 0 && snprintf(own, sizeof own, "%s.%d", name, (int)getpid()) >= (int)sizeof own)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        rc = address(folder, own, &a);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    unlinkat(folder, own, 0); // of a process that had the same id once
    mode_t mask = umask(0177);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, CONTROL_QUEUE) != 0)
        rc = -errno;
    umask(mask);
    if (rc == 0)
        rc = hand_over(folder, own, owner, id);
    if (rc == 0 && renameat(folder, own, folder, name) != 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    unlinkat(folder, own, 0);
    close(fd);
    return rc;
}

int control_bind(const char *path, const struct identity *owner, struct file_id *id)
{
    const char *name;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return folder;
    int fd = bind_in(folder, name, owner, id);
    close(folder);
    return fd;
}

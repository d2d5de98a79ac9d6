// The pid file, one server's alone: see the header.
//
// The server has a lock for writing. Who may only read the file can have a lock for reading, which
// is in the way of that, for as long as he likes. Then no server has the file, since that would be
// in the way of his; and another file takes its place, which nobody else could open before it was
// locked:
//
//      ".NAME.new", mode 0600, locked, with our id ──exchanged with NAME──> mode 0644
//
// and the old one is removed.
//
// The lock of ".NAME.new" also keeps out who would do the same at that time. A server that came to
// the lock of the old one meanwhile has it: they are exchanged again.
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES = 10,  // that servers which end may spoil
    READERS = 1, // of lock: nobody but readers is in the way
};

// Whether a lock of somebody else is in the way of one of this kind.
static bool is_locked(int fd, short against)
{
    struct flock l = {.l_type = against, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

// 0, also where there are no locks; −EBUSY: a server has it; or READERS.
static int lock(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &l) == 0 || (errno != EAGAIN && errno != EACCES))
        return 0;
    return is_locked(fd, F_RDLCK) ? -EBUSY : READERS;
}

static bool is_in(int folder, const char *name, int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(folder, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_plain_and_own(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= 1 &&
           (st.st_uid == 0 || st.st_uid == geteuid());
}

static pid_t read_pid(int fd)
{
    char said[24];
    ssize_t n = pread(fd, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    return (pid_t)strtol(said, NULL, 10);
}

// What the file had that is longer is written over with empty lines before it is cut off, so that
// who reads it meanwhile, to send a signal, never finds it without an id.
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

// Another file in place of the old one ------------------------------------------------------------

static int exchange(int folder, const char *name, const char *other)
{
    return renameat2(folder, other, folder, name, RENAME_EXCHANGE) == 0 ? 0 : -errno;
}

// A file of that name that we alone have: its descriptor, or −errno, −EAGAIN when somebody else
// does the same. One that is left over is taken, but for an old pid file, which others may read.
static int open_other(int folder, const char *other)
{
    static const int how = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    struct stat st;
    int rc = 0, fd = openat(folder, other, how, 0600);
    if (fd < 0)
        return -errno;
    if (!is_plain_and_own(fd) || fstat(fd, &st) != 0)
        rc = -EEXIST;
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        rc = unlinkat(folder, other, 0) == 0 || errno == ENOENT ? -EAGAIN : -errno;
    else if (lock(fd) != 0 || !is_in(folder, other, fd))
        rc = -EAGAIN;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

// The new one, fd, is at name, the old one at other. 0 or −EAGAIN, and then it is as it was.
static int keep(int folder, const char *name, const char *other, int old, int fd)
{
    bool done = is_in(folder, name, fd) && is_in(folder, other, old); // and nobody's else
    if (done && !is_locked(old, F_RDLCK) && fchmod(fd, 0644) == 0)
        return 0;
    exchange(folder, name, other);
    return -EAGAIN;
}

// The descriptor of the one that has taken the place of old, or −errno.
static int replace(int folder, const char *name, int old)
{
    char other[NAME_MAX + 1];
    if (snprintf(other, sizeof other, ".%s.new", name) >= (int)sizeof other)
        return -ENAMETOOLONG;
    int fd = open_other(folder, other);
    if (fd < 0)
        return fd;
    int rc = write_pid(fd);
    if (rc == 0)
        rc = exchange(folder, name, other);
    if (rc == 0)
        rc = keep(folder, name, other, old, fd);
    unlinkat(folder, other, 0);
    if (rc < 0)
        close(fd);
    return rc == -ENOENT ? -EAGAIN : rc < 0 ? rc : fd;
}

// Where none can take its place, as in a folder of somebody else's, the old one goes without a
// lock: who reads it is not to hold up a start.
static int own_despite_readers(int folder, const char *name, int old)
{
    int rc = replace(folder, name, old);
    if (rc >= 0 || rc == -EAGAIN)
        return rc;
    rc = lock(old) == -EBUSY ? -EAGAIN : write_pid(old); // the readers may be gone
    return rc < 0 ? rc : old;
}

// Opening -----------------------------------------------------------------------------------------

// The descriptor, which may be another one than fd; or −errno, −EAGAIN when a server that ended has
// removed the file meanwhile.
static int own(int folder, const char *name, int fd, pid_t *holder)
{
    if (!is_plain_and_own(fd))
        return -EEXIST;
    int rc = lock(fd);
    if (rc == -EBUSY)
        *holder = read_pid(fd);
    if (rc < 0)
        return rc;
    if (!is_in(folder, name, fd))
        return -EAGAIN;
    if (rc == READERS)
        return own_despite_readers(folder, name, fd);
    rc = write_pid(fd);
    return rc < 0 ? rc : fd;
}

static int open_pid(const char *path, pid_t *holder)
{
    const char *name;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return folder;
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
    int got = fd < 0 ? -errno : own(folder, name, fd, holder);
    if (fd >= 0 && got != fd)
        close(fd);
    close(folder);
    return got;
}

int files_open_pid(const char *path, pid_t *holder)
{
    int rc = -EAGAIN;
    *holder = 0;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = open_pid(path, holder);
    return rc;
}

int files_take_pid(int fd)
{
    lock(fd); // again: nothing changes where it is locked already
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

static bool remove_pid(const char *path, int fd)
{
    const char *name;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return false;
    bool gone = is_in(folder, name, fd) && unlinkat(folder, name, 0) == 0;
    close(folder);
    return gone;
}

// With the lock nobody takes it between the look at it and its end; where readers keep us from that
// it is emptied, as it may be another server's in the next moment. A successor that was started
// while we stopped says its own process id.
void files_close_pid(const char *path, int fd)
{
    int rc = lock(fd);
    bool ours = rc != -EBUSY && read_pid(fd) == getpid();
    bool gone = ours && rc == 0 && remove_pid(path, fd);
    if (ours && !gone && ftruncate(fd, 0) != 0)
        fprintf(stderr, "lunette: %s could not be removed\n", path);
    close(fd);
}

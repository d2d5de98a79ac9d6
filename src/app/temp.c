// A folder for large bodies: see the header.
#include "app/temp.h"

#include "app/control_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES = 10, // that others who leave may spoil
    PATIENCE =
        50, // looks at a lock that somebody has for himself: one who leaves has it for a moment
    LOOK_US = 4000,
};

static const char *const names[] = {"bodies", "bodies.2"};

static bool is_still_there(const struct temp *t)
{
    struct stat a, b;
    return fstat(t->fd, &a) == 0 && lstat(t->path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

// 0 or −errno, −EBUSY when somebody has the lock for himself, as a cleaner of /tmp may for long.
static int share(int fd)
{
    for (int i = 0; flock(fd, LOCK_SH | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (i == PATIENCE)
            return -EBUSY;
        usleep(LOOK_US);
    }
    return 0;
}

// The folder with its lock. 0, −EAGAIN when it was removed meanwhile, −errno.
static int take(struct temp *t, const char *control)
{
    struct stat st;
    int rc = control_place_make(control, NULL);
    if (rc < 0)
        return rc;
    if (mkdir(t->path, 0700) != 0 && errno != EEXIST)
        return errno == ENOENT ? -EAGAIN : -errno;
    t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (fstat(t->fd, &st) != 0)
        rc = -errno;
    else if (st.st_uid != geteuid())
        rc = -EPERM;
    else if (fchmod(t->fd, 0700) != 0)
        rc = -errno;
    else
        rc = share(t->fd);
    if (rc == 0 && !is_still_there(t))
        rc = -EAGAIN;
    if (rc < 0)
        close(t->fd);
    return rc;
}

static int take_named(struct temp *t, const char *control)
{
    int rc = -EAGAIN;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = take(t, control);
    return rc;
}

int temp_open(struct temp *t, const char *site)
{
    char control[PATH_MAX];
    t->fd = -1;
    if (!control_place(CONTROL_PLACES - 1, site, geteuid(), control) ||
        strlen(control) + sizeof "bodies.2" > sizeof t->path)
        return -ENAMETOOLONG;
    size_t folder = (size_t)(strrchr(control, '/') + 1 - control);
    memcpy(t->path, control, folder);
    int rc = -EBUSY;
    for (size_t n = 0; n < sizeof names / sizeof *names && rc == -EBUSY; n++) {
        memcpy(t->path + folder, names[n], strlen(names[n]) + 1);
        rc = take_named(t, control);
    }
    if (rc < 0)
        t->fd = -1;
    return rc;
}

void temp_close(struct temp *t)
{
    if (t->fd < 0)
        return;
    if (flock(t->fd, LOCK_EX | LOCK_NB) == 0 && rmdir(t->path) == 0)
        control_place_leave(t->path);
    close(t->fd);
    t->fd = -1;
}

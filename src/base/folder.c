// Whole folders: see the header. Every step is beneath a descriptor of its folder, so that nothing
// that is renamed meanwhile leads elsewhere.
#include "base/folder.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

int folder_open(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

typedef int entry_fn(int folder, const char *name, int other, int depth);

// fn(folder, name, other, depth) for every entry. Stops at the first −errno, which it returns.
static int each(int folder, entry_fn *fn, int other, int depth)
{
    int rc = 0, fd = folder_open(folder, ".");
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    if (!d)
        return -errno;
    while (rc == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = fn(folder, e->d_name, other, depth);
    closedir(d);
    return rc;
}

// Removing

static int remove_entry(int folder, const char *name, int other, int depth)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth >= FOLDER_DEPTH)
        return -ELOOP;
    int fd = folder_open(folder, name), rc;
    if (fd == -EACCES && fchmodat(folder, name, 0700, 0) == 0)
        fd = folder_open(folder, name);
    if (fd < 0)
        return fd;
    fchmod(fd, 0700); // a script may have made it read-only
    rc = each(fd, remove_entry, other, depth + 1);
    close(fd);
    return rc == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0 ? -errno : rc;
}

int folder_remove(const char *path)
{
    return remove_entry(AT_FDCWD, path, -1, 0);
}

int folder_empty(int folder)
{
    return each(folder, remove_entry, -1, 1);
}

// Mirroring

static mode_t kind_of(int folder, const char *name, mode_t *mode)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    *mode = st.st_mode & 07777;
    return st.st_mode & S_IFMT;
}

// An entry of `to`: goes when `from` has nothing of that kind under its name.
static int drop_other(int to, const char *name, int from, int depth)
{
    mode_t mode, kind = kind_of(to, name, &mode);
    if (kind == kind_of(from, name, &mode) && (kind == S_IFREG || kind == S_IFDIR))
        return 0;
    return remove_entry(to, name, -1, depth);
}

static int copy_bytes(int in, int out)
{
    char piece[PIECE];
    ssize_t n;
    while ((n = read(in, piece, sizeof piece)) > 0) {
        int rc = io_write_all(out, str_of(piece, (size_t)n));
        if (rc < 0)
            return rc;
    }
    if (n < 0)
        return -errno;
    return ftruncate(out, lseek(out, 0, SEEK_CUR)) == 0 ? 0 : -errno;
}

static int copy_file(int from, const char *name, int to, mode_t mode)
{
    int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;
    if (in < 0)
        return -errno;
    int out = openat(to, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0 && errno == EACCES && fchmodat(to, name, 0600, 0) == 0)
        out = openat(to, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    rc = out < 0 ? -errno : copy_bytes(in, out);
    if (rc == 0 && fchmod(out, mode) != 0)
        rc = -errno;
    close(in);
    if (out >= 0)
        close(out);
    return rc;
}

static int copy_link(int from, const char *name, int to)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    return symlinkat(target, to, name) == 0 ? 0 : -errno;
}

static int mirror(int from, int to, int depth);

static int copy_folder(int from, const char *name, int to, mode_t mode, int depth)
{
    if (mkdirat(to, name, 0700) != 0 && errno != EEXIST)
        return -errno;
    int in = folder_open(from, name), out = folder_open(to, name);
    int rc = in < 0 ? in : out < 0 ? out : mirror(in, out, depth + 1);
    if (rc == 0 && fchmod(out, mode) != 0)
        rc = -errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

static int copy_entry(int from, const char *name, int to, int depth)
{
    mode_t mode;
    switch (kind_of(from, name, &mode)) {
    case S_IFREG:
        return copy_file(from, name, to, mode);
    case S_IFDIR:
        return copy_folder(from, name, to, mode, depth);
    case S_IFLNK:
        return copy_link(from, name, to);
    default:
        return 0;
    }
}

static int mirror(int from, int to, int depth)
{
    if (depth >= FOLDER_DEPTH)
        return -ELOOP;
    int rc = each(to, drop_other, from, depth);
    return rc < 0 ? rc : each(from, copy_entry, to, depth);
}

int folder_mirror(const char *from, const char *to)
{
    if (mkdir(to, 0700) != 0 && errno != EEXIST)
        return -errno;
    int in = folder_open(AT_FDCWD, from), out = folder_open(AT_FDCWD, to);
    int rc = in < 0 ? in : out < 0 ? out : mirror(in, out, 0);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

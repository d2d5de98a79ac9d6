// Saving files: see the header. The way down is walked one component at a time, so that no link can
// lead out of the folder, whoever makes one meanwhile.
#include "content/save.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_CLOEXEC,
    FILE_MODE = 0640,
    FOLDER_MODE = 0750,
    COPY_BLOCK = 64 * 1024,
    NAME_SIZE = 32, // of a temporary name
    TRIES = 8,
};

// --- where it goes ---

// One step down, making the folder when it is missing. *dir is replaced. 0 or −errno.
static int step_into(int *dir, const char *name)
{
    if (strcmp(name, "..") == 0)
        return -EXDEV;
    if (name[0] == '\0' || strcmp(name, ".") == 0)
        return 0;
    if (mkdirat(*dir, name, FOLDER_MODE) != 0 && errno != EEXIST)
        return -errno;
    int fd = (int)TEMP_FAILURE_RETRY(openat(*dir, name, FOLDER_FLAGS | O_NOFOLLOW));
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR ? -EXDEV : -errno;
    close(*dir);
    *dir = fd;
    return 0;
}

// Opens the folder of path, whose components before the last are walked; *name is the last.
static int walk(int *dir, char *path, const char **name)
{
    int err = 0;
    for (char *slash; !err && (slash = strchr(path, '/')); path = slash + 1) {
        *slash = '\0';
        err = step_into(dir, path);
    }
    *name = path;
    return err;
}

int save_open_folder(const char *folder, char *path, const char **name)
{
    if (path[0] == '/')
        return -EXDEV;
    if (mkdir(folder, FOLDER_MODE) != 0 && errno != EEXIST)
        return -errno;
    int dir = open(folder, FOLDER_FLAGS);
    if (dir < 0)
        return -errno;
    int err = walk(&dir, path, name);
    if (!err)
        return dir;
    close(dir);
    return err;
}

static int open_folder(const struct save *s, char *path, const char **name)
{
    if (s->folder)
        return save_open_folder(s->folder, path, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    *name = slash + 1;
    int fd = open(slash == path ? "/" : path, FOLDER_FLAGS);
    return fd < 0 ? -errno : fd;
}

// --- the file ---

static int make_name(char name[static NAME_SIZE])
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -EIO;
    snprintf(name, NAME_SIZE, ".lunette-%016llx", (unsigned long long)number);
    return 0;
}

// A new file for writing: without a name where the file system has that, else under *name.
static int open_new(int dir, char name[static NAME_SIZE])
{
    name[0] = '\0';
    int fd = (int)TEMP_FAILURE_RETRY(openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, FILE_MODE));
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
        return -errno;
    int err = make_name(name);
    if (err)
        return err;
    fd = (int)TEMP_FAILURE_RETRY(
        openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, FILE_MODE));
    return fd < 0 ? -errno : fd;
}

// By way of memory, where the kernel cannot copy between the two files.
static int copy_by_hand(const struct save *s, int to, off_t at, uint64_t left)
{
    char *block = malloc(COPY_BLOCK);
    int err = block ? 0 : -ENOMEM;
    while (!err && left) {
        ssize_t n = pread(s->fd, block, left < COPY_BLOCK ? (size_t)left : COPY_BLOCK, at);
        if (n < 0 && errno == EINTR)
            continue;
        err = n <= 0 ? (n < 0 ? -errno : -EIO) : io_write_all(to, str_of(block, (size_t)n));
        if (n > 0) {
            at += n;
            left -= (uint64_t)n;
        }
    }
    free(block);
    return err;
}

static int copy(const struct save *s, int to)
{
    off_t at = s->at;
    uint64_t left = s->n;
    if (s->fd < 0)
        return io_write_all(to, s->bytes);
    while (left) {
        size_t step = left < 1 << 30 ? (size_t)left : 1 << 30;
        ssize_t n = copy_file_range(s->fd, &at, to, NULL, step, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return copy_by_hand(s, to, at, left);
        left -= (uint64_t)n;
    }
    return 0;
}

// --- its name ---

// Gives an unnamed file a name; −EEXIST when that is taken.
static int name_it(int fd, int dir, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

static int name_it_somehow(int fd, int dir, char temporary[static NAME_SIZE])
{
    int err = -EEXIST;
    for (int i = 0; i < TRIES && err == -EEXIST; i++)
        if ((err = make_name(temporary)) == 0)
            err = name_it(fd, dir, temporary);
    if (err)
        temporary[0] = '\0';
    return err;
}

// The complete file appears under its name.
static int publish(const struct save *s, int fd, int dir, char temporary[static NAME_SIZE],
                   const char *name)
{
    if (!temporary[0] && !s->overwrite)
        return name_it(fd, dir, name);
    int err = temporary[0] ? 0 : name_it_somehow(fd, dir, temporary);
    if (err)
        return err;
    int rc =
        s->overwrite ? renameat(dir, temporary, dir, name) : linkat(dir, temporary, dir, name, 0);
    err = rc == 0 ? 0 : -errno;
    if (err || !s->overwrite)
        unlinkat(dir, temporary, 0);
    return err;
}

static int write_into(const struct save *s, int dir, const char *name)
{
    char temporary[NAME_SIZE];
    if (name[0] == '\0' || strcmp(name, ".") == 0)
        return -EISDIR;
    if (strcmp(name, "..") == 0)
        return -EXDEV;
    int fd = open_new(dir, temporary);
    if (fd < 0)
        return fd;
    int err = copy(s, fd);
    if (!err)
        err = publish(s, fd, dir, temporary, name);
    else if (temporary[0])
        unlinkat(dir, temporary, 0);
    return close(fd) == 0 || err ? err : -errno;
}

int save_write(const struct save *s)
{
    char path[PATH_MAX];
    const char *name = path;
    size_t n = strlen(s->path);
    if (n >= sizeof path)
        return -ENAMETOOLONG;
    if (!s->folder && s->path[0] != '/')
        return -EXDEV;
    memcpy(path, s->path, n + 1);
    int dir = open_folder(s, path, &name);
    if (dir < 0)
        return dir;
    int err = write_into(s, dir, name);
    close(dir);
    return err;
}

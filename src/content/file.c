// Safe opening: see the header. The name is judged as text first (dotfiles, NUL, empty components);
// where it leads is judged by the kernel, never by us: between a look and an open anything may
// change, so the one descriptor that is opened is also the one that is asked what it is.
#include "content/file.h"

#include "content/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
    STEP_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
    TRIES = 16, // openat2 says EAGAIN when a rename raced with a ".." in a link
};

struct file_root {
    int fd; // the folder, O_PATH
    uint64_t id;
    unsigned refs;
    bool walk; // without openat2
};

static int open_beneath(int root, const char *name)
{
    struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    for (int tries = 1;; tries++) {
        long fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if ((errno != EAGAIN && errno != EINTR) || tries == TRIES)
            return -errno;
    }
}

// The last component: a slash behind it must mean a folder, as it does to the kernel.
static int open_last(int dir, char *name)
{
    int flags = OPEN_FLAGS | O_NOFOLLOW;
    char *slash = strchr(name, '/');
    if (slash) {
        *slash = '\0';
        flags |= O_DIRECTORY;
    }
    int fd = (int)TEMP_FAILURE_RETRY(openat(dir, name, flags));
    return fd < 0 ? -errno : fd;
}

// The same without openat2, component by component. name has no "..", and is cut up on the way.
static int open_walking(int root, char *name)
{
    int dir = root;
    for (char *slash; (slash = strchr(name, '/')) && slash[1]; name = slash + 1) {
        *slash = '\0';
        int next = (int)TEMP_FAILURE_RETRY(openat(dir, name, STEP_FLAGS));
        int err = next < 0 ? -errno : 0;
        if (dir != root)
            close(dir);
        if (err)
            return err;
        dir = next;
    }
    int fd = open_last(dir, name);
    if (dir != root)
        close(dir);
    return fd;
}

// What openat2 says where there is none, or none for us. A sandbox may come after the folder was
// opened, so that this is looked at with every call.
static bool is_refused(int err)
{
    return err == -ENOSYS || err == -EPERM;
}

int file_root_open(const char *path, struct file_root **out)
{
    static uint64_t roots; // opened so far; a worker has one thread
    struct file_root *r = malloc(sizeof *r);
    if (!r)
        return -ENOMEM;
    r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0) {
        int err = -errno;
        free(r);
        return err;
    }
    r->id = ++roots;
    r->refs = 1;
    int probe = open_beneath(r->fd, ".");
    r->walk = is_refused(probe) || probe == -EINVAL || probe == -E2BIG; // or an older openat2
    if (probe >= 0)
        close(probe);
    *out = r;
    return 0;
}

// The count is not part of what a const root promises.
static struct file_root *counted(const struct file_root *r)
{
    return (struct file_root *)(uintptr_t)r;
}

void file_root_close(const struct file_root *r)
{
    if (!r || --counted(r)->refs > 0)
        return;
    close(r->fd);
    free(counted(r));
}

const struct file_root *file_root_ref(const struct file_root *r)
{
    counted(r)->refs++;
    return r;
}

void file_root_walk(struct file_root *r)
{
    r->walk = true;
}

uint64_t file_root_id(const struct file_root *r)
{
    return r->id;
}

// Whether the name may be asked for at all: absolute, no NUL, no empty component but one behind the
// last slash, none with a dot in front. That keeps "." and ".." out too.
static bool is_visible(struct str path)
{
    if (path.n == 0 || path.p[0] != '/' || str_find(path, '\0') >= 0)
        return false;
    struct str rest = str_of(path.p + 1, path.n - 1), part;
    for (bool top = true; str_split(&rest, '/', &part); top = false) {
        if (part.n == 0)
            return rest.p == NULL;
        if (part.p[0] == '.' && !(top && str_eq(part, STR(".well-known"))))
            return false;
    }
    return true;
}

// Errors that would tell a visitor what stands in the way of a name: they all mean "not here".
static int hide(int err)
{
    switch (err) {
    case -ENOTDIR:
    case -ELOOP: // a link met by the walk, or a ring of them
    case -EXDEV: // a way out
    case -ENXIO: // a socket, or a device that is not there
    case -ENODEV:
        return -ENOENT;
    default:
        return err;
    }
}

static int describe(int fd, struct str type, struct file *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -ENOENT;
    *out = (struct file){
        .fd = fd,
        .mtime = st.st_mtim,
        .ctime = st.st_ctim,
        .inode = st.st_ino,
        .device = st.st_dev,
        .is_dir = S_ISDIR(st.st_mode),
    };
    if (out->is_dir)
        return 0;
    out->size = (uint64_t)st.st_size;
    out->type = type;
    return 0;
}

// The descriptor of what path leads to, of whatever kind, or −errno.
static int open_path(const struct file_root *r, struct str path)
{
    if (!is_visible(path))
        return -ENOENT;
    char name[PATH_MAX];
    struct str relative = path.n > 1 ? str_of(path.p + 1, path.n - 1) : STR(".");
    if (relative.n >= sizeof name)
        return -ENAMETOOLONG;
    memcpy(name, relative.p, relative.n);
    name[relative.n] = '\0';
    int fd = r->walk ? -ENOSYS : open_beneath(r->fd, name);
    if (is_refused(fd))
        fd = open_walking(r->fd, name);
    return fd < 0 ? hide(fd) : fd;
}

int file_open(const struct file_root *r, struct str path, struct file *out)
{
    int fd = open_path(r, path);
    if (fd < 0)
        return fd;
    int err = describe(fd, mime_known(path), out);
    if (err || out->is_dir) {
        close(fd);
        out->fd = -1;
    }
    return err;
}

int file_open_folder(const struct file_root *r, struct str path)
{
    struct stat st;
    int fd = open_path(r, path);
    if (fd < 0)
        return fd;
    int err = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOENT;
    if (err)
        close(fd);
    return err ? err : fd;
}

int file_again(const struct file *f, struct file *out)
{
    return describe(f->fd, f->type, out);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_same(const struct file *a, const struct file *b)
{
    return a->size == b->size && same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime) &&
           a->inode == b->inode && a->device == b->device && a->is_dir == b->is_dir;
}

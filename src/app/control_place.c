// The places of control sockets: see the header. Folders are made and looked at beneath descriptors of
// those that they are in, so that nothing can be swapped in between.
#include "app/control_place.h"

#include "app/control.h"
#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NAME_SHOWN = 40 }; // bytes of the folder's name in ours

// "mysite-0123456789abcdef"
static void name_site(const char *site, char dst[static NAME_SHOWN + 32])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    static const uint64_t seed[2] = {0, 0}; // nothing is secret here: everybody must find it
    const char *last = strrchr(site, '/');
    last = last ? last + 1 : site;
    size_t n = strnlen(last, NAME_SHOWN);
    for (size_t i = 0; i < n; i++)
        dst[i] = strchr(plain, last[i]) && (i || last[i] != '.') ? last[i] : '_';
    snprintf(dst + n, 32, "-%016llx", (unsigned long long)hash_bytes(seed, str_z(site)));
}

// The first of a list with colons between.
static bool of_variable(const char *variable, const char *more, char base[static PATH_MAX])
{
    const char *text = getenv(variable);
    if (!text || text[0] != '/')
        return false;
    int n = snprintf(base, PATH_MAX, "%.*s%s", (int)strcspn(text, ":"), text, more);
    return n < PATH_MAX;
}

static bool find_base(unsigned i, uid_t uid, char base[static PATH_MAX])
{
    switch (i) {
    case 0:
        return of_variable("RUNTIME_DIRECTORY", "", base);
    case 1:
        return snprintf(base, PATH_MAX, "/run/lunette") > 0;
    case 2:
        return of_variable("XDG_RUNTIME_DIR", "/lunette", base);
    case CONTROL_PLACES_UID:
        return snprintf(base, PATH_MAX, "/run/user/%u/lunette", (unsigned)uid) > 0;
    default:
        return snprintf(base, PATH_MAX, "/tmp/lunette-%u", (unsigned)uid) > 0;
    }
}

bool control_place(unsigned i, const char *site, uid_t uid, char path[static PATH_MAX])
{
    char base[PATH_MAX], name[NAME_SHOWN + 32];
    if (i >= CONTROL_PLACES || !find_base(i, uid, base))
        return false;
    name_site(site, name);
    return snprintf(path, PATH_MAX, "%s/%s/control", base, name) < PATH_MAX;
}

// Opens the folder name of parent, which is made where it is missing. The descriptor or −errno.
static int enter(int parent, const char *name, mode_t mode)
{
    bool made = mkdirat(parent, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? -EPERM : -errno;
    if (!made || fchmod(fd, mode) == 0) // the umask may have taken of it
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

// Whether nobody but root and uid can make entries in the folder.
static bool is_of(int folder, uid_t uid)
{
    struct stat st;
    return fstat(folder, &st) == 0 && (st.st_uid == 0 || st.st_uid == uid) &&
           !(st.st_mode & (S_IWGRP | S_IWOTH));
}

// Removes what is in the folder, links themselves and empty folders too. 0, −ENOTEMPTY or −errno.
static int empty(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *all = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    if (!all) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (int n = 0; rc == 0 && (e = readdir(all));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (n++ == CONTROL_PLACE_LEFT ||
            (unlinkat(folder, e->d_name, 0) != 0 && unlinkat(folder, e->d_name, AT_REMOVEDIR) != 0))
            rc = -ENOTEMPTY;
    }
    closedir(all);
    return rc;
}

// Whether a server that root runs (--dev) has the place. Who has it otherwise is no server that the
// folder's next owner would have to respect: nothing tells one from a process that holds the place.
static bool is_roots(const char *path)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    int fd = control_connect(path);
    if (fd < 0)
        return false;
    bool root = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == 0;
    close(fd);
    return root;
}

// The folder becomes root's first, so that who had it can add nothing any more, neither by a list of
// access rights. What cannot be emptied stays root's, closed.
static int take(int folder)
{
    if (fchown(folder, 0, 0) != 0)
        return -errno;
    fremovexattr(folder, "system.posix_acl_default");
    fremovexattr(folder, "system.posix_acl_access");
    return fchmod(folder, 0700) != 0 ? -errno : empty(folder);
}

// Root gives BASE/NAME to its owner, without what another one has left in it.
static int give(int folder, const char *path, const struct identity *owner)
{
    struct stat st;
    if (fstat(folder, &st) != 0)
        return -errno;
    if (st.st_uid == 0 && is_roots(path))
        return -EADDRINUSE;
    int rc = st.st_uid != owner->uid ? take(folder) : 0;
    if (rc == 0 && (fchown(folder, owner->uid, owner->gid) != 0 || fchmod(folder, 0700) != 0))
        rc = -errno;
    return rc;
}

static bool is_ours(int folder)
{
    struct stat st;
    return is_of(folder, geteuid()) && fstat(folder, &st) == 0 && st.st_uid == geteuid();
}

// Cuts the last component off path, and returns it.
static const char *cut(char *path)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    return slash + 1;
}

int control_place_make(const char *path, const struct identity *owner)
{
    char base[PATH_MAX];
    const char *last;
    snprintf(base, sizeof base, "%s", path);
    cut(base);
    const char *name = cut(base);
    int parent = files_open_parent(base, &last);
    if (parent < 0)
        return parent;
    int folder = enter(parent, last, geteuid() == 0 ? 0755 : 0700);
    close(parent);
    if (folder < 0)
        return folder;
    int own = is_of(folder, geteuid()) ? enter(folder, name, 0700) : -EPERM;
    close(folder);
    if (own < 0)
        return own;
    int rc = owner ? give(own, path, owner) : is_ours(own) ? 0 : -EPERM;
    close(own);
    return rc;
}

void control_place_leave(const char *path)
{
    static const char tmp[] = "/tmp/lunette-";
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    cut(folder);
    if (rmdir(folder) != 0)
        return;
    cut(folder);
    if (strncmp(folder, tmp, sizeof tmp - 1) == 0 && strchr(folder + sizeof tmp - 1, '/') == NULL)
        rmdir(folder);
}

int control_place_check(const char *path, uid_t uid)
{
    char folder[PATH_MAX];
    const char *name;
    snprintf(folder, sizeof folder, "%s", path);
    cut(folder);
    int base = files_open_parent(folder, &name);
    if (base < 0)
        return base;
    int rc = is_of(base, uid) ? 0 : -EPERM;
    close(base);
    return rc;
}

int control_place_owner(const char *path, uid_t *uid)
{
    char own[PATH_MAX];
    const char *name;
    struct stat st;
    int rc = 0;
    snprintf(own, sizeof own, "%s", path);
    cut(own);
    int base = files_open_parent(own, &name);
    if (base < 0)
        return base;
    if (fstatat(base, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        rc = -errno;
    else if (!S_ISDIR(st.st_mode))
        rc = -ENOTDIR;
    close(base);
    *uid = rc == 0 ? st.st_uid : 0;
    return rc;
}

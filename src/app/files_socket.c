// Files of the master that are unix sockets: see the header.
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int files_own_socket_in(int folder, const char *name, const struct identity *owner,
                        struct file_id *id)
{
    char through[64];
    struct stat st;
    int rc = 0, fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    snprintf(through, sizeof through, "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        rc = -EEXIST; // not the one that was bound: nor is it to be removed as that
    else
        *id = (struct file_id){st.st_dev, st.st_ino};
    if (rc == 0 && owner &&
        (fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) != 0 || chmod(through, 0660) != 0))
        rc = -errno;
    close(fd);
    return rc;
}

int files_own_socket(const char *path, const struct identity *owner, struct file_id *id)
{
    const char *name;
    int parent = files_open_parent(path, &name);
    if (parent < 0)
        return parent;
    int rc = files_own_socket_in(parent, name, owner, id);
    close(parent);
    return rc;
}

void files_know_socket(const char *path, struct file_id *id)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        *id = (struct file_id){st.st_dev, st.st_ino};
}

void files_remove_socket(const char *path, const struct file_id *id)
{
    const char *name;
    struct stat st;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == id->device &&
        st.st_ino == id->inode)
        unlinkat(folder, name, 0);
    close(folder);
}

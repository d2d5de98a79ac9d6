// The annotations, written to a folder: see the header.
#include "app/meta.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes the folders that path, which is changed and restored, has before its last component.
static int make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0777) != 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_file(const char *path, struct str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int rc = io_write_all(fd, text);
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int meta_write(const char *folder)
{
    char path[PATH_MAX];
    int rc = 0;
    for (const struct meta_file *f = meta_files; f->name && rc == 0; f++) {
        int n = snprintf(path, sizeof path, "%s/%s", folder, f->name);
        if (n < 0 || (size_t)n >= sizeof path)
            return -ENAMETOOLONG;
        rc = make_parents(path);
        if (rc == 0)
            rc = write_file(path, str_of(f->text, f->n));
    }
    return rc;
}

// The annotations, written to a folder: see the header.
#include "app/meta.h"

#include "base/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

int meta_write(int top, const char *folder)
{
    char path[PATH_MAX];
    int rc = 0;
    for (const struct meta_file *f = meta_files; f->name && rc == 0; f++) {
        int n = snprintf(path, sizeof path, "%s/%s", folder, f->name);
        if (n < 0 || (size_t)n >= sizeof path)
            return -ENAMETOOLONG;
        rc = folder_write(top, path, str_of(f->text, f->n));
    }
    return rc;
}

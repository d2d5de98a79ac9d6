// Coded forms beside files: see the header.
#include "content/siblings.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static const struct str suffixes[CODINGS] = {
    [CODING_GZIP] = STR(".gz"),
    [CODING_BROTLI] = STR(".br"),
    [CODING_ZSTD] = STR(".zst"),
};

struct str sibling_path(struct str path, enum coding c, char *dst, size_t cap)
{
    struct str suffix = suffixes[c];
    if (path.n + suffix.n > cap)
        return str_of(NULL, 0);
    memcpy(dst, path.p, path.n);
    memcpy(dst + path.n, suffix.p, suffix.n);
    return str_of(dst, path.n + suffix.n);
}

bool sibling_is_fresh(struct timespec form, struct timespec original)
{
    if (form.tv_sec != original.tv_sec)
        return form.tv_sec > original.tv_sec;
    return form.tv_nsec >= original.tv_nsec || form.tv_nsec == 0;
}

static bool is_there(const struct file_root *r, struct str path, const struct file *f)
{
    struct file form;
    if (path.n == 0 || file_open(r, path, &form) != 0)
        return false;
    if (form.fd >= 0)
        close(form.fd);
    return !form.is_dir && form.size > 0 && sibling_is_fresh(form.mtime, f->mtime);
}

unsigned siblings_of(const struct file_root *r, struct str path, const struct file *f)
{
    char name[PATH_MAX];
    unsigned found = 0;
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        if (str_ends(path, suffixes[c]))
            return 0;
    for (enum coding c = CODING_GZIP; c < CODINGS; c++)
        if (is_there(r, sibling_path(path, c, name, sizeof name), f))
            found |= 1u << c;
    return found;
}

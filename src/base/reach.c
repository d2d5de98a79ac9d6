// What a process may reach: see the header. Lists are short and asked when something has failed, so
// that they are walked from end to end.
#include "base/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void reach_init(struct reach *r)
{
    *r = (struct reach){0};
}

void reach_fini(struct reach *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->item[i].path);
    free(r->item);
    reach_init(r);
}

static bool grow(struct reach *r)
{
    size_t room = r->room ? r->room * 2 : 64;
    struct reach_path *item = realloc(r->item, room * sizeof *item);
    if (!item)
        return false;
    r->item = item;
    r->room = room;
    return true;
}

int reach_add(struct reach *r, const char *path, unsigned rights)
{
    if (r->n == REACH_MAX)
        return -ENOSPC;
    if (r->n == r->room && !grow(r))
        return -ENOMEM;
    char *real = realpath(path, NULL);
    if (!real)
        return -errno;
    r->item[r->n++] = (struct reach_path){real, rights};
    return 0;
}

// Whether path is top, or lies beneath it.
static bool is_beneath(const char *path, const char *top)
{
    size_t n = strlen(top);
    if (n == 1) // "/"
        return path[0] == '/';
    return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool reach_allows(const struct reach *r, const char *path, unsigned rights)
{
    unsigned given = 0;
    for (size_t i = 0; i < r->n; i++)
        if (is_beneath(path, r->item[i].path))
            given |= r->item[i].rights;
    return (given & rights) == rights;
}

int reach_resolve(const char *path, char dst[static PATH_MAX])
{
    char folder[PATH_MAX];
    if (realpath(path, dst))
        return 0;
    if (errno != ENOENT)
        return -errno;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= sizeof folder)
        return n ? -ENAMETOOLONG : -ENOENT;
    memcpy(folder, path, n);
    folder[n] = '\0';
    char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -ENOENT;
    size_t length = strlen(name);
    char last[NAME_MAX + 1];
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(last, name, length + 1);
    if (slash)
        slash[slash == folder] = '\0'; // "/x" is in "/"
    if (!realpath(slash ? folder : ".", dst))
        return -errno;
    size_t used = strlen(dst), bar = used > 1;
    if (used + bar + length >= PATH_MAX)
        return -ENAMETOOLONG;
    if (bar)
        dst[used] = '/';
    memcpy(dst + used + bar, last, length + 1);
    return 0;
}

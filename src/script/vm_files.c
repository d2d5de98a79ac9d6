// Files of Lua code. Those beneath the site's scripts/ come from the snapshot where there is one, and from
// it alone: what is on the disk by now belongs to another generation.
#include "script/luax.h"
#include "script/vm_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = SNAPSHOT_FILE_BYTES };

// All of a regular file, in malloc'ed memory. 0 or −errno.
static int read_file(const char *path, char **text, size_t *n)
{
    *text = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not block the worker
    if (fd < 0)
        return -errno;
    struct stat st;
    int rc = fstat(fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (rc == 0 && st.st_size > FILE_MAX)
        rc = -EFBIG;
    if (rc == 0 && !(*text = malloc((size_t)st.st_size + 1)))
        rc = -ENOMEM;
    while (rc == 0 && *n < (size_t)st.st_size) {
        ssize_t got = read(fd, *text + *n, (size_t)st.st_size - *n);
        if (got == 0) // cut short meanwhile
            break;
        if (got < 0 && errno != EINTR)
            rc = -errno;
        else if (got > 0)
            *n += (size_t)got;
    }
    close(fd);
    if (rc < 0)
        free(*text);
    return rc;
}

// Skips a byte order mark, and a first line that begins with '#' but for its line feed.
static size_t preamble(const char *text, size_t n)
{
    size_t at = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    if (at < n && text[at] == '#')
        while (at < n && text[at] != '\n')
            at++;
    return at;
}

static int load_text(lua_State *L, struct str text, const char *name)
{
    size_t skip = preamble(text.p, text.n);
    return luaL_loadbufferx(L, text.p + skip, text.n - skip, name, "t"); // does not raise
}

// The name of a path beneath scripts/ in the snapshot; p NULL: it is not the snapshot's.
static struct str name_in_snapshot(const struct vm *vm, const char *path)
{
    static const char scripts[] = "scripts/";
    const char *relative = vm_short_path(vm, path);
    if (!vm->options.scripts || relative == path ||
        strncmp(relative, scripts, sizeof scripts - 1) != 0)
        return str_of(NULL, 0);
    return str_z(relative + sizeof scripts - 1);
}

// By opening it: access(2) knows nothing of Landlock.
static bool is_readable(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool vm_has_file(const struct vm *vm, const char *path)
{
    struct str text, name = name_in_snapshot(vm, path);
    return name.p ? snapshot_find(vm->options.scripts, name, &text) : is_readable(path);
}

static int fail(lua_State *L, const char *name, int err)
{
    lua_pushfstring(L, "cannot read %s: %s", name + 1, strerror(err));
    return LUA_ERRFILE;
}

int vm_load_path(lua_State *L, const char *path, const char *name)
{
    struct str text, kept = name_in_snapshot(vm_of(L), path);
    char *bytes;
    size_t n;
    if (kept.p)
        return snapshot_find(vm_of(L)->options.scripts, kept, &text) ? load_text(L, text, name)
                                                                     : fail(L, name, ENOENT);
    int rc = read_file(path, &bytes, &n);
    if (rc < 0)
        return fail(L, name, -rc);
    int status = load_text(L, str_of(bytes, n), name);
    free(bytes);
    return status;
}

// Pushes the text at the light userdata.
static int push_text(lua_State *L)
{
    luax_push(L, *(const struct str *)lua_touserdata(L, 1));
    return 1;
}

// Pushes malloc'ed bytes and frees them, also when Lua raises for want of memory.
static void push_and_free(lua_State *L, char *bytes, size_t n)
{
    struct str text = str_of(bytes, n);
    lua_pushcfunction(L, push_text);
    lua_pushlightuserdata(L, &text);
    int status = lua_pcall(L, 1, 1, 0);
    free(bytes);
    if (status != LUA_OK)
        lua_error(L);
}

int vm_push_text(lua_State *L, const char *relative)
{
    char path[PATH_MAX], *bytes;
    int length = snprintf(path, sizeof path, "%s/%s", vm_of(L)->options.site, relative);
    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    struct str text, kept = name_in_snapshot(vm_of(L), path);
    if (kept.p) {
        if (!snapshot_find(vm_of(L)->options.scripts, kept, &text))
            return -ENOENT;
        luax_push(L, text);
        return 0;
    }
    size_t n;
    int rc = read_file(path, &bytes, &n);
    if (rc == 0)
        push_and_free(L, bytes, n);
    return rc;
}

const char *vm_short_path(const struct vm *vm, const char *path)
{
    size_t n = strlen(vm->options.site);
    bool beneath = strncmp(path, vm->options.site, n) == 0 && path[n] == '/';
    return beneath ? path + n + 1 : path;
}

int vm_load_file(lua_State *L, const char *relative)
{
    char path[PATH_MAX], name[PATH_MAX];
    int a = snprintf(path, sizeof path, "%s/%s", vm_of(L)->options.site, relative);
    int b = snprintf(name, sizeof name, "@%s", relative);
    if (a >= PATH_MAX || b >= PATH_MAX) {
        lua_pushliteral(L, "cannot read a script: its path is too long");
        return LUA_ERRFILE;
    }
    return vm_load_path(L, path, name);
}

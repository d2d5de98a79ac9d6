// Open files as Lua values: see the header.
#include "script/lua_file.h"

#include "script/luax.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLASS "lunette.file"

static void unref(struct open_file *f)
{
    if (--f->refs == 0)
        free(f);
}

static void unuse(struct open_file *f)
{
    if (--f->users == 0) {
        close(f->fd);
        f->fd = -1;
    }
    unref(f);
}

static int file_gc(lua_State *L)
{
    struct open_file **value = luaL_checkudata(L, 1, CLASS);
    if (*value)
        unref(*value);
    *value = NULL;
    return 0;
}

void lua_file_register(lua_State *L)
{
    luax_class(L, CLASS, NULL, file_gc);
}

void lua_file_push(lua_State *L, struct open_file **list, int fd, off_t offset, int64_t length)
{
    struct open_file **value = lua_newuserdatauv(L, sizeof *value, 0);
    *value = NULL;
    luaL_setmetatable(L, CLASS);
    struct open_file *f = malloc(sizeof *f);
    int copy = f ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        int error = f ? errno : ENOMEM;
        free(f);
        luaL_error(L, "the file cannot be kept open: %s", strerror(error));
        return;
    }
    *f = (struct open_file){*list, copy, offset, length, .users = 1, .refs = 2};
    *list = f;
    *value = f;
}

struct open_file *lua_file_at(lua_State *L, int idx)
{
    struct open_file **value = luaL_testudata(L, idx, CLASS);
    return value && *value && (*value)->fd >= 0 ? *value : NULL;
}

void lua_file_sends(struct open_file *f)
{
    f->users++;
    f->refs++;
}

void lua_file_sent(void *f)
{
    unuse(f);
}

void lua_file_close_all(struct open_file **list)
{
    while (*list) {
        struct open_file *f = *list;
        *list = f->next;
        unuse(f);
    }
}

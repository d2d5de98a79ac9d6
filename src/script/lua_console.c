// lunette.console: see the header. Writing blocks: a command has nobody else to serve.
#include "script/lua_console.h"

#include "base/io.h"
#include "script/console_input.h"
#include "script/luax.h"
#include "script/vm.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_to(lua_State *L, int fd)
{
    int rc = io_write_all(fd, luax_check_str(L, 1));
    if (rc < 0)
        return luaL_error(L, "cannot write to %s: %s",
                          fd == STDOUT_FILENO ? "the standard output" : "the standard error",
                          strerror(-rc));
    return 0;
}

static int console_write(lua_State *L)
{
    return write_to(L, STDOUT_FILENO);
}

static int console_complain(lua_State *L)
{
    return write_to(L, STDERR_FILENO);
}

static int console_count_files(lua_State *L)
{
    char *const paths[] = {(char *)(uintptr_t)luaL_checkstring(L, 1), NULL};
    lua_Integer n = 0;
    struct stat st;
    if (stat(paths[0], &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!walk)
        return luax_fail(L, errno);
    for (FTSENT *e; n < CONSOLE_COUNT_MAX && (e = fts_read(walk));)
        n += e->fts_info == FTS_F || e->fts_info == FTS_SL;
    fts_close(walk);
    lua_pushinteger(L, n);
    return 1;
}

bool console_wants_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int luaopen_lunette_console(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"write", console_write},
        {"complain", console_complain},
        {"count_files", console_count_files},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushboolean(L, console_wants_colours());
    lua_setfield(L, -2, "colours");
    lua_pushstring(L, vm_options(vm_of(L))->site);
    lua_setfield(L, -2, "site");
    lua_pushinteger(L, CONSOLE_COUNT_MAX);
    lua_setfield(L, -2, "count_max");
    console_input_register(L);
    return 1;
}

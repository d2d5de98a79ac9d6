// lunette.console: see the header. Writing blocks: a command has nobody else to serve.
#include "script/lua_console.h"

#include "base/io.h"
#include "script/luax.h"
#include "script/vm.h"

#include <stdlib.h>
#include <string.h>
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
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushboolean(L, console_wants_colours());
    lua_setfield(L, -2, "colours");
    lua_pushstring(L, vm_options(vm_of(L))->site);
    lua_setfield(L, -2, "site");
    return 1;
}

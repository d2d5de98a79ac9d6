// lunette.console: the terminal of a command (lunette check, test, repl …), for the embedded library.
#ifndef LUNETTE_SCRIPT_LUA_CONSOLE_H
#define LUNETTE_SCRIPT_LUA_CONSOLE_H

#include <lua.h>
#include <stdbool.h>

// write(text), complain(text): all of it to stdout or stderr, or raises. colours: whether stdout is a
// terminal that is to have them (NO_COLOR and TERM are looked at). site: the absolute path of the
// site's folder. count_files(path): how many files are beneath a folder, at most CONSOLE_COUNT_MAX
// (count_max); nil where there is none. What is read from it: script/console_input.h.
enum { CONSOLE_COUNT_MAX = 10000 };
int luaopen_lunette_console(lua_State *L);
bool console_wants_colours(void);

#endif

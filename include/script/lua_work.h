// Functions of lunette.core about the request that is worked on: what is noted for its answer, how long
// that may take, and what became of it.
#ifndef LUNETTE_SCRIPT_LUA_WORK_H
#define LUNETTE_SCRIPT_LUA_WORK_H

#include <lua.h>

// add_header(req, name, value): one more line of the answer, whatever that will be. Raises for a line that
// is malformed or too much.
int core_add_header(lua_State *L);
// vary(req, name): a name for Vary, once.
int core_vary(lua_State *L);
// no_coding(req): the answer is sent as it is, not compressed.
int core_no_coding(lua_State *L);
// after(req, fn): fn runs when the answer was handed over, or the connection lost.
int core_after(lua_State *L);
// timeout(req, seconds): the handler's deadline, from now on.
int core_timeout(lua_State *L);
// late(req, error) → which time of the handler is over ("timeouts.handler", "timeouts.cpu"), as the text
// of its error may say too; false: none is; and for the latter, message and traceback. Who asks answers
// for it.
int core_late(lua_State *L);
// over(req) → whether the exchange has ended: nobody is there to be answered. Never raises for that.
int core_over(lua_State *L);
// current() → the request table of the request whose handler runs, or nil.
int core_current(lua_State *L);
// asked(req) → the method that the client sent, whether it asked for "*", and the host: the table's fields
// may be the site's by now.
int core_asked(lua_State *L);

#endif

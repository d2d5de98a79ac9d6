// Functions of lunette.core that decide by the fields of a request which answer it gets: Accept… and the
// conditions (RFC 9110 §12 and §13).
#ifndef LUNETTE_SCRIPT_LUA_NEGOTIATE_H
#define LUNETTE_SCRIPT_LUA_NEGOTIATE_H

#include <lua.h>

// accept…(req, offered) → the index of the best of 1 to 32 values, or nil; and whether the field has more
// elements than were looked at.
int core_accept(lua_State *L);
int core_accept_language(lua_State *L);
int core_accept_encoding(lua_State *L);
// check(req, etag or nil, last_modified or nil) → "go", "not_modified" or "failed", and whether the
// request had a condition at all. "go" where the answer may become everybody's: it is judged when it is
// sent.
int core_check(lua_State *L);

#endif

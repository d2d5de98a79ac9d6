// lunette.gzip: whole texts in and out of gzip.
#ifndef LUNETTE_SCRIPT_LUA_GZIP_H
#define LUNETTE_SCRIPT_LUA_GZIP_H

#include <lua.h>

// compress(s[, level=6]) → s as gzip; levels 0 to 9. decompress(s, max) → what is in s, all of its
// members; or nil and "bad data", "truncated", "trailing garbage" or "over max". max is a size; it
// is not optional, since a kilobyte of gzip may hold a megabyte. What is long runs in the thread
// pool where the caller can wait.
int luaopen_lunette_gzip(lua_State *L);

#endif

// Functions of lunette.core that make answers, or what answers are made of: response objects, JSON and
// pages.
#ifndef LUNETTE_SCRIPT_LUA_RESPONSE_H
#define LUNETTE_SCRIPT_LUA_RESPONSE_H

#include <lua.h>

// normalise(…) → a response object of what a handler returned (a response itself unchanged, a table
// as JSON text), or nil and what is wrong with it.
int core_normalise(lua_State *L);
// encode(table) → the table as JSON, as it would be sent; or nil and why not.
int core_encode(lua_State *L);
// page(status[, message]) → the built-in page.
int core_page(lua_State *L);
// web_page(title, html) → the page around what is shown with --dev; web_policy() → its
// Content-Security-Policy.
int core_web_page(lua_State *L);
int core_web_policy(lua_State *L);

#endif

// The modules that turn values into text and back: lunette.html, .url, .cookie, .time, .mime. Each
// has a file of its own where it is more than a few lines; none keeps state.
#ifndef LUNETTE_SCRIPT_LUA_CODEC_H
#define LUNETTE_SCRIPT_LUA_CODEC_H

#include <lua.h>

// html.escape(s): & < > " ' as entities; s itself when there are none.
int luaopen_lunette_html(lua_State *L);

// url.parse(s): a table of scheme, username, password, host, port, path, params, query, fragment, or
// nil and a message. url.build(t): the text again. url.join(base, rel): the text, or nil and a
// message. url.quote(s[, safe="/"]), url.unquote(s), url.build_query(t), url.parse_query(s):
// percent-coding as in Python's urllib.parse. An escape that is none stays as it is.
int luaopen_lunette_url(lua_State *L);

// cookie.make(name, value[, opts]), cookie.expire(name[, opts]): values of Set-Cookie (RFC 6265
// §4.1).
int luaopen_lunette_cookie(lua_State *L);

// time.now(): seconds with fraction, UTC. time.http(t): an IMF-fixdate. time.parse_http(s):
// seconds, or nil and a message. time.iso(t), time.parse_iso(s): the same for ISO 8601.
int luaopen_lunette_time(lua_State *L);

// mime.by_name(filename): a Content-Type. mime.by_content(bytes): a media type without parameters, by
// libmagic, in the thread pool where the caller can wait. mime.extensions(type): an array, the usual
// one first.
int luaopen_lunette_mime(lua_State *L);

#endif

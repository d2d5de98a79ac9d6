// What the sandbox refuses, said with the line of the script that tried it; and libraries in C,
// which are not loaded from where the site writes.
//
// The kernel refuses (vm_options.reach says what it allows); here it is only told. io.open,
// os.remove and the others that can meet a refusal are wrapped; what they return is what they
// returned before, but for os.execute and io.popen, which name the reason where the C library makes
// up another. A line of a script that is refused again and again is told once a minute, or a few
// times when it tries different things, with how often it was.
#ifndef LUNETTE_SCRIPT_LUA_GUARD_H
#define LUNETTE_SCRIPT_LUA_GUARD_H

#include "base/reach.h"

#include <lua.h>
#include <stdint.h>

// Wraps the functions of Lua's libraries, which are loaded. Does nothing without a sandbox.
void lua_guard_open(lua_State *L);

// The call (with text as it should be shown: "io.open(\"/etc/shadow\")") was refused path; logs that
// if the sandbox does not give the right for it. Whether it was the sandbox.
bool guard_tell(lua_State *L, const char *call, const char *path, enum reach_right right);
// require(name) found nothing in the templates of path ("/usr/share/lua/5.4/?.lua;…"): logs those
// files that are there and that the sandbox refuses.
void guard_tell_search(lua_State *L, const char *name, const char *path);

// "scripts/main.lua:12", the innermost line of what runs that is not the library's; "?" without one.
enum { GUARD_SEEN = 32, GUARD_KEY_MAX = 128 };
void guard_find_place(lua_State *L, char dst[static GUARD_KEY_MAX]);

// Whether the sandbox lets path be read, or it is not there at all. Where it does not, the path must
// be named in sandbox.read.
bool guard_may_read(lua_State *L, const char *path);

// The last GUARD_SEEN refusals that were told, of a vm.
struct guard_seen {
    char key[GUARD_KEY_MAX];  // "scripts/main.lua:12 io.open"; "" for none
    char call[GUARD_KEY_MAX]; // what was told last: the call and its arguments
    int64_t at;               // seconds of the monotonic clock when it was told first
    unsigned told, more;      // records since then; and how many there were not
};

#endif

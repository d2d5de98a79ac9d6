// config.lua, evaluated: its source becomes a list of settings, as bytes that can cross a pipe.
//
// The evaluation runs in a plain Lua state of its own with lunette.config, which holds the schema.
// It may do anything that Lua can do, so it belongs in a process that has no more rights than the
// site. Whoever reads the list need not trust the one who wrote it: every length is checked.
#ifndef LUNETTE_SCRIPT_LUA_CONFIG_H
#define LUNETTE_SCRIPT_LUA_CONFIG_H

#include "base/buf.h"

enum lua_setting_kind {
    LUA_SETTING_INTEGER =
        'i', // bytes, milliseconds, seconds or a number: config.lua of the library says which
    LUA_SETTING_BOOLEAN = 'b',
    LUA_SETTING_TEXT = 's',
    LUA_SETTING_LIST = 'l',  // of texts: lua_config_item
    LUA_SETTING_PLAIN = 'p', // bytes of script/plain.h
};

struct lua_setting {
    struct str name; // "limits.header_bytes"
    uint32_t line;   // 0: not known
    enum lua_setting_kind kind;
    int64_t integer;  // of an integer; 0 or 1 of a boolean
    struct str bytes; // of the other kinds
};

// Evaluates source and appends its settings to out; name stands in messages ("scripts/config.lua"),
// scripts is the folder that require looks in first. False, with a sentence in out instead, for any
// mistake in it.
bool lua_config_eval(struct str source, const char *name, const char *scripts, struct buf *out);

// The next setting of *rest, which begins as what lua_config_eval appended: 1, 0 at the end,
// −EBADMSG for bytes that it did not write. Slices point into *rest.
int lua_config_next(struct str *rest, struct lua_setting *out);
// The next text of a list: the same.
int lua_config_item(struct str *list, struct str *out);

#endif

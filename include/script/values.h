// Tables of named values: query strings, forms, cookies, header fields that repeat.
#ifndef LUNETTE_SCRIPT_VALUES_H
#define LUNETTE_SCRIPT_VALUES_H

#include "script/names.h"

#include <lua.h>

// Which values of a repeated name a table keeps.
enum values_keep {
    VALUES_FIRST,
    VALUES_LAST,
    VALUES_ALL, // in arrays, marked as JSON arrays, in order
};

// Stores the value on top under the name below it in the table at t (absolute index); pops both.
void values_store(lua_State *L, int t, enum values_keep keep);

// Pushes a table of the decoded names and values of an urlencoded string (http/form.h). names: where
// its names are kept, or NULL.
void values_push_form(lua_State *L, struct str s, enum values_keep keep, struct names *names);

#endif

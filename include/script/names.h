// Names that requests have over and over: of header fields, cookies, parameters. To make a string of
// bytes Lua hashes each of them and looks for the same string; here those that came before are compared
// with one that is kept.
//
// A name has two places where it can be, and takes that of the older one there: clients decide what
// they are called, so there is a bound on how many are kept, and on how long they are.
#ifndef LUNETTE_SCRIPT_NAMES_H
#define LUNETTE_SCRIPT_NAMES_H

#include "base/str.h"

#include <lua.h>

enum {
    NAMES_KEPT = 64,    // at a time: a power of two
    NAMES_LONGEST = 23, // bytes of a name that is kept
};

struct name {
    char bytes[NAMES_LONGEST]; // as it came
    unsigned char n;           // 0: the place is empty
    int ref;                   // of its string in Lua's registry, 0: none yet
};

// Zeroed at first; of one Lua state, and gone with it.
struct names {
    struct name kept[NAMES_KEPT];
    bool lower; // the strings have their ASCII letters in lower case
};

// Pushes s as a string. Raises where there is no memory.
void names_push(lua_State *L, struct names *names, struct str s);

#endif

// Options tables: see the header. The nearest name is the one with the fewest edits (Levenshtein).
#include "script/options.h"

#include <lauxlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 32 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

// How many bytes have to be added, dropped or changed to make b of a; looks at the first 32 of
// both.
static size_t distance(const char *a, const char *b)
{
    size_t na = strnlen(a, NAME_MAX_LEN), nb = strnlen(b, NAME_MAX_LEN);
    size_t row[NAME_MAX_LEN + 1]; // the distances from a's prefix to every prefix of b
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

static const char *nearest(const char *name, const char *const names[])
{
    const char *best = names[0];
    for (size_t i = 1; names[i]; i++)
        if (distance(name, names[i]) < distance(name, best))
            best = names[i];
    return best;
}

static bool is_known(const char *name, const char *const names[])
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void refuse(lua_State *L, int arg, const char *what, const char *why)
{
    if (what)
        luaL_error(L, "%s: %s", what, why);
    luaL_argerror(L, arg, why);
}

bool options_check_of(lua_State *L, int arg, const char *const names[], const char *what)
{
    if (lua_isnoneornil(L, arg))
        return false;
    if (what && !lua_istable(L, arg))
        luaL_error(L, "%s: the options must be a table, not a %s", what, luaL_typename(L, arg));
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            refuse(L, arg, what, "options are named: {name = value}");
        const char *name = lua_tostring(L, -2);
        if (!is_known(name, names))
            refuse(L, arg, what,
                   lua_pushfstring(L, "unknown option '%s', did you mean '%s'?", name,
                                   nearest(name, names)));
        lua_pop(L, 1);
    }
    return true;
}

bool options_check(lua_State *L, int arg, const char *const names[])
{
    return options_check_of(L, arg, names, NULL);
}

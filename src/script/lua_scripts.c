// The files beneath scripts/ as this generation has them, for the embedded library.
#include "script/luax.h"
#include "script/work.h"

#include <string.h>

// script_text("views/page.html") → the text of a file beneath scripts/, as this generation has it; or
// nil and why not.
int core_script_text(lua_State *L)
{
    struct str name = luax_check_str(L, 1);
    luaL_argcheck(L, strlen(name.p) == name.n, 1, "it holds a NUL");
    lua_pushfstring(L, "scripts/%s", name.p);
    int rc = vm_push_text(L, lua_tostring(L, -1));
    if (rc == 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, strerror(-rc));
    return 2;
}

// script_names() → array of the names of all of them ("views/page.html"), sorted. Empty for a
// generation that reads them from the disk.
int core_script_names(lua_State *L)
{
    const struct snapshot *s = vm_options(vm_of(L))->scripts;
    struct str name, text;
    lua_newtable(L);
    for (size_t i = 0; s && snapshot_file(s, i, &name, &text); i++) {
        luax_push(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

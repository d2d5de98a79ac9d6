// lunette.mime: media types.
#include "script/lua_codec.h"

#include "content/mime.h"
#include "script/luax.h"

static int mime_type_of_name(lua_State *L)
{
    luax_push(L, mime_by_name(luax_check_str(L, 1)));
    return 1;
}

int luaopen_lunette_mime(lua_State *L)
{
    static const luaL_Reg functions[] = {{"by_name", mime_type_of_name}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

// lunette.time: the clock, and times as text.
#include "script/lua_codec.h"

#include "http/date.h"
#include "script/luax.h"

#include <math.h>
#include <time.h>

static int time_now(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return 1;
}

static int time_http(lua_State *L)
{
    double t = floor(luaL_checknumber(L, 1));
    luaL_argcheck(L, t >= (double)DATE_MIN && t <= (double)DATE_MAX, 1,
                  "not a time between the years 0 and 9999");
    char text[DATE_LEN];
    date_format(text, (int64_t)t);
    lua_pushlstring(L, text, DATE_LEN);
    return 1;
}

static int time_parse_http(lua_State *L)
{
    int64_t t;
    if (date_parse(luax_check_str(L, 1), time(NULL), &t)) {
        lua_pushinteger(L, t);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not an HTTP date");
    return 2;
}

int luaopen_lunette_time(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", time_now},
        {"http", time_http},
        {"parse_http", time_parse_http},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

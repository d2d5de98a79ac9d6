// lunette.time: the clock, and times as text.
#include "script/lua_codec.h"

#include "base/wall.h"
#include "http/date.h"
#include "script/luax.h"

#include <math.h>

static int time_now(lua_State *L)
{
    struct timespec t = wall_now();
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
    if (date_parse(luax_check_str(L, 1), wall_now().tv_sec, &t)) {
        lua_pushinteger(L, t);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not an HTTP date");
    return 2;
}

// iso(t): to the nearest millisecond, which is shown unless it is 0.
static int time_iso(lua_State *L)
{
    double ms = nearbyint(luaL_checknumber(L, 1) * 1000);
    luaL_argcheck(L, ms >= (double)DATE_MIN * 1000 && ms <= (double)DATE_MAX * 1000 + 999, 1,
                  "not a time between the years 0 and 9999");
    char text[DATE_ISO_MAX];
    lua_pushlstring(L, text, date_format_iso(text, (int64_t)ms));
    return 1;
}

// parse_iso(s): an integer, or a float where s has a fraction.
static int time_parse_iso(lua_State *L)
{
    struct date_iso t;
    if (!date_parse_iso(luax_check_str(L, 1), &t)) {
        lua_pushnil(L);
        lua_pushliteral(L, "not an ISO 8601 time");
        return 2;
    }
    if (t.fraction)
        lua_pushnumber(L, (double)t.seconds + t.nanoseconds / 1e9);
    else
        lua_pushinteger(L, t.seconds);
    return 1;
}

int luaopen_lunette_time(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", time_now}, {"http", time_http},           {"parse_http", time_parse_http},
        {"iso", time_iso}, {"parse_iso", time_parse_iso}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

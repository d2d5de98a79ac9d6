// The binding kit: see the header. Parsing of durations and sizes is done by hand, since strtod
// follows the locale, which a script may change.
#include "script/luax.h"

#include <math.h>
#include <string.h>

static const double MAX_SECONDS = 1e10;

struct str luax_str(lua_State *L, int idx)
{
    struct str s = {NULL, 0};
    if (lua_type(L, idx) == LUA_TSTRING)
        s.p = lua_tolstring(L, idx, &s.n);
    return s;
}

struct str luax_check_str(lua_State *L, int arg)
{
    struct str s;
    s.p = luaL_checklstring(L, arg, &s.n);
    return s;
}

void luax_push(lua_State *L, struct str s)
{
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

void luax_push_lower(lua_State *L, struct str s)
{
    char small[64];
    if (s.n <= sizeof small) {
        ascii_lower(small, s.p, s.n);
        lua_pushlstring(L, small, s.n);
        return;
    }
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, s.n);
    ascii_lower(p, s.p, s.n);
    luaL_pushresultsize(&b, s.n);
}

void luax_complete(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (luaL_getmetafield(L, idx, "__complete") == LUA_TNIL)
        return;
    lua_pushvalue(L, idx);
    lua_call(L, 1, 0);
}

int luax_fail(lua_State *L, int err)
{
    const char *code = strerrorname_np(err);
    luaL_pushfail(L);
    lua_pushstring(L, strerror(err));
    lua_pushstring(L, code ? code : "EUNKNOWN");
    return 3;
}

// Takes the digits at the start of *s. False when there are none, or more than 18.
static bool take_digits(struct str *s, uint64_t *value, unsigned *count)
{
    *value = 0;
    for (*count = 0; *count < s->n && s->p[*count] >= '0' && s->p[*count] <= '9'; ++*count) {
        if (*count == 18)
            return false;
        *value = *value * 10 + (uint64_t)(s->p[*count] - '0');
    }
    s->p += *count;
    s->n -= *count;
    return *count > 0;
}

bool luax_parse_duration(struct str s, double *seconds)
{
    static const struct {
        struct str unit;
        double seconds;
    } units[] = {
        {STR("ms"), 0.001}, {STR("s"), 1}, {STR("m"), 60}, {STR("h"), 3600}, {STR("d"), 86400}};
    uint64_t whole, fraction = 0;
    unsigned count, places = 0;
    if (!take_digits(&s, &whole, &count))
        return false;
    if (s.n && s.p[0] == '.') {
        s.p++;
        s.n--;
        if (!take_digits(&s, &fraction, &places))
            return false;
    }
    double number = (double)whole + (double)fraction / pow(10, places);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!str_eq(s, units[i].unit))
            continue;
        *seconds = number * units[i].seconds;
        return *seconds <= MAX_SECONDS;
    }
    return false;
}

bool luax_parse_size(struct str s, uint64_t *bytes)
{
    uint64_t number, factor = 1;
    unsigned count;
    if (!take_digits(&s, &number, &count) || s.n > 1)
        return false;
    if (s.n == 1) {
        static const char units[] = "KMG";
        const char *unit = memchr(units, s.p[0], 3);
        if (!unit)
            return false;
        factor = (uint64_t)1 << (10 * (unit - units + 1));
    }
    return !__builtin_mul_overflow(number, factor, bytes);
}

double luax_check_duration(lua_State *L, int arg)
{
    double seconds = -1;
    if (lua_type(L, arg) == LUA_TNUMBER)
        seconds = lua_tonumber(L, arg);
    else if (lua_type(L, arg) == LUA_TSTRING && !luax_parse_duration(luax_str(L, arg), &seconds))
        seconds = -1;
    if (!(seconds >= 0 && seconds <= MAX_SECONDS)) // also catches NaN
        luaL_argerror(L, arg,
                      "a duration expected: seconds, or \"250ms\", \"30s\", \"5m\", \"2h\"");
    return seconds;
}

uint64_t luax_check_size(lua_State *L, int arg)
{
    uint64_t bytes = 0;
    int is_integer = 0;
    if (lua_type(L, arg) == LUA_TNUMBER) {
        lua_Integer i = lua_tointegerx(L, arg, &is_integer);
        bytes = (uint64_t)i;
        is_integer = is_integer && i >= 0;
    } else if (lua_type(L, arg) == LUA_TSTRING) {
        is_integer = luax_parse_size(luax_str(L, arg), &bytes);
    }
    if (!is_integer)
        luaL_argerror(L, arg, "a size expected: bytes, or \"64K\", \"20M\", \"1G\"");
    return bytes;
}

void luax_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    if (methods)
        luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__close");
    }
    lua_pop(L, 1);
}

void *luax_self(lua_State *L, const char *name)
{
    void *self = luaL_testudata(L, 1, name);
    if (self)
        return self;
    const char *dot = strrchr(name, '.');
    lua_Debug ar;
    const char *method = NULL;
    if (lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar))
        method = ar.name;
    luaL_error(L, "call with a colon: %s:%s()", dot ? dot + 1 : name, method ? method : "method");
    return NULL;
}

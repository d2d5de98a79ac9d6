// The small modules: lunette.html, lunette.time and lunette.mime.
#include "script/lua_codec.h"

#include "content/mime.h"
#include "http/date.h"
#include "script/luax.h"

#include <math.h>
#include <string.h>
#include <time.h>

// --- html ---

#define BYTES(c) (0x0101010101010101u * (c))

static const struct str entities[256] = {
    ['&'] = {"&amp;", 5},  ['<'] = {"&lt;", 4},   ['>'] = {"&gt;", 4},
    ['"'] = {"&quot;", 6}, ['\''] = {"&#39;", 5},
};

// Whether one of eight bytes has an entity: & and ' differ in one bit, so do < and >. Bytes above
// 0x7f are left out; a subtraction borrows only from a byte that has an entity itself.
static inline bool word_has_entity(uint64_t w)
{
    uint64_t amp_or_apostrophe = ((w | BYTES(1)) ^ BYTES('\'')) - BYTES(1);
    uint64_t less_or_greater = ((w | BYTES(2)) ^ BYTES('>')) - BYTES(1);
    uint64_t quote = (w ^ BYTES('"')) - BYTES(1);
    return (amp_or_apostrophe | less_or_greater | quote) & ~w & BYTES(0x80);
}

// The first byte from p on that has an entity, or end.
static inline const char *skip_plain(const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        if (word_has_entity(w))
            break;
    }
    while (p < end && !entities[(unsigned char)*p].p)
        p++;
    return p;
}

// How long s becomes.
static size_t escaped_length(struct str s)
{
    size_t n = s.n;
    const char *end = s.p + s.n;
    for (const char *p = skip_plain(s.p, end); p < end; p = skip_plain(p + 1, end))
        n += entities[(unsigned char)*p].n - 1;
    return n;
}

static void write_escaped(char *d, struct str s)
{
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end; p++) {
        const char *next = skip_plain(p, end);
        memcpy(d, p, (size_t)(next - p));
        d += next - p;
        p = next;
        if (p == end)
            return;
        struct str entity = entities[(unsigned char)*p];
        memcpy(d, entity.p, entity.n);
        d += entity.n;
    }
}

static int html_escape(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    size_t n = escaped_length(s);
    lua_settop(L, 1);
    if (n == s.n)
        return 1;
    luaL_Buffer b;
    write_escaped(luaL_buffinitsize(L, &b, n), s);
    luaL_pushresultsize(&b, n);
    return 1;
}

int luaopen_lunette_html(lua_State *L)
{
    static const luaL_Reg functions[] = {{"escape", html_escape}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

// --- time ---

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

// --- mime ---

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

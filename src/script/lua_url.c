// lunette.url: percent-coding and query strings, as Python's urllib.parse does them.
//
// Lengths are counted first, so that every text is made in one allocation.
#include "script/lua_codec.h"

#include "http/form.h"
#include "script/json_text.h"
#include "script/keys.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/values.h"

#include <string.h>

// --- quoting ---

// Which bytes stand for themselves.
struct safe {
    bool byte[256];
};

// The unreserved characters of RFC 3986 §2.3, and what the caller adds.
static void safe_init(struct safe *safe, struct str more)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";
    memset(safe, 0, sizeof *safe);
    for (const char *p = unreserved; *p; p++)
        safe->byte[(unsigned char)*p] = true;
    for (size_t i = 0; i < more.n; i++)
        safe->byte[(unsigned char)more.p[i]] = true;
}

static size_t quoted_length(const struct safe *safe, struct str s)
{
    size_t n = s.n;
    for (size_t i = 0; i < s.n; i++)
        n += safe->byte[(unsigned char)s.p[i]] ? 0 : 2;
    return n;
}

static char *write_quoted(char *d, const struct safe *safe, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (safe->byte[c]) {
            *d++ = (char)c;
            continue;
        }
        *d++ = '%';
        *d++ = hex[c >> 4];
        *d++ = hex[c & 15];
    }
    return d;
}

// quote(s[, safe="/"])
static int url_quote(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    struct str more = lua_isnoneornil(L, 2) ? STR("/") : luax_check_str(L, 2);
    struct safe safe;
    safe_init(&safe, more);
    size_t n = quoted_length(&safe, s);
    luaL_Buffer b;
    write_quoted(luaL_buffinitsize(L, &b, n), &safe, s);
    luaL_pushresultsize(&b, n);
    return 1;
}

// Decodes the escapes that are some. Returns the length written.
static size_t unquote(char *dst, struct str s)
{
    char *d = dst;
    for (size_t i = 0; i < s.n; i++) {
        bool room = s.p[i] == '%' && s.n - i > 2;
        int high = room ? hex_value((unsigned char)s.p[i + 1]) : -1;
        int low = room ? hex_value((unsigned char)s.p[i + 2]) : -1;
        if (high < 0 || low < 0) {
            *d++ = s.p[i];
            continue;
        }
        *d++ = (char)(high << 4 | low);
        i += 2;
    }
    return (size_t)(d - dst);
}

// unquote(s): '+' is no space, as in a path.
static int url_unquote(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    luaL_Buffer b;
    char *d = luaL_buffinitsize(L, &b, s.n);
    luaL_pushresultsize(&b, unquote(d, s));
    return 1;
}

// --- parse_query ---

static int url_parse_query(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    values_push_form(L, s, VALUES_LAST);
    values_push_form(L, s, VALUES_ALL);
    return 2;
}

// --- build_query ---

// What urlencode leaves alone, and the space, which becomes '+' afterwards.
static void add_form(luaL_Buffer *b, const struct safe *safe, struct str s)
{
    size_t n = quoted_length(safe, s);
    char *d = luaL_prepbuffsize(b, n);
    write_quoted(d, safe, s);
    for (size_t i = 0; i < n; i++)
        if (d[i] == ' ')
            d[i] = '+';
    luaL_addsize(b, n);
}

// Raises: what has no place in a query, under the name at name.
static void refuse(lua_State *L, const char *what, int name)
{
    luaL_error(L, "cannot put %s into the query's '%s'", what, lua_tostring(L, name));
}

// The value at idx as text: a slice of it, or of digits.
static struct str value_text(lua_State *L, int name, int idx, char digits[static JSON_TEXT_NUMBER])
{
    size_t n;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        return luax_str(L, idx);
    case LUA_TBOOLEAN:
        return lua_toboolean(L, idx) ? STR("true") : STR("false");
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            return str_of(digits, json_text_format_integer(digits, lua_tointeger(L, idx)));
        n = json_text_format_float(digits, lua_tonumber(L, idx));
        if (n == 0)
            refuse(L, "NaN or infinity", name);
        return str_of(digits, n);
    default:
        refuse(L, lua_pushfstring(L, "a %s", luaL_typename(L, idx)), name);
        return STR("");
    }
}

// Pushes name=value, with a '&' before it for all but the first.
static void push_pair(lua_State *L, int name, int value, bool first)
{
    char digits[JSON_TEXT_NUMBER];
    struct str text = value_text(L, name, value, digits);
    struct safe safe;
    safe_init(&safe, STR(" "));
    luaL_Buffer b;
    luaL_checkstack(L, 16, "too many values");
    luaL_buffinit(L, &b);
    if (!first)
        luaL_addchar(&b, '&');
    add_form(&b, &safe, luax_str(L, name));
    luaL_addchar(&b, '=');
    add_form(&b, &safe, text);
    luaL_pushresult(&b);
}

// Pushes a pair for the value at value, or for each item of the array there, by way of the slot
// item. Returns how many pairs there are then, pairs being there before.
static int push_pairs(lua_State *L, int name, int value, int item, int pairs)
{
    if (!lua_istable(L, value)) {
        push_pair(L, name, value, pairs == 0);
        return pairs + 1;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, value);
    lua_pushnil(L);
    if (n == 0 && lua_next(L, value))
        refuse(L, "a table with names", name);
    lua_settop(L, item + pairs);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, value, i);
        lua_replace(L, item);
        push_pair(L, name, item, pairs++ == 0);
    }
    return pairs;
}

// build_query(t): the pairs gather on the stack, above the sorted names and two slots for what is
// in hand.
static int url_build_query(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int names = keys_push_sorted(L, 1);
    luaL_argcheck(L, names != -1, 1, "the names in a query are strings");
    luaL_argcheck(L, names >= 0 && lua_checkstack(L, 16), 1, "too many names");
    int value = names + 2, item = names + 3, pairs = 0;
    lua_settop(L, item);
    for (int name = 2; name < value; name++) {
        lua_pushvalue(L, name);
        lua_rawget(L, 1);
        lua_replace(L, value);
        pairs = push_pairs(L, name, value, item, pairs);
    }
    lua_concat(L, pairs);
    return 1;
}

int luaopen_lunette_url(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"quote", url_quote},
        {"unquote", url_unquote},
        {"build_query", url_build_query},
        {"parse_query", url_parse_query},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

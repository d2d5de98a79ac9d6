// lunette.url: URLs (http/url.h), percent-coding and query strings, as Python's urllib.parse does
// them.
//
// Lengths are counted first, so that every text is made in one allocation.
#include "script/lua_codec.h"

#include "http/form.h"
#include "http/url.h"
#include "script/json_text.h"
#include "script/keys.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/options.h"
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
static int quote(lua_State *L)
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

// unquote(s): '+' is no space, as in a path.
static int unquote(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    luaL_Buffer b;
    char *d = luaL_buffinitsize(L, &b, s.n);
    luaL_pushresultsize(&b, url_unquote(d, s));
    return 1;
}

// --- parse_query ---

static int parse_query(lua_State *L)
{
    struct str s = luax_check_str(L, 1);
    values_push_form(L, s, VALUES_LAST, NULL);
    values_push_form(L, s, VALUES_ALL, NULL);
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
static int build_query(lua_State *L)
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

// --- parse, build, join ---

static const char *const part_names[] = {"scheme", "username", "password", "path", "params",
                                         "query",  "fragment", "host",     "port", NULL};
enum { TEXT_PARTS = 8 };

// The places in u of the parts that are texts, in the order of part_names.
static void text_parts(struct url *u, struct str *at[static TEXT_PARTS])
{
    struct str *const places[] = {&u->scheme, &u->username, &u->password, &u->path,
                                  &u->params, &u->query,    &u->fragment, &u->host};
    memcpy(at, places, sizeof places);
}

static int fail_with(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

// parse(s) → a table, or nil and why. Scheme and host come in lower case; what is absent is nil, but
// for path, which is "".
static int parse(lua_State *L)
{
    struct url u;
    struct str *part[TEXT_PARTS];
    const char *why = "";
    if (!url_parse(luax_check_str(L, 1), &u, &why))
        return fail_with(L, why);
    text_parts(&u, part);
    lua_createtable(L, 0, TEXT_PARTS + 1);
    for (int i = 0; i < TEXT_PARTS; i++) {
        if (!part[i]->p)
            continue;
        if (part[i] == &u.scheme || part[i] == &u.host)
            luax_push_lower(L, *part[i]);
        else
            luax_push(L, *part[i]);
        lua_setfield(L, -2, part_names[i]);
    }
    if (u.port >= 0) {
        lua_pushinteger(L, u.port);
        lua_setfield(L, -2, "port");
    }
    return 1;
}

static void refuse_part(lua_State *L, const char *why)
{
    luaL_argerror(L, 1, why);
}

// The text under a name of the table at 1, left on the stack; p NULL where it is nil.
static struct str check_text(lua_State *L, const char *name)
{
    int type = lua_getfield(L, 1, name);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        refuse_part(
            L, lua_pushfstring(L, "%s must be a string, not a %s", name, lua_typename(L, type)));
    return luax_str(L, -1);
}

static int check_port(lua_State *L)
{
    int is_integer, type = lua_getfield(L, 1, "port");
    lua_Integer port = lua_tointegerx(L, -1, &is_integer);
    if (type == LUA_TNIL)
        return -1;
    if (type != LUA_TNUMBER || !is_integer || port < 0 || port > UINT16_MAX)
        refuse_part(L, "port must be an integer from 0 to 65535");
    return (int)port;
}

// Hosts of IPv6 may come in their brackets, as req.host has them.
static void drop_brackets(struct str *host)
{
    if (host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
        *host = str_of(host->p + 1, host->n - 2);
}

static void check_parts(lua_State *L, const struct url *u)
{
    if (u->scheme.p && !url_is_scheme(u->scheme))
        refuse_part(L, lua_pushfstring(L, "'%s' is not a scheme", u->scheme.p));
    if (!url_is_host(u->host))
        refuse_part(L, "the host is no name and no address");
    if (!u->host.p && (u->username.p || u->password.p || u->port >= 0))
        refuse_part(L, "username, password and port need a host");
}

// build(t) → the text.
static int build(lua_State *L)
{
    struct url u;
    struct str *part[TEXT_PARTS];
    luaL_checktype(L, 1, LUA_TTABLE);
    options_check(L, 1, part_names);
    text_parts(&u, part);
    for (int i = 0; i < TEXT_PARTS; i++)
        *part[i] = check_text(L, part_names[i]);
    u.port = check_port(L);
    drop_brackets(&u.host);
    check_parts(L, &u);
    luaL_Buffer b;
    char *d = luaL_buffinitsize(L, &b, url_format_max(&u));
    luaL_pushresultsize(&b, url_format(d, &u));
    return 1;
}

// join(base, rel) → the text, or nil and why.
static int join(lua_State *L)
{
    struct str base = luax_check_str(L, 1), ref = luax_check_str(L, 2);
    struct url u;
    const char *why = "";
    if (!url_parse(base, &u, &why) || !url_parse(ref, &u, &why))
        return fail_with(L, why);
    luaL_Buffer b;
    char *d = luaL_buffinitsize(L, &b, base.n + ref.n + URL_JOIN_EXTRA);
    luaL_pushresultsize(&b, url_join(d, base, ref));
    return 1;
}

int luaopen_lunette_url(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"parse", parse},
        {"build", build},
        {"join", join},
        {"quote", quote},
        {"unquote", unquote},
        {"build_query", build_query},
        {"parse_query", parse_query},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

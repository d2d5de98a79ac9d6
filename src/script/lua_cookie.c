// lunette.cookie: Set-Cookie values (RFC 6265 §4.1).
//
// A cookie that browsers would drop or read differently is refused here, with the reason: a script
// that sets one has no other way to find out.
#include "script/lua_codec.h"

#include "http/date.h"
#include "script/luax.h"
#include "script/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PAIR_MAX = 4096,      // name and value: what browsers keep (RFC 6265 §6.1)
    ATTRIBUTE_MAX = 1024, // a longer one is ignored (RFC 6265bis §5.6)
};

struct cookie {
    struct str name, value;
    struct str path, domain, same_site; // empty: left out
    bool secure, http_only;
    bool has_expires, has_max_age;
    int64_t expires, max_age;
};

// --- reading the arguments ---

static bool is_token(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~"; // RFC 9110 §5.6.2
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i], letter = c | 0x20;
        bool alnum = (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || !strchr(others, c)))
            return false;
    }
    return s.n > 0;
}

static struct str check_name(lua_State *L, int arg)
{
    struct str name = luax_check_str(L, arg);
    luaL_argcheck(L, is_token(name), arg,
                  "a cookie's name has letters, digits and !#$%&'*+-.^_`|~ only");
    return name;
}

// cookie-octet of RFC 6265 §4.1.1.
static bool is_octet(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

static struct str check_value(lua_State *L, int arg)
{
    struct str value = luax_check_str(L, arg);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (is_octet(c))
            continue;
        char byte[8] = {'\'', (char)c, '\''};
        const char *what = c == ' '                ? "a space"
                           : c < 0x20 || c == 0x7f ? "control bytes"
                           : c > 0x7f              ? "bytes beyond ASCII"
                                                   : byte;
        luaL_argerror(L, arg,
                      lua_pushfstring(L,
                                      "a cookie's value cannot hold %s; "
                                      "encode it, for instance with lunette.url.quote",
                                      what));
    }
    return value;
}

static int bad_option(lua_State *L, int arg, const char *name, const char *rule)
{
    return luaL_argerror(L, arg, lua_pushfstring(L, "%s %s", name, rule));
}

// A boolean option; what is left out keeps unset.
static bool flag_option(lua_State *L, int arg, const char *name, bool unset)
{
    int type = lua_getfield(L, arg, name);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        bad_option(L, arg, name, "is true or false");
    bool on = type == LUA_TNIL ? unset : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

// A string option, which stays on the stack: what is left out keeps unset, false gives an empty
// one.
static struct str text_option(lua_State *L, int arg, const char *name, struct str unset)
{
    int type = lua_getfield(L, arg, name);
    if (type == LUA_TNIL)
        return unset;
    if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1))
        return STR("");
    if (type != LUA_TSTRING)
        bad_option(L, arg, name, "is a string");
    struct str s = luax_str(L, -1);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || s.p[i] == ';')
            bad_option(L, arg, name, "cannot hold ';' and control bytes");
    if (s.n == 0 || s.n > ATTRIBUTE_MAX)
        bad_option(L, arg, name, "has 1 to 1024 bytes");
    return s;
}

static void read_expires(lua_State *L, int arg, struct cookie *c)
{
    int type = lua_getfield(L, arg, "expires");
    c->has_expires = type != LUA_TNIL;
    double t = floor(lua_tonumber(L, -1));
    if (c->has_expires &&
        (type != LUA_TNUMBER || !(t >= (double)DATE_MIN && t <= (double)DATE_MAX)))
        bad_option(L, arg, "expires", "is a time in seconds, as of lunette.time.now");
    c->expires = (int64_t)t;
    lua_pop(L, 1);
}

// Whole seconds; a fraction counts as one more, so that a short life is not none.
static void read_max_age(lua_State *L, int arg, struct cookie *c)
{
    static const double a_century = 100 * 366 * 86400.0;
    int type = lua_getfield(L, arg, "max_age");
    c->has_max_age = type != LUA_TNIL;
    double seconds = 0;
    bool good =
        type == LUA_TSTRING ? luax_parse_duration(luax_str(L, -1), &seconds) : type == LUA_TNUMBER;
    if (type == LUA_TNUMBER)
        seconds = lua_tonumber(L, -1);
    if (c->has_max_age && !(good && fabs(seconds) <= a_century))
        bad_option(L, arg, "max_age", "is seconds, or a duration such as \"30d\"");
    c->max_age = (int64_t)ceil(seconds);
    lua_pop(L, 1);
}

static void read_same_site(lua_State *L, int arg, struct cookie *c)
{
    struct str given = text_option(L, arg, "same_site", STR("Lax"));
    static const struct str modes[] = {{"Strict", 6}, {"Lax", 3}, {"None", 4}, {"", 0}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (str_ieq(given, modes[i])) {
            c->same_site = modes[i];
            return;
        }
    bad_option(L, arg, "same_site", "is \"Strict\", \"Lax\" or \"None\"");
}

static void read_options(lua_State *L, int arg, struct cookie *c)
{
    static const char *const names[] = {"path",   "domain",    "expires",   "max_age",
                                        "secure", "http_only", "same_site", NULL};
    c->path = STR("/");
    c->same_site = STR("Lax");
    c->http_only = true;
    if (!options_check(L, arg, names))
        return;
    c->path = text_option(L, arg, "path", c->path);
    c->domain = text_option(L, arg, "domain", c->domain);
    c->secure = flag_option(L, arg, "secure", false);
    c->http_only = flag_option(L, arg, "http_only", true);
    read_same_site(L, arg, c);
    read_expires(L, arg, c);
    read_max_age(L, arg, c);
    if (c->path.n && c->path.p[0] != '/')
        bad_option(L, arg, "path", "begins with '/'");
}

static bool has_prefix(const struct cookie *c, struct str prefix)
{
    return c->name.n >= prefix.n && str_ieq(str_of(c->name.p, prefix.n), prefix);
}

// The rules that browsers have for several attributes together (RFC 6265bis §4.1.3).
static void check_together(lua_State *L, int arg, const struct cookie *c)
{
    if (str_eq(c->same_site, STR("None")) && !c->secure)
        luaL_argerror(L, arg, "same_site = \"None\" needs secure = true");
    if (has_prefix(c, STR("__Secure-")) && !c->secure)
        luaL_argerror(L, arg, "a __Secure- cookie needs secure = true");
    if (has_prefix(c, STR("__Host-")) &&
        !(c->secure && str_eq(c->path, STR("/")) && c->domain.n == 0))
        luaL_argerror(L, arg, "a __Host- cookie needs secure = true, path = \"/\" and no domain");
    if (c->name.n + c->value.n > PAIR_MAX)
        luaL_error(L, "a cookie of %d bytes: browsers keep name and value up to %d",
                   (int)(c->name.n + c->value.n), (int)PAIR_MAX);
}

// --- writing ---

static void add(luaL_Buffer *b, struct str s)
{
    luaL_addlstring(b, s.p, s.n);
}

static void add_attribute(luaL_Buffer *b, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    luaL_addstring(b, "; ");
    luaL_addstring(b, name);
    luaL_addchar(b, '=');
    add(b, value);
}

static int push_cookie(lua_State *L, const struct cookie *c)
{
    luaL_Buffer b;
    char date[DATE_LEN], age[32];
    luaL_buffinit(L, &b);
    add(&b, c->name);
    luaL_addchar(&b, '=');
    add(&b, c->value);
    add_attribute(&b, "Path", c->path);
    add_attribute(&b, "Domain", c->domain);
    if (c->has_expires) {
        date_format(date, c->expires);
        add_attribute(&b, "Expires", str_of(date, DATE_LEN));
    }
    if (c->has_max_age) {
        int n = snprintf(age, sizeof age, "%lld", (long long)c->max_age);
        add_attribute(&b, "Max-Age", str_of(age, (size_t)n));
    }
    if (c->secure)
        luaL_addstring(&b, "; Secure");
    if (c->http_only)
        luaL_addstring(&b, "; HttpOnly");
    add_attribute(&b, "SameSite", c->same_site);
    luaL_pushresult(&b);
    return 1;
}

// make(name, value[, opts])
static int cookie_make(lua_State *L)
{
    struct cookie c = {.name = check_name(L, 1), .value = check_value(L, 2)};
    read_options(L, 3, &c);
    check_together(L, 3, &c);
    return push_cookie(L, &c);
}

// expire(name[, opts]): path and domain must be those that the cookie was set with.
static int cookie_expire(lua_State *L)
{
    struct cookie c = {.name = check_name(L, 1)};
    read_options(L, 2, &c);
    check_together(L, 2, &c);
    c.has_expires = c.has_max_age = true;
    c.expires = c.max_age = 0;
    return push_cookie(L, &c);
}

int luaopen_lunette_cookie(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"make", cookie_make},
        {"expire", cookie_expire},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

// lunette.log: records of the error log from a site's scripts, with their place and fields.
//
//      log.warn("slow answer", { seconds = 1.5, who = "a b" })
//      2026-11-22T21:04:27.123Z warn [1234] [id] scripts/main.lua:6: slow answer seconds=1.5 who="a b"
#include "script/lua_log.h"

#include "base/log.h"
#include "script/keys.h"
#include "script/lua_json.h"
#include "script/luax.h"

#include <lauxlib.h>

enum { FIELDS_MAX = 32 * 1024 }; // bytes of the fields of one record
#define LEVEL lua_upvalueindex(1)

// Whether the text can stand behind "key=" as it is.
static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return s.n > 0;
}

static const struct json_style style = {.sort = true, .replace_utf8 = true};

// Whether the value on top has a text of its own.
static bool has_text(lua_State *L)
{
    bool has = luaL_getmetafield(L, -1, "__tostring") != LUA_TNIL;
    if (has)
        lua_pop(L, 1);
    return has;
}

// The value on top, as JSON has it; a string that is one word without its quotes; what JSON cannot
// say, or has a __tostring, as the text that tostring gives.
static bool add_value(lua_State *L, struct buf *b)
{
    struct str text = luax_str(L, -1);
    if (text.p && is_word(text))
        return buf_add(b, text);
    if (text.p || !has_text(L)) {
        if (json_write(L, -1, b, &style))
            return true;
        lua_pop(L, 1); // why not
        if (lua_istable(L, -1))
            return buf_add(b, STR("\"a table that JSON cannot hold\""));
    }
    luaL_tolstring(L, -1, NULL);
    bool ok = json_write(L, -1, b, &style);
    lua_pop(L, 1);
    return ok;
}

static bool add_field(lua_State *L, struct buf *b, struct str key)
{
    if (!buf_addc(b, ' '))
        return false;
    if (is_word(key))
        return buf_add(b, key) && buf_addc(b, '=') && add_value(L, b);
    luax_push(L, key);
    bool ok = json_write(L, -1, b, &style) && buf_addc(b, '=');
    lua_pop(L, 1);
    return ok && add_value(L, b);
}

// The fields in the order of their keys. What does not fit is left out, and said.
static void add_fields(lua_State *L, int fields, struct buf *b)
{
    int n = keys_push_sorted(L, fields), first = lua_gettop(L) - n + 1;
    luaL_argcheck(L, n != -1, fields, "fields have names: { user = 5 }");
    luaL_argcheck(L, n >= 0, fields, "too many fields");
    for (int i = 0; i < n; i++) {
        size_t before = b->n;
        lua_pushvalue(L, first + i);
        lua_rawget(L, fields);
        if (b->n > FIELDS_MAX || !add_field(L, b, luax_str(L, first + i))) {
            b->n = before;
            buf_add(b, STR(" …"));
            return;
        }
        lua_settop(L, first + n - 1);
    }
}

static int free_buffer(lua_State *L)
{
    buf_fini(lua_touserdata(L, 1));
    return 0;
}

// A value's __tostring may log, too: every record has a buffer of its own.
static struct buf *push_buffer(lua_State *L)
{
    static const char name[] = "lunette.log buffer";
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    buf_init(b, FIELDS_MAX + 16);
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, free_buffer);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

static int write_log(lua_State *L)
{
    enum log_level level = (enum log_level)lua_tointeger(L, LEVEL);
    if (!log_enabled(level))
        return 0;
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    luaL_where(L, 1);
    luaL_tolstring(L, 1, NULL);
    lua_concat(L, 2);
    int message = lua_gettop(L);
    struct buf *b = push_buffer(L);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        add_fields(L, 2, b);
    }
    lua_settop(L, message + 1); // the buffer: what was added has left its keys
    lua_pushvalue(L, message);
    luax_push(L, buf_str(b));
    lua_concat(L, 2);
    log_text(level, luax_str(L, -1));
    buf_fini(b);
    return 0;
}

int luaopen_lunette_log(lua_State *L)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    lua_createtable(L, 0, 4);
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        lua_pushinteger(L, level);
        lua_pushcclosure(L, write_log, 1);
        lua_setfield(L, -2, names[level]);
    }
    return 1;
}

// Evaluating config.lua: see the header. A setting is written as
//
//      name   line (4 bytes)   kind (1 byte)   payload
//
// where a name, a payload and an item of a list are a length (4 bytes) and that many bytes,
//
// with a payload of 8 bytes for an integer, 1 for a boolean, items for a list, and the bytes as
// they are for the rest.
#include "script/lua_config.h"

#include "script/plain.h"
#include "script/vm.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITE_MAX = 512 * 1024 }; // bytes of `site = {…}`, encoded

struct evaluation {
    struct str source;
    const char *name, *scripts;
    struct buf *out;
    struct buf encoded; // of site; here, so that a raise cannot lose it
};

// encode(table) → string, or nil and the reason.
static int encode(lua_State *L)
{
    struct evaluation *e = lua_touserdata(L, lua_upvalueindex(1));
    luaL_checktype(L, 1, LUA_TTABLE);
    buf_clear(&e->encoded);
    if (!plain_encode(L, 1, &e->encoded)) {
        luaL_pushfail(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushlstring(L, e->encoded.p, e->encoded.n);
    return 1;
}

// Pushes the module's chunk: from the program, or from LUNETTE_LUA.
static void load_module(lua_State *L, const char *name)
{
    const char *folder = getenv("LUNETTE_LUA");
    if (folder) {
        const char *stem = luaL_gsub(L, name, ".", "/");
        const char *path = lua_pushfstring(L, "%s/%s.lua", folder, stem);
        if (luaL_loadfilex(L, path, "t") != LUA_OK)
            lua_error(L);
        return;
    }
    const struct vm_module *m = vm_modules;
    while (m->name && strcmp(m->name, name) != 0)
        m++;
    if (!m->name)
        luaL_error(L, "the module %s is not in this program", name);
    if (luaL_loadbufferx(L, m->code, m->n, name, "b") != LUA_OK)
        lua_error(L);
}

// What lunette.config is made of is found by require before anything of the site is.
static void preload_parts(lua_State *L)
{
    static const char *const parts[] = {"lunette.config_lines", "lunette.config_types"};
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    int preload = lua_gettop(L);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        load_module(L, parts[i]);
        lua_setfield(L, preload, parts[i]);
    }
    lua_settop(L, preload - 1);
}

// package.path = scripts/?.lua;scripts/?/init.lua;…
static void set_path(lua_State *L, const char *scripts)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", scripts, scripts, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

static bool add_slice(struct buf *out, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    return s.n <= UINT32_MAX && buf_add(out, str_of((const char *)&n, sizeof n)) && buf_add(out, s);
}

// The list at the top of the stack; its length goes in front once it is known.
static bool add_list(lua_State *L, struct buf *out)
{
    uint32_t length = 0;
    size_t start = out->n;
    bool ok = buf_add(out, str_of((const char *)&length, sizeof length));
    for (lua_Integer i = 1; ok && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
        struct str item;
        item.p = luaL_checklstring(L, -1, &item.n);
        ok = add_slice(out, item);
        lua_pop(L, 1);
    }
    if (!ok)
        return false;
    lua_pop(L, 1); // the nil at the end
    length = (uint32_t)(out->n - start - sizeof length);
    memcpy(out->p + start, &length, sizeof length);
    return true;
}

static bool add_payload(lua_State *L, char kind, struct buf *out)
{
    int64_t integer = lua_tointeger(L, -1);
    char boolean = (char)lua_toboolean(L, -1);
    struct str bytes;
    switch (kind) {
    case LUA_SETTING_INTEGER:
        return add_slice(out, str_of((const char *)&integer, sizeof integer));
    case LUA_SETTING_BOOLEAN:
        return add_slice(out, str_of(&boolean, 1));
    case LUA_SETTING_LIST:
        return add_list(L, out);
    default:
        bytes.p = luaL_checklstring(L, -1, &bytes.n);
        return add_slice(out, bytes);
    }
}

// The setting table at the top of the stack, which is left there.
static bool add_setting(lua_State *L, struct buf *out)
{
    static const char *const names[] = {"integer", "boolean", "text", "list", "plain", NULL};
    static const char kinds[] = {LUA_SETTING_INTEGER, LUA_SETTING_BOOLEAN, LUA_SETTING_TEXT,
                                 LUA_SETTING_LIST, LUA_SETTING_PLAIN};
    int top = lua_gettop(L);
    struct str name;
    lua_getfield(L, top, "name");
    name.p = luaL_checklstring(L, -1, &name.n);
    lua_getfield(L, top, "line");
    uint32_t line = (uint32_t)luaL_checkinteger(L, -1);
    lua_getfield(L, top, "kind");
    char kind = kinds[luaL_checkoption(L, -1, NULL, names)];
    lua_getfield(L, top, "value");
    bool ok = add_slice(out, name) && buf_add(out, str_of((const char *)&line, sizeof line)) &&
              buf_addc(out, kind) && add_payload(L, kind, out);
    lua_settop(L, top);
    return ok;
}

// Runs protected: leaves true, or false and a message.
static int evaluate(lua_State *L)
{
    struct evaluation *e = lua_touserdata(L, 1);
    luaL_openlibs(L);
    set_path(L, e->scripts);
    preload_parts(L);
    load_module(L, "lunette.config");
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "read");
    lua_pushlstring(L, e->source.p, e->source.n);
    lua_pushstring(L, e->name);
    lua_pushlightuserdata(L, e);
    lua_pushcclosure(L, encode, 1);
    lua_call(L, 3, 2);
    if (lua_isnil(L, -2))
        return lua_error(L);
    lua_pop(L, 1);
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
        if (!add_setting(L, e->out))
            return luaL_error(L, "%s: the settings are too large", e->name);
        lua_pop(L, 1);
    }
    return 0;
}

bool lua_config_eval(struct str source, const char *name, const char *scripts, struct buf *out)
{
    struct evaluation e = {.source = source, .name = name, .scripts = scripts, .out = out};
    size_t before = out->n;
    lua_State *L = luaL_newstate();
    if (!L) {
        buf_addf(out, "%s: not enough memory", name);
        return false;
    }
    buf_init(&e.encoded, SITE_MAX);
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, &e);
    bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    if (!ok) {
        struct str why;
        why.p = luaL_tolstring(L, -1, &why.n);
        out->n = before;
        if (!str_starts(why, str_z(name)))
            buf_addf(out, "%s: ", name);
        buf_add(out, str_of(why.p, why.n < 4000 ? why.n : 4000));
    }
    lua_close(L);
    buf_fini(&e.encoded);
    return ok;
}

static bool take(struct str *rest, void *dst, size_t n)
{
    if (rest->n < n)
        return false;
    memcpy(dst, rest->p, n);
    *rest = str_of(rest->p + n, rest->n - n);
    return true;
}

static bool take_slice(struct str *rest, struct str *out)
{
    uint32_t n;
    if (!take(rest, &n, sizeof n) || n > rest->n)
        return false;
    *out = str_of(rest->p, n);
    *rest = str_of(rest->p + n, rest->n - n);
    return true;
}

static bool take_payload(struct lua_setting *s)
{
    struct str left = s->bytes;
    char boolean;
    switch (s->kind) {
    case LUA_SETTING_INTEGER:
        return take(&left, &s->integer, sizeof s->integer) && left.n == 0;
    case LUA_SETTING_BOOLEAN:
        if (!take(&left, &boolean, 1) || left.n != 0)
            return false;
        s->integer = boolean != 0;
        return true;
    case LUA_SETTING_TEXT:
    case LUA_SETTING_LIST:
    case LUA_SETTING_PLAIN:
        return true;
    }
    return false;
}

int lua_config_next(struct str *rest, struct lua_setting *out)
{
    unsigned char kind;
    *out = (struct lua_setting){0};
    if (rest->n == 0)
        return 0;
    if (!take_slice(rest, &out->name) || !take(rest, &out->line, sizeof out->line) ||
        !take(rest, &kind, 1) || !take_slice(rest, &out->bytes))
        return -EBADMSG;
    out->kind = (enum lua_setting_kind)kind;
    return take_payload(out) ? 1 : -EBADMSG;
}

int lua_config_item(struct str *list, struct str *out)
{
    if (list->n == 0)
        return 0;
    return take_slice(list, out) ? 1 : -EBADMSG;
}

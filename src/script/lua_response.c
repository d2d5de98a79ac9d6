// Responses for the library: see the header. All texts go through h->text, the handler's scratch.
#include "script/lua_response.h"

#include "http/page.h"
#include "script/lua_core.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/web.h"
#include "script/work.h"

// Pushes what was written to the scratch, which is free again.
static void push_text(lua_State *L, struct handler *h)
{
    luax_push(L, buf_str(&h->text));
    handler_text_done(h);
}

// Pushes the table at idx as JSON, as it would be sent; or, with false, why not.
static bool push_json(lua_State *L, struct handler *h, int idx)
{
    static const struct json_style style = {.replace_utf8 = true};
    buf_clear(&h->text);
    if (!json_write(L, idx, &h->text, &style))
        return false;
    push_text(L, h);
    return true;
}

// The results of a failure whose message is on top.
static int nil_and_message(lua_State *L)
{
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static bool has_type(lua_State *L, int headers)
{
    for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && str_ieq(luax_str(L, -2), STR("content-type")))
            return true;
    return false;
}

// In a copy: the headers may be the handler's own, used again.
static void push_with_type(lua_State *L, int headers)
{
    lua_createtable(L, 0, 4);
    for (lua_pushnil(L); lua_next(L, headers);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_pushliteral(L, "application/json");
    lua_setfield(L, -2, "Content-Type");
}

// A table body as JSON text, with its Content-Type, in the response object at res. False: why not is on
// top.
static bool encode_body(lua_State *L, struct handler *h, int res)
{
    if (lua_getfield(L, res, "body") != LUA_TTABLE)
        return true;
    if (!push_json(L, h, lua_gettop(L)))
        return false;
    lua_setfield(L, res, "body");
    lua_getfield(L, res, "headers");
    int headers = lua_gettop(L);
    if (has_type(L, headers))
        return true;
    push_with_type(L, headers);
    lua_setfield(L, res, "headers");
    return true;
}

// Pushes the response object of an answer that can be sent; its index.
static int push_response(lua_State *L, const struct handler *h, const struct answer *a)
{
    lua_createtable(L, 0, 4);
    int res = lua_gettop(L);
    lua_pushinteger(L, (lua_Integer)a->status);
    lua_setfield(L, res, "status");
    if (a->headers)
        lua_pushvalue(L, a->headers);
    else
        lua_newtable(L);
    lua_setfield(L, res, "headers");
    if (a->body)
        lua_pushvalue(L, a->body);
    else
        lua_pushnil(L);
    lua_setfield(L, res, "body");
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->response_meta);
    lua_setmetatable(L, res);
    return res;
}

int core_normalise(lua_State *L)
{
    struct handler *h = core_handler(L);
    struct answer a;
    bool ready = lua_gettop(L) == 1 && answer_is_response(L, h, 1);
    answer_read(L, h, 1, &a);
    if (a.kind == ANSWER_PREPARED)
        a = (struct answer){.kind = ANSWER_WRONG, .message = "core.FILE is not for middleware"};
    const char *wrong = a.message;
    if (a.kind != ANSWER_WRONG)
        wrong = answer_check_headers(L, h, &a);
    if (wrong) {
        lua_pushstring(L, wrong);
        return nil_and_message(L);
    }
    if (ready) {
        lua_settop(L, 1);
        return 1;
    }
    int res = push_response(L, h, &a);
    if (!encode_body(L, h, res))
        return nil_and_message(L);
    lua_settop(L, res);
    return 1;
}

int core_encode(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    return push_json(L, core_handler(L), 1) ? 1 : nil_and_message(L);
}

// The result of what has written a page to the scratch, if it could.
static int page_of(lua_State *L, struct handler *h, bool written)
{
    if (!written)
        return luaL_error(L, "the page is too large");
    push_text(L, h);
    return 1;
}

int core_page(lua_State *L)
{
    struct handler *h = core_handler(L);
    lua_Integer status = luaL_checkinteger(L, 1);
    struct str message = lua_isnoneornil(L, 2) ? STR("") : luax_check_str(L, 2);
    buf_clear(&h->text);
    return page_of(L, h, page_html(&h->text, (unsigned)status, message));
}

int core_web_page(lua_State *L)
{
    struct handler *h = core_handler(L);
    struct str title = luax_check_str(L, 1), shown = luax_check_str(L, 2);
    buf_clear(&h->text);
    return page_of(L, h, web_page(&h->text, title, shown));
}

int core_web_policy(lua_State *L)
{
    lua_pushstring(L, web_policy());
    return 1;
}

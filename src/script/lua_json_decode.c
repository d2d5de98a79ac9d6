// Lua values from JSON text: one pass, no copy of the text.
//
// A table is made once it is known how large: its first items or members wait on the Lua stack,
// above a slot for the table, until there is no more or there are BATCH slots of them; later ones
// go straight into it. So small tables are never grown, and an open bracket costs BATCH slots of
// the stack at most.
#include "script/lua_json.h"

#include "script/json_scan.h"
#include "script/luax.h"

#include <assert.h>

enum { BATCH = 32 };

static_assert(JSON_DEPTH == 200, "the sentence below says so");
static const char too_deep[] = "nested deeper than 200";

struct reader {
    lua_State *L;
    struct json_scan in;
    int marks; // where on the stack the metatable of arrays is
    int depth; // brackets open
    bool null; // members that are null are kept
};

static bool read_value(struct reader *r);

// --- leaves ---

// On its own, so that luaL_Buffer's own bytes are not in every frame of the recursion.
__attribute__((noinline)) static void push_unescaped(lua_State *L, struct str body)
{
    luaL_Buffer b;
    char *dst = luaL_buffinitsize(L, &b, body.n);
    luaL_pushresultsize(&b, json_scan_unescape(dst, body));
}

static bool read_string(struct reader *r)
{
    struct json_string s;
    if (!json_scan_string(&r->in, &s))
        return false;
    if (s.escaped)
        push_unescaped(r->L, s.body);
    else
        lua_pushlstring(r->L, s.body.p, s.body.n);
    return true;
}

static bool read_number(struct reader *r)
{
    struct json_number n;
    if (!json_scan_number(&r->in, &n))
        return false;
    if (n.integral)
        lua_pushinteger(r->L, n.integer);
    else
        lua_pushnumber(r->L, n.real);
    return true;
}

static bool read_boolean(struct reader *r, bool value)
{
    lua_pushboolean(r->L, value);
    return json_scan_word(&r->in, value ? STR("true") : STR("false"));
}

static bool read_null(struct reader *r)
{
    json_push_null(r->L);
    return json_scan_word(&r->in, STR("null"));
}

// --- brackets ---

// Takes the opening bracket and pushes the slot of its table. Returns where that is, 0 when it is
// too deep.
static int open_bracket(struct reader *r)
{
    if (r->depth == JSON_DEPTH) {
        json_scan_fail(&r->in, too_deep);
        return 0;
    }
    r->depth++;
    r->in.p++;
    luaL_checkstack(r->L, BATCH + 8, "not enough memory");
    lua_pushnil(r->L);
    return lua_gettop(r->L);
}

static void close_bracket(struct reader *r)
{
    r->in.p++;
    r->depth--;
}

// What comes after an item or member: a comma, which is taken, or the closing bracket, which is
// not. The latter ends the loop: *more.
static bool read_comma(struct reader *r, char closing, bool *more)
{
    int c = json_scan_peek(&r->in);
    *more = c == ',';
    if (*more)
        r->in.p++;
    if (*more || c == closing)
        return true;
    return json_scan_expected(&r->in, closing == ']' ? "',' or ']'" : "',' or '}'");
}

// --- arrays ---

// Makes the array at t of the items that wait above it.
static void make_array(struct reader *r, int t)
{
    lua_State *L = r->L;
    int n = lua_gettop(L) - t;
    lua_createtable(L, n, 0);
    lua_pushvalue(L, r->marks);
    lua_setmetatable(L, -2);
    lua_replace(L, t);
    for (; n > 0; n--)
        lua_rawseti(L, t, n);
}

// Item n is on top.
static void add_item(struct reader *r, int t, lua_Integer n)
{
    if (n > BATCH)
        lua_rawseti(r->L, t, n);
    else if (n == BATCH)
        make_array(r, t);
}

static bool read_array(struct reader *r)
{
    lua_Integer n = 0;
    int t = open_bracket(r);
    if (!t)
        return false;
    bool more = json_scan_peek(&r->in) != ']';
    while (more) {
        if (!read_value(r))
            return false;
        add_item(r, t, ++n);
        if (!read_comma(r, ']', &more))
            return false;
    }
    if (n < BATCH)
        make_array(r, t);
    close_bracket(r);
    return true;
}

// --- objects ---

// Makes the object at t of the members that wait above it, keys before values: in their order, so
// that the last of those that have the same key stays.
static void make_object(struct reader *r, int t)
{
    lua_State *L = r->L;
    int top = lua_gettop(L);
    lua_createtable(L, 0, (top - t) / 2);
    lua_replace(L, t);
    for (int at = t + 1; at < top; at += 2) {
        lua_pushvalue(L, at);
        lua_pushvalue(L, at + 1);
        lua_rawset(L, t);
    }
    lua_settop(L, t);
}

// Member n is on top: its key, its value.
static void add_member(struct reader *r, int t, lua_Integer n)
{
    if (n > BATCH / 2)
        lua_rawset(r->L, t);
    else if (n == BATCH / 2)
        make_object(r, t);
}

static bool read_key(struct reader *r)
{
    if (json_scan_peek(&r->in) != '"')
        return json_scan_expected(&r->in, "a key in double quotes");
    if (!read_string(r))
        return false;
    if (json_scan_peek(&r->in) != ':')
        return json_scan_expected(&r->in, "':'");
    r->in.p++;
    return true;
}

static bool read_member_value(struct reader *r)
{
    if (r->null || json_scan_peek(&r->in) != 'n')
        return read_value(r);
    lua_pushnil(r->L);
    return json_scan_word(&r->in, STR("null"));
}

static bool read_object(struct reader *r)
{
    lua_Integer n = 0;
    int t = open_bracket(r);
    if (!t)
        return false;
    bool more = json_scan_peek(&r->in) != '}';
    while (more) {
        if (!read_key(r) || !read_member_value(r))
            return false;
        add_member(r, t, ++n);
        if (!read_comma(r, '}', &more))
            return false;
    }
    if (n < BATCH / 2)
        make_object(r, t);
    close_bracket(r);
    return true;
}

// --- all ---

// Pushes the next value. After a failure the stack is undefined.
static bool read_value(struct reader *r)
{
    switch (json_scan_peek(&r->in)) {
    case '"':
        return read_string(r);
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case '-':
    case '0' ... '9':
        return read_number(r);
    case 't':
        return read_boolean(r, true);
    case 'f':
        return read_boolean(r, false);
    case 'n':
        return read_null(r);
    }
    return json_scan_expected(&r->in, "a value");
}

static bool read_text(struct reader *r, struct str text)
{
    if (str_starts(text, STR("\xef\xbb\xbf")))
        return json_scan_fail(&r->in, "a byte order mark, which JSON does not have");
    return read_value(r) && json_scan_end(&r->in);
}

bool json_read(lua_State *L, struct str text, const struct json_read_options *o)
{
    struct reader r = {.L = L, .marks = lua_gettop(L) + 1, .null = o->null};
    json_scan_init(&r.in, text);
    luaL_checkstack(L, 8, "not enough memory");
    json_push_array_mark(L);
    if (read_text(&r, text)) {
        lua_replace(L, r.marks);
        return true;
    }
    char message[JSON_SCAN_MESSAGE];
    json_scan_message(&r.in, message);
    lua_settop(L, r.marks - 1);
    lua_pushstring(L, message);
    return false;
}

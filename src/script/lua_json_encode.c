// Lua values as JSON: one pass over each table, depth first.
//
// An array is written while lua_next walks it, as long as the keys come as 1, 2, 3 …, which they do
// unless items lie in the table's hash part; then the keys are counted and the rest is fetched by
// number. The Lua stack holds the way to the value in hand: each table, its key, the next table.
// Nothing about the place is noted while all goes well: on a failure each level puts its key before
// the path on the way out.
//
// Nothing here may collect garbage before the text is done: a finalizer is Lua, which may encode
// something, and many texts are written to one buffer.
#include "script/lua_json.h"

#include "script/json_place.h"
#include "script/json_text.h"
#include "script/keys.h"
#include "script/luax.h"
#include "script/options.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEEP_SHOWN = 8 }; // keys that are told of the way to what is nested too deep

struct writer {
    lua_State *L;
    struct buf *out;
    const struct json_style *style;
    int base;  // the stack above it is the writer's
    int depth; // of the table in hand; 0 outside of any
    int shown; // keys deeper than this are left out of the path

    // What failed and where; the path is complete once the outermost level has been left.
    char reason[160];
    struct json_place place;
};

// --- failing ---

__attribute__((format(printf, 2, 3))) static bool fail(struct writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->reason, sizeof w->reason, format, args);
    va_end(args);
    return false;
}

static bool fail_full(struct writer *w)
{
    return fail(w, "no room for the text, which may have %zu bytes", w->out->max);
}

static bool fail_text(struct writer *w, enum json_text why)
{
    if (why == JSON_TEXT_FULL)
        return fail_full(w);
    return fail(w, why == JSON_TEXT_NOT_UTF8 ? "not UTF-8" : "NaN and infinity have no JSON form");
}

// The table on top lies too deep. If one on the way to it is there twice, the way to its second
// place is told.
static bool fail_deep(struct writer *w)
{
    int level[JSON_DEPTH + 1], n = 0; // where the tables on the way are: one a level
    for (int at = w->base + 1; at <= lua_gettop(w->L) && n <= JSON_DEPTH; at++)
        if (lua_istable(w->L, at))
            level[n++] = at;
    for (int i = 1; i < n; i++)
        for (int j = 0; j < i; j++)
            if (lua_rawequal(w->L, level[i], level[j])) {
                w->shown = i;
                return fail(w, "a cycle: this table is inside itself");
            }
    w->shown = DEEP_SHOWN;
    return fail(w, "nested deeper than %d", JSON_DEPTH);
}

// The key at at has no place in JSON, whatever else is in its table.
static bool fail_key(struct writer *w, int at)
{
    lua_State *L = w->L;
    switch (lua_type(L, at)) {
    case LUA_TNUMBER:
        return fail(w, "the key %.14g: keys are strings, or 1 to n", lua_tonumber(L, at));
    case LUA_TBOOLEAN:
        return fail(w, "the key %s: keys are strings, or 1 to n",
                    lua_toboolean(L, at) ? "true" : "false");
    default:
        return fail(w, "a key that is a %s: keys are strings, or 1 to n", luaL_typename(L, at));
    }
}

// The integer keys of the table at t are not 1..n: says which is missing, or which is too many.
static bool fail_integer(struct writer *w, int t, lua_Integer key)
{
    if (key < 1)
        return fail(w, "the key %lld: a list has items 1 to n", (long long)key);
    lua_Integer i = 1;
    while (lua_rawgeti(w->L, t, i) != LUA_TNIL) {
        lua_pop(w->L, 1);
        i++;
    }
    lua_pop(w->L, 1);
    return fail(w, "a list with holes: item %lld is there, item %lld is not", (long long)key,
                (long long)i);
}

// The key at at, in the object at t, is no string. A list comes here only when it was marked as an
// object.
static bool fail_name(struct writer *w, int t, int at)
{
    if (!lua_isinteger(w->L, at) || lua_rawlen(w->L, t) > 0)
        return fail_key(w, at);
    return fail_integer(w, t, lua_tointeger(w->L, at));
}

// --- writing ---

static bool write_value(struct writer *w);

// What is known to be a string.
static inline struct str string_at(lua_State *L, int idx)
{
    struct str s;
    s.p = lua_tolstring(L, idx, &s.n);
    return s;
}

static inline bool write_byte(struct writer *w, char c)
{
    struct buf *out = w->out;
    if (out->n == out->cap)
        return buf_addc(out, c) || fail_full(w);
    out->p[out->n++] = c;
    return true;
}

static bool write_text(struct writer *w, struct str s)
{
    return buf_add(w->out, s) || fail_full(w);
}

static bool write_string(struct writer *w, struct str s)
{
    enum json_text r = json_text_string(w->out, s, w->style->replace_utf8);
    return r == JSON_TEXT_OK || fail_text(w, r);
}

static bool write_number(struct writer *w)
{
    enum json_text r = lua_isinteger(w->L, -1) ? json_text_integer(w->out, lua_tointeger(w->L, -1))
                                               : json_text_float(w->out, lua_tonumber(w->L, -1));
    return r == JSON_TEXT_OK || fail_text(w, r);
}

// A bracket or comma; what follows it in pretty style goes to a line of its own at this depth.
static bool write_mark(struct writer *w, char mark, int depth)
{
    if (!w->style->pretty)
        return write_byte(w, mark);
    size_t indent = 2 * (size_t)depth;
    bool closing = mark == ']' || mark == '}';
    char *d = buf_room(w->out, indent + 2);
    if (!d)
        return fail_full(w);
    if (!closing)
        *d++ = mark;
    *d++ = '\n';
    memset(d, ' ', indent);
    if (closing)
        d[indent] = mark;
    buf_added(w->out, indent + 2);
    return true;
}

static bool write_end(struct writer *w, bool empty, char mark)
{
    if (empty)
        return write_text(w, mark == ']' ? STR("[]") : STR("{}"));
    return write_mark(w, mark, w->depth - 1);
}

// The value on top as item i of an array.
static bool write_item(struct writer *w, lua_Integer i)
{
    if (!write_mark(w, i == 1 ? '[' : ',', w->depth))
        return false;
    if (write_value(w))
        return true;
    if (w->depth <= w->shown)
        json_place_item(&w->place, i);
    return false;
}

// Whether the table at t, whose keys do not come in order, has exactly the keys 1..n.
static bool check_list(struct writer *w, int t, lua_Integer n)
{
    lua_State *L = w->L;
    lua_Integer inside = 0;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            return fail(w, "both a list and a map");
        if (!lua_isinteger(L, -1))
            return fail_key(w, -1);
        lua_Integer key = lua_tointeger(L, -1);
        if (key < 1 || key > n)
            return fail_integer(w, t, key);
        inside++;
    }
    return inside == n || fail_integer(w, t, n);
}

// Items from..n by number: the way for lists whose keys do not come in order.
static bool write_rest(struct writer *w, int t, lua_Integer from)
{
    lua_Integer n = (lua_Integer)lua_rawlen(w->L, t);
    if (!check_list(w, t, n))
        return false;
    for (lua_Integer i = from; i <= n; i++) {
        lua_rawgeti(w->L, t, i);
        if (!write_item(w, i))
            return false;
        lua_pop(w->L, 1);
    }
    return write_end(w, n == 0, ']');
}

static bool write_array(struct writer *w, int t)
{
    lua_State *L = w->L;
    lua_Integer n = 0;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != n + 1) {
            lua_pop(L, 2);
            return write_rest(w, t, n + 1);
        }
        if (!write_item(w, ++n))
            return false;
        lua_pop(L, 1);
    }
    return write_end(w, n == 0, ']');
}

static bool write_key(struct writer *w, char mark, struct str key)
{
    bool replace = w->style->replace_utf8, pretty = w->style->pretty;
    if (pretty && !write_mark(w, mark, w->depth))
        return false;
    enum json_text r =
        pretty ? json_text_string(w->out, key, replace) : json_text_key(w->out, mark, key, replace);
    if (r != JSON_TEXT_OK)
        return r == JSON_TEXT_FULL ? fail_full(w) : fail(w, "a key that is not UTF-8");
    return !pretty || write_text(w, STR(": "));
}

// The value on top under the key below it, a string.
static bool write_member(struct writer *w, bool first)
{
    struct str key = string_at(w->L, -2);
    if (!write_key(w, first ? '{' : ',', key))
        return false;
    if (write_value(w))
        return true;
    if (w->depth <= w->shown)
        json_place_name(&w->place, key);
    return false;
}

static bool write_object(struct writer *w, int t)
{
    lua_State *L = w->L;
    bool first = true;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return fail_name(w, t, -2);
        if (!write_member(w, first))
            return false;
        first = false;
        lua_pop(L, 1);
    }
    return write_end(w, first, '}');
}

static bool write_sorted(struct writer *w, int t)
{
    lua_State *L = w->L;
    int before = lua_gettop(L);
    int n = keys_push_sorted(L, t);
    if (n == -1)
        return write_object(w, t); // fails at the key that is no string
    if (n < 0)
        return fail(w, "too many keys to sort");
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, before + i);
        lua_pushvalue(L, -1);
        lua_rawget(L, t);
        if (!write_member(w, i == 1))
            return false;
        lua_pop(L, 2);
    }
    lua_settop(L, before);
    return write_end(w, n == 0, '}');
}

static bool write_table(struct writer *w)
{
    lua_State *L = w->L;
    int t = lua_gettop(L);
    if (w->depth == JSON_DEPTH)
        return fail_deep(w);
    if (!lua_checkstack(L, 8))
        return fail(w, "out of memory");
    w->depth++;
    enum json_mark mark = json_mark_of(L, t);
    bool ok;
    if (mark == JSON_MARK_NONE)
        luax_complete(L, t);
    if (mark == JSON_MARK_ARRAY || (mark == JSON_MARK_NONE && lua_rawlen(L, t) > 0))
        ok = write_array(w, t);
    else
        ok = w->style->sort ? write_sorted(w, t) : write_object(w, t);
    w->depth--;
    return ok;
}

// The value on top, which stays there. After a failure the stack above it is undefined.
static bool write_value(struct writer *w)
{
    lua_State *L = w->L;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return write_string(w, string_at(L, -1));
    case LUA_TNUMBER:
        return write_number(w);
    case LUA_TTABLE:
        return write_table(w);
    case LUA_TBOOLEAN:
        return write_text(w, lua_toboolean(L, -1) ? STR("true") : STR("false"));
    case LUA_TNIL:
        return write_text(w, STR("null"));
    case LUA_TUSERDATA:
        if (json_is_null(L, -1))
            return write_text(w, STR("null"));
        break;
    }
    return fail(w, "a %s has no JSON form", luaL_typename(L, -1));
}

bool json_write(lua_State *L, int idx, struct buf *out, const struct json_style *style)
{
    struct writer w; // not initialised as a whole: its texts are large and seldom needed
    w.L = L;
    w.out = out;
    w.style = style;
    w.base = lua_gettop(L);
    w.depth = 0;
    w.shown = INT_MAX;
    size_t before = out->n;
    json_place_init(&w.place);
    luaL_checkstack(L, 8, NULL);
    lua_pushvalue(L, idx);
    bool ok = write_value(&w);
    lua_settop(L, w.base);
    if (ok)
        return true;
    out->n = before;
    luax_push(L, json_place_str(&w.place));
    lua_pushfstring(L, ": %s", w.reason);
    lua_concat(L, 2);
    return false;
}

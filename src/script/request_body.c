// Fields of the request table that are made of the body: body, form, form_all, json, files,
// files_all. The parts themselves are made in lua_part.c.
#include "http/form.h"
#include "http/params.h"
#include "script/lua_json.h"
#include "script/luax.h"
#include "script/values.h"
#include "script/work.h"

#include <errno.h>
#include <string.h>

// --- bytes ---

static void check_room(lua_State *L, struct work *w, uint64_t n)
{
    size_t max = vm_options(w->h->vm)->request_memory;
    if (max && n > max)
        request_refuse(L, w, 413, "%I bytes of the body are over limits.request_memory (%I)",
                       (lua_Integer)n, (lua_Integer)max);
}

void request_check_whole(lua_State *L, struct work *w)
{
    if (w->body_status)
        request_refuse(L, w, w->body_status, "the body was not received: %s", w->body_why);
}

void request_check_kept(lua_State *L, struct work *w, const char *what)
{
    if (w->streams)
        luaL_error(L,
                   "%s: the route has stream_body, so its body is read with req:read() or "
                   "req:chunks()",
                   what);
}

void request_push_range(lua_State *L, struct work *w, uint64_t at, uint64_t n)
{
    luaL_Buffer b;
    check_room(L, w, n);
    char *p = luaL_buffinitsize(L, &b, (size_t)n);
    int64_t got = spool_read(&w->x->body, at, p, (size_t)n);
    if (got != (int64_t)n)
        luaL_error(L, "the body's temporary file cannot be read: %s",
                   strerror(got < 0 ? (int)-got : EIO));
    luaL_pushresultsize(&b, (size_t)n);
}

void request_push_body(lua_State *L, struct work *w)
{
    const struct spool *s = &w->x->body;
    request_check_whole(L, w);
    if (s->fd < 0)
        luax_push(L, buf_str(&s->memory));
    else
        request_push_range(L, w, 0, s->size);
}

static struct str content_type(struct work *w)
{
    return request_field(&w->x->request, STR("content-type"));
}

// Pushes the body, and gives it as a slice that is good as long as that stays on the stack.
static struct str hold_body(lua_State *L, struct work *w)
{
    const struct spool *s = &w->x->body;
    request_check_whole(L, w);
    if (s->fd < 0) { // no need of a copy: the spool stays as long as the request
        lua_pushnil(L);
        return buf_str(&s->memory);
    }
    request_push_body(L, w);
    return luax_str(L, -1);
}

// --- fields that hold all of it ---

enum {
    SMALL = 4 << 10, // bytes of a body whose values surely take less than
    ROOM = 1 << 20,  // 128 bytes each, and 400 KiB of Lua's stack for arrays in arrays
};

struct making {
    struct work *w;
    void (*make)(lua_State *L, struct work *w, int which);
    int which;
};

static int run_making(lua_State *L)
{
    const struct making *m = lua_touserdata(L, 2);
    lua_settop(L, 1); // the request or part, where it is expected
    m->make(L, m->w, m->which);
    return 1;
}

// Whether limits.request_memory is no matter: then no call of Lua's has to stand between (380
// instructions).
static bool surely_fits(const struct work *w)
{
    size_t max = vm_options(w->h->vm)->request_memory;
    return !max || (w->x->body.size <= SMALL && max >= ROOM && w->memory <= max - ROOM);
}

void request_push_within(lua_State *L, struct work *w,
                         void (*make)(lua_State *L, struct work *w, int which), int which)
{
    if (surely_fits(w)) {
        luaL_checkstack(L, LUA_MINSTACK, "a body");
        make(L, w, which);
        return;
    }
    struct making m = {w, make, which};
    lua_pushcfunction(L, run_making);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, &m);
    int status = lua_pcall(L, 2, 1, 0);
    if (status == LUA_OK)
        return;
    if (status == LUA_ERRMEM && vm_run_was_full(w->h->vm))
        request_refuse(L, w, 413,
                       "the values in the body take more than limits.request_memory (%I)",
                       (lua_Integer)vm_options(w->h->vm)->request_memory);
    lua_error(L);
}

// --- form ---

// The fields of a multipart body: its parts without a filename.
static void push_fields(lua_State *L, struct work *w, struct upload *u, enum values_keep keep)
{
    lua_createtable(L, 0, 4);
    int t = lua_gettop(L);
    for (unsigned i = 0; i < upload_count(u); i++) {
        const struct upload_part *part = upload_part(u, i);
        struct multipart_head head = request_push_head(L, w, part, NULL);
        if (!head.filename.p) {
            luax_push(L, head.name);
            request_push_range(L, w, part->body_at, part->size);
            values_store(L, t, keep);
        }
        lua_pop(L, 1);
    }
}

// Each costs many times its bytes in Lua, so a body of nothing but fields is stopped before.
static void check_fields(lua_State *L, struct work *w, struct str text)
{
    size_t max = w->h->options.form_fields;
    if (text.n / 2 >= max && form_count(text) > max) // a field and its '&' are two bytes at least
        request_refuse(L, w, 413, "the form has %I fields, and limits.form_fields is %I",
                       (lua_Integer)form_count(text), (lua_Integer)max);
}

void request_push_form(lua_State *L, struct work *w, bool all)
{
    enum values_keep keep = all ? VALUES_ALL : VALUES_LAST;
    struct upload *u = request_upload(L, w);
    if (u) {
        push_fields(L, w, u, keep);
    } else if (media_is(content_type(w), STR("application/x-www-form-urlencoded"))) {
        struct str text = hold_body(L, w);
        check_fields(L, w, text);
        values_push_form(L, text, keep, &w->h->names);
    } else {
        lua_newtable(L);
    }
}

// --- json ---

// Pushes the body's JSON value; a 400 when it is malformed.
static void push_decoded(lua_State *L, struct work *w, int null)
{
    struct str text = hold_body(L, w);
    struct json_read_options o = {.null = null != 0};
    if (text.n == 0)
        request_refuse(L, w, 400, "the body is empty: JSON is expected");
    if (!json_read(L, text, &o))
        request_refuse(L, w, 400, "the body is not valid JSON: %s", lua_tostring(L, -1));
}

void request_push_json(lua_State *L, struct work *w)
{
    if (media_is_json(content_type(w)))
        push_decoded(L, w, false);
    else
        lua_pushnil(L);
}

// What JSON calls the value on top.
static const char *json_kind(lua_State *L)
{
    if (json_is_null(L, -1))
        return "null";
    if (!lua_istable(L, -1))
        return luaL_typename(L, -1);
    bool array = json_mark_of(L, -1) == JSON_MARK_ARRAY || lua_rawlen(L, -1) > 0;
    return array ? "array" : "object";
}

static int expect_json(lua_State *L, struct work *w)
{
    if (lua_toboolean(L, 2))
        request_push_within(L, w, push_decoded, true);
    else
        lua_getfield(L, 1, "json"); // made once, and kept
    lua_pushstring(L, json_kind(L));
    return 2;
}

int core_expect_json(lua_State *L)
{
    struct work *w = request_work(L, 1);
    request_check_kept(L, w, "req:expect_json");
    return media_is_json(content_type(w)) ? request_with_body(L, w, expect_json) : 0;
}

// --- files ---

void request_push_files(lua_State *L, struct work *w, bool all)
{
    (void)w;
    lua_newtable(L);
    int t = lua_gettop(L);
    lua_getfield(L, 1, "parts");
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, t + 1, i);
        bool file = lua_getfield(L, -1, "filename") != LUA_TNIL;
        lua_getfield(L, -2, "size");
        bool empty = luax_str(L, -2).n == 0 && lua_tointeger(L, -1) == 0; // an input left empty
        lua_pop(L, 2);
        if (!file || empty) {
            lua_pop(L, 1);
            continue;
        }
        lua_getfield(L, -1, "name");
        lua_insert(L, -2);
        values_store(L, t, all ? VALUES_ALL : VALUES_LAST);
    }
    lua_settop(L, t);
}

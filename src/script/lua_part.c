// The parts of a multipart body: req.parts, and what one of them can do.
//
// A part is a plain table with its name, filename, content_type, headers, size and sha256. Its body
// and detected_type are made when they are first read, and it has the methods save_as and chunks.
// Which part of which request it is, is kept beside it, in a table with weak keys: so a part can be
// looped over and encoded like any other table.
#include "content/mime.h"
#include "script/job.h"
#include "script/json_mark.h"
#include "script/lua_core.h"
#include "script/luax.h"
#include "script/values.h"
#include "script/work.h"

#include <errno.h>
#include <string.h>

enum { CHUNK = 64 << 10 };

static const char places_key; // registry: part → place
static const char class_key;  // registry: the metatable of parts

struct place {
    uint64_t handle; // of the request's work
    unsigned i;      // in its upload
};

// --- which part it is ---

// The part at index 1 of a request that is not over; *w is its work.
const struct upload_part *request_check_part(lua_State *L, struct work **w)
{
    struct handler *h = core_handler(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &places_key);
    lua_pushvalue(L, 1);
    const struct place *at =
        lua_isnil(L, 1) || lua_rawget(L, -2) != LUA_TUSERDATA ? NULL : lua_touserdata(L, -1);
    if (!at) {
        luaL_error(L, "call with a colon: part:save_as(path), part:chunks()");
        return NULL;
    }
    lua_pop(L, 2);
    *w = handler_work(h, at->handle);
    if (!*w || !(*w)->upload) {
        luaL_error(L, "the request is over, and its parts with it");
        return NULL;
    }
    return upload_part((*w)->upload, at->i);
}

// --- lazy fields ---

struct look {
    struct job job;
    size_t n;
    char type[MIME_MAX];
    char bytes[MIME_LOOK];
};

static void look_run(struct job *j)
{
    struct look *look = (struct look *)j;
    mime_by_content(str_of(look->bytes, look->n), look->type);
}

// The stack: the part, the key, the job, which has to stay there as long as it is needed.
static int look_finish(lua_State *L, struct job *j)
{
    lua_pushstring(L, ((struct look *)j)->type);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static const struct job_ops look_ops = {.run = look_run, .finish = look_finish};

static void read_bytes(lua_State *L, struct work *w, uint64_t at, char *dst, size_t n)
{
    int64_t got = spool_read(&w->x->body, at, dst, n);
    if (got != (int64_t)n)
        luaL_error(L, "the body's temporary file cannot be read: %s",
                   strerror(got < 0 ? (int)-got : EIO));
}

// libmagic's answer, from the first bytes; by a thread, where the caller can wait for it.
static int push_detected(lua_State *L, struct work *w, const struct upload_part *part)
{
    struct look *look = (struct look *)job_push(L, sizeof *look, &look_ops);
    look->n = part->size < MIME_LOOK ? (size_t)part->size : MIME_LOOK;
    read_bytes(L, w, part->body_at, look->bytes, look->n);
    return job_wait_if_possible(L, &look->job);
}

static void push_body(lua_State *L, struct work *w, int i)
{
    const struct upload_part *part = upload_part(w->upload, (unsigned)i);
    request_push_range(L, w, part->body_at, part->size);
}

// __index: upvalue 1 the handler, 2 the table of methods.
static int part_index(lua_State *L)
{
    struct work *w;
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING)
        return 1;
    struct str key = luax_str(L, 2);
    bool body = str_eq(key, STR("body"));
    if (!body && !str_eq(key, STR("detected_type")))
        return 1;
    lua_settop(L, 2);
    const struct upload_part *part = request_check_part(L, &w);
    if (!body)
        return push_detected(L, w, part);
    request_push_within(L, w, push_body, (int)(part - upload_part(w->upload, 0)));
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

// --- chunks ---

// The iterator: upvalues the handler, the part, and how much of it was given.
static int next_chunk(lua_State *L)
{
    struct work *w;
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(2));
    const struct upload_part *part = request_check_part(L, &w);
    uint64_t from = (uint64_t)lua_tointeger(L, lua_upvalueindex(3));
    uint64_t n = part->size - from;
    if (n == 0)
        return 0;
    if (n > CHUNK)
        n = CHUNK;
    request_push_range(L, w, part->body_at + from, n);
    lua_pushinteger(L, (lua_Integer)(from + n));
    lua_replace(L, lua_upvalueindex(3));
    return 1;
}

// part:chunks() → an iterator over its bytes, 64 KiB at a time.
static int part_chunks(lua_State *L)
{
    struct work *w;
    request_check_part(L, &w);
    lua_pushlightuserdata(L, w->h);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_chunk, 3);
    return 1;
}

// --- making them ---

struct upload *request_upload(lua_State *L, struct work *w)
{
    const char *why;
    uint64_t at;
    request_check_whole(L, w);
    if (!w->upload)
        return NULL;
    unsigned status = upload_fault(w->upload, &why, &at);
    if (status)
        request_refuse(L, w, status, "the multipart body, at byte %I: %s", (lua_Integer)at, why);
    return w->upload;
}

struct multipart_head request_push_head(lua_State *L, struct work *w,
                                        const struct upload_part *part, struct str *block)
{
    struct multipart_head head;
    size_t n = part->head_n;
    char *p = lua_newuserdatauv(L, 3 * n, 0); // the block, and twice that for what is decoded
    read_bytes(L, w, part->head_at, p, n);
    if (block)
        *block = str_of(p, n);
    const char *why = multipart_head(str_of(p, n), p + n, &head);
    if (why)
        request_refuse(L, w, 400, "the multipart body, in the head at byte %I: %s",
                       (lua_Integer)part->head_at, why);
    return head;
}

// Sets a field of the table on top; p NULL leaves it nil.
static void set_text(lua_State *L, const char *name, struct str value)
{
    if (!value.p)
        return;
    luax_push(L, value);
    lua_setfield(L, -2, name);
}

static void set_headers(lua_State *L, struct work *w, struct str block)
{
    struct str name, value;
    lua_newtable(L);
    int t = lua_gettop(L);
    while (multipart_field(&block, &name, &value)) {
        luax_push_lower(L, name);
        luax_push(L, value);
        values_store(L, t, VALUES_LAST);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->headers_meta);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "headers");
}

static void set_digest(lua_State *L, const unsigned char *digest)
{
    static const char hex[] = "0123456789abcdef";
    char text[2 * UPLOAD_DIGEST];
    for (int i = 0; i < UPLOAD_DIGEST; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
    lua_setfield(L, -2, "sha256");
}

// Notes where the part on top is to be found.
static void set_place(lua_State *L, struct work *w, unsigned i)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &places_key);
    lua_pushvalue(L, -2);
    struct place *at = lua_newuserdatauv(L, sizeof *at, 0);
    *at = (struct place){w->handle, i};
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static void push_part(lua_State *L, struct work *w, unsigned i)
{
    const struct upload_part *part = upload_part(w->upload, i);
    struct str block;
    struct multipart_head head = request_push_head(L, w, part, &block);
    lua_createtable(L, 0, 8);
    set_text(L, "name", head.name);
    set_text(L, "filename", head.filename);
    set_text(L, "content_type", head.content_type);
    set_headers(L, w, block);
    lua_pushinteger(L, (lua_Integer)part->size);
    lua_setfield(L, -2, "size");
    set_digest(L, part->sha256);
    set_place(L, w, i);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
    lua_setmetatable(L, -2);
    lua_remove(L, -2); // the texts of the head
}

void request_push_parts(lua_State *L, struct work *w)
{
    struct upload *u = request_upload(L, w);
    unsigned n = u ? upload_count(u) : 0;
    lua_createtable(L, (int)n, 0);
    json_mark_array(L, -1);
    for (unsigned i = 0; i < n; i++) {
        push_part(L, w, i);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void lua_part_register(lua_State *L, struct handler *h)
{
    static const luaL_Reg methods[] = {
        {"save_as", lua_part_save_as}, {"chunks", part_chunks}, {NULL, NULL}};
    lua_newtable(L); // part → place
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &places_key);

    lua_createtable(L, 0, 2);
    lua_pushlightuserdata(L, h);
    luaL_newlibtable(L, methods);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pushcclosure(L, part_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "part");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

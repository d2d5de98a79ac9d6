// The part of lunette.core that finds files: roots, and a file's answer prepared in the work.
//
// find looks a file up and keeps its whole answer in the work; then the library either returns
// core.FILE, and C sends that, or takes it as a response object, for middleware to see.
#include "http/uri.h"
#include "script/lua_guard.h"
#include "script/luax.h"
#include "script/work.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT_CLASS "lunette.root"

enum { INDEX_MAX = 8, LOOK_MAX = 64 * 1024 };

// A folder of files with its options; an app.static, or the site itself.
struct root {
    struct file_root *folder;
    struct static_options options;
    const char *index[INDEX_MAX + 1];
    struct static_caching caching;
};

static int root_gc(lua_State *L)
{
    struct root *r = luaL_checkudata(L, 1, ROOT_CLASS);
    if (r->folder)
        file_root_close(r->folder);
    r->folder = NULL;
    for (int i = 0; i < INDEX_MAX; i++) {
        free((void *)(uintptr_t)r->index[i]);
        r->index[i] = NULL;
    }
    return 0;
}

static void read_index(lua_State *L, struct root *r)
{
    lua_Integer n = luaL_len(L, -1);
    if (n > INDEX_MAX)
        luaL_error(L, "index: at most %d names", INDEX_MAX);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        const char *name = luaL_checkstring(L, -1);
        if (!(r->index[i - 1] = strdup(name)))
            luaL_error(L, "not enough memory");
        lua_pop(L, 1);
    }
}

static void read_flag(lua_State *L, int from, const char *name, bool *flag)
{
    if (lua_getfield(L, from, name) != LUA_TNIL)
        *flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static void read_options(lua_State *L, int from, struct root *r)
{
    struct static_options *o = &r->options;
    read_flag(L, from, "immutable", &o->immutable);
    read_flag(L, from, "listing", &o->listing);
    read_flag(L, from, "download", &o->download);
    if (lua_getfield(L, from, "max_age") != LUA_TNIL)
        o->max_age = (int64_t)luax_check_duration(L, -1);
    else if (o->immutable)
        o->max_age = STATIC_IMMUTABLE_AGE;
    if (lua_getfield(L, from, "index") == LUA_TTABLE) {
        read_index(L, r);
        o->index = r->index;
    }
}

// root(dir, {max_age=, index=, immutable=, listing=, download=}) → a handle. dir is relative to the
// site's folder. Raises when it cannot be opened.
static int files_root(lua_State *L)
{
    struct handler *h = lua_touserdata(L, lua_upvalueindex(1));
    const char *dir = luaL_checkstring(L, 1);
    struct root *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct root){.options = h->options.files};
    r->options.caching = &r->caching;
    luaL_setmetatable(L, ROOT_CLASS);
    int handle = lua_gettop(L);
    if (lua_istable(L, 2))
        read_options(L, 2, r);
    lua_pushstring(L, dir);
    if (dir[0] != '/')
        lua_pushfstring(L, "%s/%s", vm_options(h->vm)->site, dir);
    if (!guard_may_read(L, lua_tostring(L, -1)))
        return luaL_error(L,
                          "the sandbox does not let the folder %s be read: name it in sandbox.read "
                          "of config.lua",
                          lua_tostring(L, -1));
    int rc = file_root_open(lua_tostring(L, -1), &r->folder);
    if (rc < 0)
        return luaL_error(L, "the folder %s cannot be opened: %s", lua_tostring(L, -1),
                          strerror(-rc));
    lua_pushvalue(L, handle);
    return 1;
}

// Arguments 2 and 3 of find and exists: a root or nil, a path or nil.
static const struct file_root *folder_arg(lua_State *L, struct work *w,
                                          const struct static_options **options, struct str *path)
{
    *path = lua_isnoneornil(L, 3) ? w->x->request.path : luax_check_str(L, 3);
    if (lua_isnoneornil(L, 2)) {
        *options = &w->h->options.files;
        return w->h->options.root;
    }
    struct root *r = luaL_checkudata(L, 2, ROOT_CLASS);
    *options = &r->options;
    return r->folder;
}

// Which file it was: by then the path may be gone, and the folder its Lua value's.
static void remember(struct work *w, const struct file_root *folder)
{
    w->found_path = arena_dup(&w->x->arena, w->found_path);
    if (w->found_path.p)
        w->found_root = file_root_ref(folder);
}

// Prepares the file's answer in w. Pushes what find returns.
static int prepare(lua_State *L, struct work *w, const struct file_root *folder,
                   const struct static_options *options, struct str path)
{
    if (w->file_ready && w->file.release)
        w->file.release(w->file.release_arg);
    w->file_ready = false;
    fields_clear(&w->file_fields);
    file_root_close(w->found_root);
    w->found_root = NULL;
    w->lists = false;
    if (!folder)
        return 0;
    struct static_options plain = *options;
    plain.found = &w->found_path;
    plain.fit = NULL; // it is fitted when it is sent, after middleware
    if (vm_options(w->h->vm)->dev && plain.max_age > 0) // what is saved is to be seen
        plain.max_age = 0;
    if (vm_options(w->h->vm)->dev)
        plain.immutable = false;
    switch (static_answer(folder, &plain, &w->x->request, path, loop_wall(w->h->loop), &w->x->arena,
                          &w->file_fields, &w->file)) {
    case STATIC_FOUND:
    case STATIC_REDIRECT:
        w->file_ready = true;
        remember(w, folder);
        lua_pushinteger(L, (lua_Integer)w->file.status);
        return 1;
    case STATIC_FOLDER:
        w->found_path = path;
        remember(w, folder);
        w->lists = w->found_root != NULL;
        lua_pushliteral(L, "listing");
        return 1;
    case STATIC_MISSING:
        return 0;
    case STATIC_FORBIDDEN:
        lua_pushnil(L);
        lua_pushinteger(L, 403);
        return 2;
    case STATIC_BUSY:
        break;
    }
    lua_pushnil(L);
    lua_pushinteger(L, 503);
    return 2;
}

// find(req[, root[, path]]) → the status of the file's answer, which is prepared; "listing" for a
// folder whose page file_response will make; nil; or nil and 403 or 503.
static int files_find(lua_State *L)
{
    struct work *w = request_work(L, 1);
    const struct static_options *options;
    struct str path;
    const struct file_root *folder = folder_arg(L, w, &options, &path);
    int n = prepare(L, w, folder, options, path);
    if (n)
        return n;
    lua_pushnil(L);
    return 1;
}

// exists(req[, root[, path]]) → whether a file is there, for methods other than GET and HEAD.
static int files_exists(lua_State *L)
{
    struct work *w = request_work(L, 1);
    const struct static_options *options;
    struct str path;
    const struct file_root *folder = folder_arg(L, w, &options, &path);
    lua_pushboolean(L, folder && static_exists(folder, options, path, &w->x->arena));
    return 1;
}

// has(root or nil, path) → whether a GET of the path would find a file, or a folder's page, there;
// without a request, for who only looks.
static int files_has(lua_State *L)
{
    struct handler *h = lua_touserdata(L, lua_upvalueindex(1));
    const struct root *r = lua_isnoneornil(L, 1) ? NULL : luaL_checkudata(L, 1, ROOT_CLASS);
    const struct file_root *folder = r ? r->folder : h->options.root;
    struct str path = luax_check_str(L, 2);
    struct arena arena;
    arena_init(&arena, LOOK_MAX);
    bool found = folder && static_exists(folder, r ? &r->options : &h->options.files, path, &arena);
    arena_fini(&arena);
    lua_pushboolean(L, found);
    return 1;
}

// The prepared fields as a table: "Name: value\r\n" lines, made by fields_add.
static void push_fields(lua_State *L, const struct fields *f)
{
    struct str rest = buf_str(&f->lines), line;
    lua_newtable(L);
    while (rest.n && str_split(&rest, '\n', &line) && line.n) {
        ptrdiff_t colon = str_find(line, ':');
        luax_push(L, str_of(line.p, (size_t)colon));
        luax_push(L, str_trim(str_of(line.p + colon + 1, line.n - (size_t)colon - 2)));
        lua_rawset(L, -3);
    }
}

// Pushes the prepared body. Raises when the descriptors are out.
static void push_file_body(lua_State *L, struct work *w)
{
    switch (w->file.body) {
    case BODY_BYTES:
        luax_push(L, w->file.bytes);
        break;
    case BODY_FILE:
        lua_file_push(L, &w->files, w->file.fd, w->file.offset, w->file.length);
        break;
    default:
        lua_pushnil(L);
    }
}

static void drop_prepared(struct work *w)
{
    if (w->file_ready && w->file.release)
        w->file.release(w->file.release_arg);
    w->file_ready = false;
}

// What find prepared as a response object.
static int push_prepared_response(lua_State *L, struct work *w)
{
    lua_createtable(L, 0, 4);
    int response = lua_gettop(L);
    push_file_body(L, w);
    lua_setfield(L, response, "body");
    lua_pushinteger(L, (lua_Integer)w->file.status);
    lua_setfield(L, response, "status");
    push_fields(L, &w->file_fields);
    lua_setfield(L, response, "headers");
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->h->response_meta);
    lua_setmetatable(L, response);
    drop_prepared(w);
    w->from_file = true;
    return 1;
}

// file_response(req) → what find prepared, as a response object; or nil and 403, 404 or 503. May wait,
// for a listing.
static int files_file_response(lua_State *L)
{
    struct work *w = request_work(L, 1);
    if (w->lists)
        return listing_answer(L, w);
    luaL_argcheck(L, w->file_ready, 1, "no file was found");
    return push_prepared_response(L, w);
}

// What app.file says of its file, at index 3.
static void read_file_options(lua_State *L, struct static_options *o)
{
    static const char *const no_index[] = {NULL};
    o->index = no_index;
    o->listing = o->download = o->immutable = false;
    o->caching = NULL;
    if (!lua_istable(L, 3))
        return;
    if (lua_getfield(L, 3, "max_age") != LUA_TNIL)
        o->max_age = (int64_t)luax_check_duration(L, -1);
    o->download = lua_getfield(L, 3, "download") == LUA_TSTRING;
    if (o->download)
        o->download_name = luax_str(L, -1); // in the table, which stays on the stack
    lua_pop(L, 2);
}

// open_file(req, path, {root=, max_age=, download=}) → response object; nil where no file is, for a
// folder too; or nil and 403 or 503. Without a root, path is beneath the site's folder, and never in
// its scripts.
static int files_open_file(lua_State *L)
{
    struct work *w = request_work(L, 1);
    struct static_options options = w->h->options.files;
    const struct file_root *folder = w->h->site;
    char decoded[4096];
    struct uri_path clean;
    const char *why;
    lua_settop(L, 3);
    read_file_options(L, &options);
    if (lua_istable(L, 3) && lua_getfield(L, 3, "root") != LUA_TNIL)
        folder = ((struct root *)luaL_checkudata(L, -1, ROOT_CLASS))->folder;
    struct str path = luax_check_str(L, 2);
    lua_pushstring(L, path.n && path.p[0] == '/' ? "" : "/");
    lua_pushvalue(L, 2);
    lua_concat(L, 2); // all of it: a NUL ends nothing, and is refused below
    path = luax_str(L, -1);
    // Only dot segments matter here: the path is the script's, not percent-encoded. "%" stays "%".
    if (path.n >= sizeof decoded || str_find(path, '%') >= 0)
        clean.path = path;
    else if (!uri_normalise(path, decoded, &clean, &why))
        return 0;
    if (folder == w->h->site &&
        (str_eq(clean.path, STR("/scripts")) || str_starts(clean.path, STR("/scripts/"))))
        return 0; // app.file has said so to the author
    int n = prepare(L, w, folder, &options, clean.path);
    if (n == 1 && w->file.status == 308) { // a folder: there is nothing to redirect to
        drop_prepared(w);
        return 0;
    }
    return n == 1 ? push_prepared_response(L, w) : n;
}

// files_decide(req): find has just prepared a file of the site itself, and for this method and path
// nothing but files will ever decide: no route, no middleware, no app.static, for any host. Requests
// like it are answered without Lua from now on, as long as there is a file.
static int files_decide(lua_State *L)
{
    struct work *w = request_work(L, 1);
    const struct http_request *r = &w->x->request;
    if (w->file_ready && !r->encoded_slash)
        shortcuts_add(&w->h->shortcuts, r->method, r->path);
    return 0;
}

void lua_files_register(lua_State *L, struct handler *h)
{
    static const luaL_Reg functions[] = {
        {"root", files_root},
        {"find", files_find},
        {"exists", files_exists},
        {"has", files_has},
        {"file_response", files_file_response},
        {"open_file", files_open_file},
        {"files_decide", files_decide},
        {NULL, NULL},
    };
    luax_class(L, ROOT_CLASS, NULL, root_gc);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, functions, 1);
}

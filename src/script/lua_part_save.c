// part:save_as: the bytes of a part of a multipart body as a file of its own, written by a thread of the
// pool (content/save).
#include "content/save.h"
#include "script/job.h"
#include "script/lua_guard.h"
#include "script/luax.h"
#include "script/options.h"
#include "script/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct saving {
    struct job job;
    struct save save;
    char *folder, *path, *bytes; // its own copies
    int error;
};

static void saving_run(struct job *j)
{
    struct saving *s = (struct saving *)j;
    s->error = save_write(&s->save);
}

static void saving_release(struct job *j)
{
    struct saving *s = (struct saving *)j;
    free(s->folder);
    free(s->path);
    free(s->bytes);
    if (s->save.fd > 0)
        close(s->save.fd);
}

// Takes "." and empty components out of the path of a file. ".." stays in an absolute one: what stands
// before it may be a link.
static void clean_path(char *path)
{
    bool absolute = path[0] == '/';
    char *to = path;
    for (const char *from = path; *from;) {
        size_t n = strcspn(from, "/");
        if (n && !(n == 1 && from[0] == '.')) {
            if (absolute || to != path)
                *to++ = '/';
            memmove(to, from, n);
            to += n;
        }
        from += n;
        from += *from == '/';
    }
    *to = '\0';
}

static int saving_finish(lua_State *L, struct job *j)
{
    struct saving *s = (struct saving *)j;
    if (s->error == -EEXIST) {
        lua_pushnil(L);
        lua_pushliteral(L, "exists");
        lua_pushliteral(L, "EEXIST");
        return 3;
    }
    if (s->error == -EXDEV) {
        lua_pushnil(L);
        lua_pushliteral(L, "the path leads out of the data folder");
        lua_pushliteral(L, "EXDEV");
        return 3;
    }
    if ((s->error == -EACCES || s->error == -EPERM) && !s->folder) {
        lua_pushfstring(L, "part:save_as(\"%s\")", s->path);
        guard_tell(L, lua_tostring(L, -1), s->path, REACH_WRITE);
    }
    if (s->error)
        return luax_fail(L, -s->error);
    clean_path(s->path);
    if (s->folder)
        lua_pushfstring(L, "%s/%s", s->folder, s->path);
    else
        lua_pushstring(L, s->path);
    return 1;
}

static const struct job_ops saving_ops = {
    .run = saving_run, .finish = saving_finish, .release = saving_release};

// Makes the job's own copy of, or descriptor for, the bytes of the part. 0 or −errno.
static int take_bytes(struct saving *s, const struct spool *body, const struct upload_part *part)
{
    s->save.n = part->size;
    s->save.at = (off_t)part->body_at;
    if (body->fd >= 0) {
        s->save.fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 3);
        return s->save.fd >= 0 ? 0 : -errno;
    }
    s->save.fd = -1;
    s->bytes = malloc(part->size + !part->size);
    if (!s->bytes)
        return -ENOMEM;
    s->save.bytes = str_of(s->bytes, (size_t)part->size);
    spool_read(body, part->body_at, s->bytes, (size_t)part->size); // from memory: all of it
    return 0;
}

static bool overwrites(lua_State *L)
{
    static const char *const names[] = {"overwrite", NULL};
    if (!options_check_of(L, 3, names, "part:save_as"))
        return false;
    lua_getfield(L, 3, "overwrite");
    return lua_toboolean(L, -1);
}

static struct str check_path(lua_State *L)
{
    struct str path = luax_str(L, 2);
    if (!path.p)
        luaL_error(L, "part:save_as: the path must be a string, not %s%s",
                   lua_isnoneornil(L, 2) ? "" : "a ", luaL_typename(L, 2));
    if (str_find(path, '\0') >= 0)
        luaL_error(L, "part:save_as: the path has a NUL byte");
    return path;
}

// part:save_as(path[, {overwrite=}]) → the absolute path, or nil, "exists". Beneath data/, whose
// folders are made as needed, unless the path is absolute. There whole or not at all.
int lua_part_save_as(lua_State *L)
{
    struct work *w;
    const struct upload_part *part = request_check_part(L, &w);
    struct str path = check_path(L);
    bool overwrite = overwrites(L);
    lua_settop(L, 2);
    struct saving *s = (struct saving *)job_push(L, sizeof *s, &saving_ops);
    s->save.overwrite = overwrite;
    s->path = strdup(path.p);
    if (path.n == 0 || path.p[0] != '/')
        s->folder = strdup(w->h->options.data);
    bool copied = s->path && (s->folder || path.p[0] == '/');
    int err = copied ? take_bytes(s, &w->x->body, part) : -ENOMEM;
    if (err)
        return luax_fail(L, -err);
    s->save.folder = s->folder;
    s->save.path = s->path;
    return job_wait(L, &s->job);
}

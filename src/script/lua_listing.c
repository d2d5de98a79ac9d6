// The page of a folder: it is opened here, and read and written in a thread.
#include "content/listing.h"
#include "script/job.h"
#include "script/luax.h"
#include "script/work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listing_job {
    struct job job;
    struct handler *h;
    const struct file_root *root; // a reference
    int fd;                       // of the folder; −1: given away
    struct listing_page page;
    struct str path; // beneath root
    char *text;      // path and page.title
    struct buf out;
    int err;
};

static void run(struct job *job)
{
    struct listing_job *j = (struct listing_job *)job;
    struct listing l;
    j->err = listing_read(j->root, j->path, j->fd, &l);
    j->fd = -1;
    if (j->err)
        return;
    listing_sort(&l, j->page.order);
    if (!listing_write(&l, &j->page, &j->out))
        j->err = -ENOMEM;
    listing_free(&l);
}

static void release(struct job *job)
{
    struct listing_job *j = (struct listing_job *)job;
    if (j->fd >= 0)
        close(j->fd);
    file_root_close(j->root);
    free(j->text);
    buf_fini(&j->out);
}

static int push_refusal(lua_State *L, int err)
{
    bool missing = err == -ENOENT || err == -ENAMETOOLONG;
    lua_pushnil(L);
    lua_pushinteger(L, missing ? 404 : err == -EACCES || err == -EPERM ? 403 : 503);
    return 2;
}

// A folder changes without notice, so that the page is asked for anew each time.
static int finish(lua_State *L, struct job *job)
{
    struct listing_job *j = (struct listing_job *)job;
    if (j->err)
        return push_refusal(L, j->err);
    lua_createtable(L, 0, 3);
    luax_push(L, buf_str(&j->out));
    lua_setfield(L, -2, "body");
    lua_pushinteger(L, 200);
    lua_setfield(L, -2, "status");
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "text/html; charset=utf-8");
    lua_setfield(L, -2, "Content-Type");
    lua_pushliteral(L, "no-cache");
    lua_setfield(L, -2, "Cache-Control");
    lua_setfield(L, -2, "headers");
    lua_rawgeti(L, LUA_REGISTRYINDEX, j->h->response_meta);
    lua_setmetatable(L, -2);
    return 1;
}

// Copies of what belongs to the request, which may be over before the thread is done.
static bool copy_texts(struct listing_job *j, const struct work *w)
{
    struct str path = w->found_path, title = w->x->request.path;
    j->text = malloc(path.n + title.n + 1);
    if (!j->text)
        return false;
    memcpy(j->text, path.p, path.n);
    memcpy(j->text + path.n, title.p, title.n);
    j->path = str_of(j->text, path.n);
    j->page.title = str_of(j->text + path.n, title.n);
    return true;
}

int listing_answer(lua_State *L, struct work *w)
{
    static const struct job_ops ops = {.run = run, .finish = finish, .release = release};
    struct listing_job *j = (struct listing_job *)job_push(L, sizeof *j, &ops);
    w->lists = false;
    buf_init(&j->out, LISTING_BYTES);
    j->h = w->h;
    j->root = file_root_ref(w->found_root);
    j->page.top = w->found_path.n == 1;
    j->page.order = listing_order_of(w->x->request.query);
    j->fd = copy_texts(j, w) ? file_open_folder(j->root, j->path) : -ENOMEM;
    return j->fd < 0 ? push_refusal(L, j->fd) : job_wait(L, &j->job);
}

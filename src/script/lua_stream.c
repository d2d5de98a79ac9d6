// Bodies that a Lua function writes: a body_source fed by write(chunk).
//
// Small writes are gathered until the connection pulls, at the end of the turn; so many of them
// become one chunk on the wire. When more than GATHER_MAX waits, or a chunk is large, the writer is
// suspended until the connection has taken it: memory is bounded by the slowest client's one chunk.
#include "script/luax.h"
#include "script/work.h"

#include <stddef.h>
#include <string.h>

enum {
    GATHER_MAX = 16 * 1024,
    PULL_MAX = 64 * 1024, // bytes of a large chunk lent at a time
};

static struct work *work_of(struct lua_source *s)
{
    return (struct work *)((char *)s - offsetof(struct work, stream));
}

static void wake_writer(struct lua_source *s)
{
    if (s->waiting && s->lent.n == 0)
        loop_defer(work_of(s)->h->loop, &work_of(s)->wake);
}

static enum body_pull pull(struct body_source *source, struct str *out)
{
    struct lua_source *s = (struct lua_source *)source;
    buf_clear(&s->pulled);
    if (s->gathered.n) {
        struct buf b = s->pulled;
        s->pulled = s->gathered;
        s->gathered = b;
        *out = buf_str(&s->pulled);
        wake_writer(s);
        return BODY_SOME;
    }
    if (s->lent.n) {
        // The writer is woken by the pull after the last: until then the bytes are the coroutine's.
        *out = str_of(s->lent.p, s->lent.n < PULL_MAX ? s->lent.n : PULL_MAX);
        s->lent = str_of(s->lent.p + out->n, s->lent.n - out->n);
        return BODY_SOME;
    }
    wake_writer(s);
    if (s->failed)
        return BODY_FAILED;
    return s->ended ? BODY_END : BODY_LATER;
}

static void close_source(struct body_source *source)
{
    struct lua_source *s = (struct lua_source *)source;
    s->closed = true;
    s->lent = str_of(NULL, 0);
    wake_writer(s);
}

static const struct body_source_ops ops = {.pull = pull, .close = close_source};

// --- the writer ---

static int write_done(lua_State *L, struct co_wait *wait)
{
    struct lua_source *s = (struct lua_source *)((char *)wait - offsetof(struct lua_source, wait));
    if (s->closed)
        return luaL_error(L, "the client closed the connection");
    return 0;
}

static void write_cancelled(struct co_wait *wait)
{
    struct lua_source *s = (struct lua_source *)((char *)wait - offsetof(struct lua_source, wait));
    s->waiting = false;
    s->lent = str_of(NULL, 0);
    loop_undefer(work_of(s)->h->loop, &work_of(s)->wake);
}

// write(chunk): upvalue 1 the handler, 2 the handle of the request.
static int stream_write_lua(lua_State *L)
{
    struct handler *h = lua_touserdata(L, lua_upvalueindex(1));
    uint64_t handle = (uint64_t)lua_tointeger(L, lua_upvalueindex(2));
    struct work *w = h->works[handle & 0xffffff];
    struct str chunk = luax_check_str(L, 1);
    if (w->handle != handle)
        return luaL_error(L, "write: its request is over");
    if (!w->x || w->stream.closed)
        return luaL_error(L, "the client closed the connection");
    struct lua_source *s = &w->stream;
    if (s->ended)
        return luaL_error(L, "write after the stream's function returned");
    if (s->waiting)
        return luaL_error(L, "another write to this stream is waiting");
    if (w->late && w->head_waits)
        return luaL_error(L, "the handler took longer than timeouts.handler");
    if (chunk.n <= GATHER_MAX - s->gathered.n) {
        if (!buf_add(&s->gathered, chunk))
            return luaL_error(L, "not enough memory");
        if (w->head_waits)
            loop_defer(h->loop, &w->start); // a failure in this turn is still an error page
        else
            exchange_ready(w->x);
        return 0;
    }
    stream_send_head(w);
    exchange_ready(w->x);
    s->lent = chunk; // argument 1 keeps it alive while this waits
    s->waiting = true;
    return co_wait(L, &s->wait);
}

void stream_push_write(lua_State *L, struct work *w)
{
    lua_pushlightuserdata(L, w->h);
    lua_pushinteger(L, (lua_Integer)w->handle);
    lua_pushcclosure(L, stream_write_lua, 2);
}

void stream_send_head(struct work *w)
{
    if (!w->head_waits)
        return;
    w->head_waits = false;
    exchange_respond(w->x, &w->head);
}

void stream_forget(struct work *w)
{
    w->head_waits = false;
    buf_clear(&w->stream.gathered);
    loop_undefer(w->h->loop, &w->start);
}

void stream_source_init(struct work *w)
{
    w->stream.source.ops = &ops;
    w->stream.wait.finish = write_done;
    w->stream.wait.cancel = write_cancelled;
    buf_init(&w->stream.gathered, GATHER_MAX);
    buf_init(&w->stream.pulled, GATHER_MAX);
}

void stream_source_fini(struct work *w)
{
    struct lua_source *s = &w->stream;
    buf_fini(&s->gathered);
    buf_fini(&s->pulled);
    s->lent = str_of(NULL, 0);
    s->waiting = s->ended = s->failed = s->closed = false;
}

void stream_source_end(struct work *w, bool failed)
{
    w->stream.ended = true;
    w->stream.failed = failed;
    if (w->x && !w->stream.closed)
        exchange_ready(w->x);
}

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

// A coroutine that waits in write; on its own stack, since it may outlive the request.
struct stream_writer {
    struct co_wait wait;
    struct deferred wake;
    struct loop *loop;
    struct lua_source *source; // NULL once it was woken, or the request is over
    bool closed;               // the connection wants no more
};

static void on_wake(struct deferred *d)
{
    struct stream_writer *w =
        (struct stream_writer *)((char *)d - offsetof(struct stream_writer, wake));
    if (w->source)
        w->source->writer = NULL;
    w->source = NULL;
    co_wake(&w->wait);
}

// The writer goes on once what it lent was taken.
static void wake_writer(struct lua_source *s)
{
    if (s->writer && s->lent.n == 0)
        loop_defer(s->writer->loop, &s->writer->wake);
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
    if (s->writer)
        s->writer->closed = true;
    wake_writer(s);
}

static const struct body_source_ops ops = {.pull = pull, .close = close_source};

// --- the writer ---

static int write_done(lua_State *L, struct co_wait *wait)
{
    if (((struct stream_writer *)wait)->closed)
        return luaL_error(L, "the client closed the connection");
    return 0;
}

static void write_cancelled(struct co_wait *wait)
{
    struct stream_writer *w = (struct stream_writer *)wait;
    loop_undefer(w->loop, &w->wake);
    if (w->source) {
        w->source->writer = NULL;
        w->source->lent = str_of(NULL, 0);
    }
    w->source = NULL;
}

// Waits until all of chunk, which is argument 1 and stays on the stack, was taken.
static int lend(lua_State *L, struct handler *h, struct lua_source *s, struct str chunk)
{
    struct stream_writer *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct stream_writer){
        .wait = {.finish = write_done, .cancel = write_cancelled},
        .wake = {.fn = on_wake},
        .loop = h->loop,
        .source = s,
    };
    s->writer = w;
    s->lent = chunk;
    return co_wait(L, &w->wait);
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
    if (s->writer)
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
    return lend(L, h, s, chunk);
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
    answer_fit_and_send(w, &w->head, &w->head_fields);
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
    buf_init(&w->stream.gathered, GATHER_MAX);
    buf_init(&w->stream.pulled, GATHER_MAX);
}

void stream_source_fini(struct work *w)
{
    struct lua_source *s = &w->stream;
    buf_fini(&s->gathered);
    buf_fini(&s->pulled);
    s->lent = str_of(NULL, 0);
    if (s->writer) { // it goes on for nobody: its wake was deferred when the source was closed
        s->writer->source = NULL;
        s->writer->closed = true;
        loop_defer(s->writer->loop, &s->writer->wake);
    }
    s->writer = NULL;
    s->ended = s->failed = s->closed = false;
}

void stream_source_end(struct work *w, bool failed)
{
    w->stream.ended = true;
    w->stream.failed = failed;
    if (w->x && !w->stream.closed)
        exchange_ready(w->x);
}

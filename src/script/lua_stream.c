// Bodies that a Lua function writes: a body_source fed by write(chunk).
//
// Small writes are gathered until the connection pulls, at the end of the turn; so many of them
// become one chunk on the wire. When more than GATHER_MAX waits, or a chunk is large, the writer is
// suspended until the connection has taken it: memory is bounded by the slowest client's one chunk.
//
// An event stream (core.sender) is the same with a beat: a comment goes out when it has been silent
// for a while, so that proxies keep the connection and a client that left is noticed. It is written
// only where everything before it was taken, so it never piles up, and never stands within a write.
#include "http/trailers.h"
#include "script/luax.h"
#include "script/work.h"

#include <stddef.h>
#include <string.h>

enum {
    GATHER_MAX = 16 * 1024,
    PULL_MAX = 64 * 1024, // bytes of a large chunk lent at a time
    BEAT_MAX_S = 86400,
};

// A coroutine that waits in write; on its own stack, since it may outlive the request.
struct stream_writer {
    struct co_wait wait;
    struct deferred wake;
    struct loop *loop;
    struct lua_source *source; // NULL once it was woken, or the request is over
    bool closed;               // the connection wants no more
};

// --- strings that are lent ---
//
// What a pull gives is good until the next one, also when the writer has been cancelled meanwhile
// and nobody else has the string. So the registry keeps it: in lent_ref while some of it is to be
// pulled, and from then on in given_ref until the next pull.

static void unref(struct lua_source *s, int *ref)
{
    const struct work *w = (struct work *)((char *)s - offsetof(struct work, stream));
    luaL_unref(vm_state(w->h->vm), LUA_REGISTRYINDEX, *ref);
    *ref = LUA_NOREF;
}

// Nothing more of it is to be pulled.
static void take_lent_back(struct lua_source *s)
{
    s->lent = str_of(NULL, 0);
    if (s->given_ref != LUA_NOREF) { // the last pull was of another string
        unref(s, &s->lent_ref);
        return;
    }
    s->given_ref = s->lent_ref;
    s->lent_ref = LUA_NOREF;
}

static void drop_strings(struct lua_source *s)
{
    s->lent = str_of(NULL, 0);
    unref(s, &s->lent_ref);
    unref(s, &s->given_ref);
}

static struct str take_piece(struct lua_source *s)
{
    struct str piece = str_of(s->lent.p, s->lent.n < PULL_MAX ? s->lent.n : PULL_MAX);
    s->lent = str_of(s->lent.p + piece.n, s->lent.n - piece.n);
    if (s->lent.n == 0)
        take_lent_back(s);
    return piece;
}

// --- pulling ---

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
    if (s->given_ref != LUA_NOREF)
        unref(s, &s->given_ref);
    if (s->gathered.n) {
        struct buf b = s->pulled;
        s->pulled = s->gathered;
        s->gathered = b;
        *out = buf_str(&s->pulled);
        wake_writer(s);
        return BODY_SOME;
    }
    if (s->lent.n) {
        *out = take_piece(s); // the writer is woken by the pull after the last
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
    drop_strings(s);
    if (s->writer)
        s->writer->closed = true;
    wake_writer(s);
}

static const struct fields *trailers(struct body_source *source)
{
    const struct lua_source *s = (const struct lua_source *)source;
    return s->trailers.lines.n ? &s->trailers : NULL;
}

static const struct body_source_ops ops = {
    .pull = pull,
    .close = close_source,
    .trailers = trailers,
};

// --- the beat of an event stream ---

static bool rests(const struct lua_source *s)
{
    return s->gathered.n == 0 && !s->writer;
}

static void beat(struct work *w)
{
    if (buf_add(&w->stream.gathered, STR(":\n\n")))
        exchange_ready(w->x);
}

// Whether it will come; it will not when memory is out.
static bool put_beat_off(struct work *w)
{
    struct lua_source *s = &w->stream;
    return s->beat_ms == 0 || timeout_set(w->h->loop, &s->beat, s->beat_ms);
}

static void on_beat(struct timeout *t)
{
    struct work *w = (struct work *)((char *)t - offsetof(struct work, stream.beat));
    const struct lua_source *s = &w->stream;
    if (!w->x || s->closed || s->ended)
        return;
    if (rests(s))
        beat(w);
    put_beat_off(w);
}

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
        if (w->source->lent.n)
            take_lent_back(w->source);
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
    lua_pushvalue(L, 1);
    s->lent_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    s->writer = w;
    s->lent = chunk;
    return co_wait(L, &w->wait);
}

// write(chunk): upvalue 1 the handler, 2 the handle of the request. May wait.
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
    if (!put_beat_off(w))
        return luaL_error(L, "not enough memory");
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
    if (s->closed) // nobody wants the body: a condition made it a 304 or 412
        return luaL_error(L, "the client closed the connection");
    exchange_ready(w->x);
    return lend(L, h, s, chunk);
}

void stream_push_write(lua_State *L, struct work *w)
{
    lua_pushlightuserdata(L, w->h);
    lua_pushinteger(L, (lua_Integer)w->handle);
    lua_pushcclosure(L, stream_write_lua, 2);
}

// send(value): write of what format, upvalue 3, makes of the value. One call is one write.
static int stream_send_lua(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return stream_write_lua(L);
}

// sender(write, format, seconds) → send(value); from here on the stream is one of events: its head
// goes out at the end of the turn, and a comment whenever it was silent for that long. nil where
// write is not a stream's own but a function around it, which may not want bytes behind its back.
int core_sender(lua_State *L)
{
    double seconds = luax_check_duration(L, 3);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (lua_tocfunction(L, 1) != stream_write_lua) {
        luaL_pushfail(L);
        return 1;
    }
    lua_getupvalue(L, 1, 1);
    lua_getupvalue(L, 1, 2);
    struct handler *h = lua_touserdata(L, -2);
    struct work *w = handler_work(h, (uint64_t)lua_tointeger(L, -1));
    if (!w)
        return luaL_error(L, "the client closed the connection");
    w->stream.begun = true;
    w->stream.beat_ms = seconds < BEAT_MAX_S ? (uint32_t)(seconds * 1000) : BEAT_MAX_S * 1000;
    if (!put_beat_off(w))
        return luaL_error(L, "not enough memory");
    if (w->head_waits)
        loop_defer(h->loop, &w->start);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, stream_send_lua, 3);
    return 1;
}

// --- head, trailers, end ---

void stream_send_head(struct work *w)
{
    if (!w->head_waits)
        return;
    w->head_waits = false;
    answer_fit_and_send(w, &w->head, &w->head_fields);
}

void stream_start(struct work *w)
{
    stream_send_head(w);
    if (w->stream.beat_ms && rests(&w->stream))
        beat(w);
    exchange_ready(w->x);
}

static const char *forbidden_name(lua_State *L, int trailers_at)
{
    for (lua_pushnil(L); lua_next(L, trailers_at); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && trailers_forbid(luax_str(L, -2)))
            return lua_pushfstring(L, "%s cannot be a trailer (RFC 9110, section 6.5.1)",
                                   lua_tostring(L, -2));
    return NULL;
}

const char *stream_keep_trailers(lua_State *L, struct work *w)
{
    struct answer a = {.headers = lua_gettop(L)};
    if (!lua_istable(L, a.headers))
        return NULL;
    luaL_checkstack(L, LUA_MINSTACK, "trailers");
    const char *wrong = "it returned a response, when its answer had begun";
    if (!answer_is_response(L, w->h, a.headers))
        wrong = forbidden_name(L, a.headers);
    if (!wrong)
        wrong = answer_check_headers(L, w->h, &a);
    if (!wrong && fields_add_all(&w->stream.trailers, &w->h->fields) != FIELDS_OK)
        wrong = "not enough memory";
    return wrong ? lua_pushfstring(L, "the stream ends without trailers: %s", wrong) : NULL;
}

void stream_forget(struct work *w)
{
    if (!w->stream.begun)
        return;
    w->head_waits = false;
    buf_clear(&w->stream.gathered);
    timeout_clear(&w->stream.beat);
    w->stream.beat_ms = 0;
    loop_undefer(w->h->loop, &w->start);
}

void stream_source_init(struct work *w)
{
    w->stream.source.ops = &ops;
    buf_init(&w->stream.gathered, GATHER_MAX);
    buf_init(&w->stream.pulled, GATHER_MAX);
    fields_init(&w->stream.trailers);
    w->stream.lent_ref = w->stream.given_ref = LUA_NOREF;
    timeout_init(&w->stream.beat, on_beat);
}

void stream_source_fini(struct work *w)
{
    struct lua_source *s = &w->stream;
    s->ended = s->failed = s->closed = false;
    if (!s->begun)
        return;
    s->begun = false;
    buf_fini(&s->gathered);
    buf_fini(&s->pulled);
    fields_clear(&s->trailers);
    timeout_clear(&s->beat);
    s->beat_ms = 0;
    drop_strings(s);
    if (s->writer) { // it goes on for nobody: its wake was deferred when the source was closed
        s->writer->source = NULL;
        s->writer->closed = true;
        loop_defer(s->writer->loop, &s->writer->wake);
    }
    s->writer = NULL;
}

void stream_source_free(struct work *w)
{
    buf_fini(&w->stream.gathered);
    buf_fini(&w->stream.pulled);
    fields_fini(&w->stream.trailers);
    timeout_remove(w->h->loop, &w->stream.beat);
}

void stream_source_end(struct work *w, bool failed)
{
    w->stream.ended = true;
    w->stream.failed = failed;
    if (w->x && !w->stream.closed)
        exchange_ready(w->x);
}

// How a request's body comes: whole before the handler runs (core.receive), or piece by piece as
// the handler reads it (core.stream, core.read). Where no route had it received, it comes whole when
// somebody first reads a field of it: middleware around a 404, or the page of one.
//
// While somebody waits for the client, the handler's deadline stands still; it begins anew when
// bytes have come.
#include "script/luax.h"
#include "script/vm.h"
#include "script/work.h"

#include <stddef.h>

enum { INCOMING_KEEP = 64 << 10 }; // memory that a work keeps for the next request

static const char *const too_large = "Content-Length is over max_body (limits.body_bytes)";

// A coroutine that waits for the body: the userdata on top of its stack, since the wait may outlive
// the request. w->reader points to it until it is woken or cancelled.
struct body_reader {
    struct co_wait wait;
    struct deferred wake; // for a wait that is in vain
    struct handler *h;
    uint64_t handle;       // of the request
    bool in_vain;          // the answer has begun, or the exchange is over
    request_body_fn *then; // of request_with_body
};

static const char *const begun = "the answer has begun: the body has to be read before it";

static struct body_reader *reader_of(struct co_wait *wait)
{
    return (struct body_reader *)((char *)wait - offsetof(struct body_reader, wait));
}

static void wait_cancelled(struct co_wait *wait)
{
    struct body_reader *r = reader_of(wait);
    struct work *w = handler_work(r->h, r->handle);
    loop_undefer(r->h->loop, &r->wake);
    if (w && w->reader == r)
        w->reader = NULL;
}

static void on_wake(struct deferred *d)
{
    struct body_reader *r = (struct body_reader *)((char *)d - offsetof(struct body_reader, wake));
    co_wake(&r->wait);
}

// Before anything is asked of the exchange: this may raise.
static struct body_reader *push_reader(lua_State *L, struct work *w,
                                       int (*finish)(lua_State *, struct co_wait *))
{
    struct body_reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct body_reader){
        .wait = {.finish = finish, .cancel = wait_cancelled},
        .wake = {.fn = on_wake},
        .h = w->h,
        .handle = w->handle,
    };
    return r;
}

static int wait_for_body(lua_State *L, struct work *w, struct body_reader *r)
{
    w->reader = r;
    return co_wait(L, &r->wait);
}

static void wake_reader(struct work *w)
{
    struct body_reader *r = w->reader;
    w->reader = NULL;
    work_start_clock(w);
    co_wake(&r->wait);
}

void request_end_reading(struct work *w)
{
    struct body_reader *r = w->reader;
    if (!r)
        return;
    w->reader = NULL;
    r->in_vain = true;
    loop_defer(w->h->loop, &r->wake);
}

// The work of a wait that is over. NULL when it was in vain, and why says so.
static struct work *woken(struct co_wait *wait, const char **why)
{
    const struct body_reader *r = reader_of(wait);
    struct work *w = handler_work(r->h, r->handle);
    *why = w ? begun : "the request is over";
    return r->in_vain ? NULL : w;
}

static struct work *woken_or_raise(lua_State *L, struct co_wait *wait)
{
    const char *why;
    struct work *w = woken(wait, &why);
    if (!w)
        luaL_error(L, "req.body: %s", why);
    return w;
}

// --- whole ---

static int push_received(lua_State *L, struct work *w)
{
    lua_pushinteger(L, (lua_Integer)w->body_status);
    if (!w->body_why)
        return 1;
    lua_pushstring(L, w->body_why);
    return 2;
}

static int receive_done(lua_State *L, struct co_wait *wait)
{
    return push_received(L, woken_or_raise(L, wait));
}

// A multipart body is looked at while it arrives. NULL, or why it cannot be.
static const char *watch_parts(struct work *w)
{
    struct exchange *x = w->x;
    if (w->upload)
        return NULL;
    const char *why = upload_new(request_field(&x->request, STR("content-type")),
                                 &w->h->options.parts, &w->upload);
    if (!why && w->upload) {
        x->body.tap = upload_add;
        x->body.tap_arg = w->upload;
    }
    return why;
}

// Asks the client for the whole body. False when it will not come: body_status says why.
static bool ask_for_all(struct work *w, uint64_t max)
{
    w->claimed = true;
    w->body_why = watch_parts(w);
    if (w->body_why) {
        w->body_status = 503;
        return false;
    }
    w->body_status = exchange_receive(w->x, max);
    w->body_why = w->body_status ? too_large : NULL;
    w->asked = w->body_status == 0;
    return w->asked;
}

bool request_take_body(struct work *w, uint64_t max)
{
    if (!exchange_has_body(w->x, max) || watch_parts(w) || !exchange_take_body(w->x, max))
        return false;
    w->claimed = w->body_over = true;
    if (w->upload)
        upload_end(w->upload);
    return true;
}

// receive(req[, max]) → 0, or the status and why to answer with. Waits for the whole body.
int core_receive(lua_State *L)
{
    struct work *w = request_work(L, 1);
    uint64_t max = lua_isnoneornil(L, 2) ? w->h->options.body_bytes : luax_check_size(L, 2);
    if (!w->x->request.has_body || request_take_body(w, max))
        return push_received(L, w);
    struct body_reader *r = push_reader(L, w, receive_done);
    return ask_for_all(w, max) ? wait_for_body(L, w, r) : push_received(L, w);
}

// The stack is that of the C function which waited, with the userdata on top.
static int late_done(lua_State *L, struct co_wait *wait)
{
    struct work *w = woken_or_raise(L, wait);
    return reader_of(wait)->then(L, w);
}

int request_with_body(lua_State *L, struct work *w, request_body_fn *then)
{
    if (w->streams || !w->x->request.has_body || (w->claimed && !w->asked))
        return then(L, w);
    if (w->reader)
        return luaL_error(L, "req.body: another coroutine is waiting for it already");
    if (w->x->status)
        return luaL_error(L, "req.body: %s", begun);
    if (!w->asked && request_take_body(w, w->h->options.body_bytes))
        return then(L, w);
    struct body_reader *r = push_reader(L, w, late_done);
    r->then = then;
    if (!w->asked && !ask_for_all(w, w->h->options.body_bytes))
        return then(L, w);
    return wait_for_body(L, w, r);
}

void request_on_body(struct work *w, unsigned status, const char *why)
{
    w->asked = false;
    w->body_over = true;
    w->body_status = status;
    w->body_why = why;
    if (w->upload)
        upload_end(w->upload);
    if (w->reader) // else its wait was cancelled: the answer is on its way
        wake_reader(w);
}

// --- piece by piece ---

// stream(req[, max]) → 0, or the status and why to answer with: the body is the handler's to read.
int core_stream(lua_State *L)
{
    struct work *w = request_work(L, 1);
    w->body_max = lua_isnoneornil(L, 2) ? w->h->options.body_bytes : luax_check_size(L, 2);
    w->streams = w->claimed = true;
    w->body_over = !w->x->request.has_body;
    if ((uint64_t)w->x->request.content_length > w->body_max) {
        w->body_status = 413;
        w->body_why = too_large;
    }
    return push_received(L, w);
}

// Asks the client for more, unless that was done already.
static void ask(struct work *w)
{
    if (w->asked)
        return;
    w->asked = true;
    exchange_read(w->x, w->body_max); // its length was looked at in core_stream
}

void request_on_data(struct work *w, struct str bytes)
{
    w->asked = false;
    if (!buf_add(&w->incoming, bytes)) {
        request_on_body(w, 503, "out of memory for the body");
        return;
    }
    if (!w->reader)
        return; // its wait was cancelled: who reads next finds the bytes
    if (w->incoming.n < w->wanted)
        ask(w);
    else
        wake_reader(w);
}

// Pushes what is there, w->wanted bytes at most when that many were asked for; nil at the end.
static int push_read(lua_State *L, struct work *w, bool exactly)
{
    struct str bytes = buf_str(&w->incoming);
    if (w->body_status)
        request_refuse(L, w, w->body_status, "%s", w->body_why);
    if (exactly && bytes.n > w->wanted)
        bytes.n = w->wanted;
    if (bytes.n == 0 && w->body_over && !(exactly && w->wanted == 0)) {
        lua_pushnil(L);
        return 1;
    }
    luax_push(L, bytes);
    buf_drop(&w->incoming, bytes.n);
    if (w->incoming.n == 0 && w->incoming.cap > INCOMING_KEEP)
        buf_fini(&w->incoming);
    return 1;
}

static int misuse(lua_State *L, const char *why)
{
    lua_pushboolean(L, false);
    lua_pushstring(L, why);
    return 2;
}

static int read_done(lua_State *L, struct co_wait *wait, bool exactly)
{
    const char *why;
    struct work *w = woken(wait, &why);
    return w ? push_read(L, w, exactly) : misuse(L, why);
}

static int read_some_done(lua_State *L, struct co_wait *wait)
{
    return read_done(L, wait, false);
}

static int read_exactly_done(lua_State *L, struct co_wait *wait)
{
    return read_done(L, wait, true);
}

// How many bytes a reader may want at once is bounded, since they are kept in memory until all have
// come: by what the request's Lua may hold, which is never just the one string, and by us. NULL: it
// may want n.
static const char *too_many(lua_State *L, const struct work *w, uint64_t n)
{
    size_t request = vm_options(w->h->vm)->request_memory;
    if (request && n >= request)
        return lua_pushfstring(
            L,
            "%I bytes at once are over limits.request_memory (%I): read less, or use req:chunks()",
            (LUAI_UACINT)n, (LUAI_UACINT)request);
    if (n > WORK_READ_MAX)
        return lua_pushfstring(
            L, "%I bytes at once are over what it can give (%I): read less, or use req:chunks()",
            (LUAI_UACINT)n, (LUAI_UACINT)WORK_READ_MAX);
    return NULL;
}

// read(req[, n]) → the next bytes of a body that streams: n of them, fewer only at its end, or, without
// n, whatever comes next; nil at the end; false and why it may not be called now. Leaves the handler
// when the body is malformed or too large.
int core_read(lua_State *L)
{
    struct work *w = request_work(L, 1);
    bool exactly = !lua_isnoneornil(L, 2);
    if (!w->streams)
        return misuse(L, "this is for routes with stream_body=true; others have req.body");
    if (w->reader)
        return misuse(L, "another coroutine is reading the body already");
    uint64_t n = exactly ? luax_check_size(L, 2) : 1;
    const char *why = too_many(L, w, n);
    if (why)
        return misuse(L, why);
    w->wanted = (size_t)n;
    if (w->incoming.n >= w->wanted || w->body_over || w->body_status)
        return push_read(L, w, exactly);
    if (w->x->status)
        return misuse(L, begun);
    if (w->stream.closed)
        return misuse(L, "the client closed the connection");
    struct body_reader *r = push_reader(L, w, exactly ? read_exactly_done : read_some_done);
    ask(w);
    return wait_for_body(L, w, r);
}

void request_drop_body(struct work *w)
{
    request_end_reading(w);
    upload_free(w->upload);
    w->upload = NULL;
    w->streams = w->claimed = w->asked = w->body_over = false;
    w->body_status = 0;
    w->body_why = NULL;
    buf_clear(&w->incoming);
    if (w->incoming.cap > INCOMING_KEEP)
        buf_fini(&w->incoming);
}

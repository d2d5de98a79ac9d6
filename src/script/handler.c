// The life of a request in Lua: on_request → coroutine → answer → the exchange's end.
//
// Everything that can raise runs inside the coroutine (run and its continuations), so that an
// error, a lack of memory included, ends in on_co_end and never crosses the layers below.
#include "script/handler.h"

#include "base/log.h"
#include "http/page.h"
#include "script/client.h"
#include "script/cut.h"
#include "script/luax.h"
#include "script/plain.h"
#include "script/work.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- works ---

static void on_deadline(struct timeout *t);
static void on_start(struct deferred *d);

enum {
    OWN_ANSWER_MS = 100, // what a cancelled handler gets to give an answer of its own
    GRACE_MS = 5000,     // and to roll back what it began: its __close variables may wait
    SAID_MAX = 120,      // bytes of a target, of a request whose Lua never came back
};

void handler_text_done(struct handler *h)
{
    if (h->text.cap > WORK_TEXT_KEEP)
        buf_fini(&h->text);
}

static struct work *new_work(struct handler *h)
{
    if (h->work_count == h->work_cap) {
        uint32_t cap = h->work_cap ? h->work_cap * 2 : 64;
        struct work **works = reallocarray(h->works, cap, sizeof *works);
        if (!works)
            return NULL;
        h->works = works;
        h->work_cap = cap;
    }
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->h = h;
    w->place = h->work_count;
    w->kept.body = LUA_NOREF;
    fields_init(&w->extra);
    fields_init(&w->file_fields);
    fields_init(&w->head_fields);
    timeout_init(&w->deadline, on_deadline);
    w->start.fn = on_start;
    stream_source_init(w);
    buf_init(&w->incoming, WORK_READ_MAX + WORK_READ_OVER);
    return h->works[h->work_count++] = w;
}

static struct work *take_work(struct handler *h, struct exchange *x)
{
    struct work *w = h->spares;
    if (w)
        h->spares = w->spare;
    else if (!(w = new_work(h)))
        return NULL;
    w->x = x;
    w->after = LUA_NOREF;
    w->deadline_ms = h->options.handler_ms;
    w->handle = ++h->uses << 24 | w->place; // 2^40 requests, 2^24 at a time
    h->busy++;
    return w;
}

void work_drop_file(struct work *w)
{
    if (w->file_ready && w->file.release)
        w->file.release(w->file.release_arg);
    w->file_ready = false;
    fields_clear(&w->file_fields);
    file_root_close(w->found_root);
    w->found_root = NULL;
}

// Both sides are over: the place is free for the next request.
static void give_work(struct work *w)
{
    struct handler *h = w->h;
    assert(!w->x && !w->co);
    work_drop_file(w);
    fields_clear(&w->extra);
    fields_clear(&w->head_fields);
    timeout_clear(&w->deadline);
    loop_undefer(h->loop, &w->start);
    stream_source_fini(w);
    if (w->after != LUA_NOREF)
        luaL_unref(vm_state(h->vm), LUA_REGISTRYINDEX, w->after);
    w->after = LUA_NOREF;
    w->lists = false;
    kept_forget(vm_state(h->vm), &w->kept);
    w->watched = w->fills = w->sends_kept = false;
    w->seen = 0;
    w->late = w->cut_told = w->failing = w->head_waits = w->no_coding = w->from_file = false;
    w->stage = WORK_ON_TIME;
    w->handle = 0;
    w->memory = 0;
    w->spare = h->spares;
    h->spares = w;
    h->busy--;
}

static void free_work(struct work *w)
{
    timeout_remove(w->h->loop, &w->deadline);
    loop_undefer(w->h->loop, &w->start);
    fields_fini(&w->extra);
    fields_fini(&w->file_fields);
    fields_fini(&w->head_fields);
    stream_source_free(w);
    buf_fini(&w->incoming);
    free(w);
}

// The plain page, written by C alone: for when Lua itself is in trouble, or not to be asked.
static void answer_plainly(struct handler *h, struct exchange *x, unsigned status)
{
    struct buf *page = &h->text;
    buf_clear(page);
    fields_clear(&h->fields);
    page_html(page, status, str_of(NULL, 0));
    if (status == 503)
        fields_add(&h->fields, STR("Retry-After"), STR("1"));
    struct http_response r = {
        .status = status,
        .fields = &h->fields,
        .default_type = STR("text/html; charset=utf-8"),
        .body = BODY_BYTES,
        .bytes = buf_str(page),
    };
    const struct inject_mark *mark = work_mark(h, x);
    if (mark)
        inject_response(&r, &h->fields, &x->request, mark);
    exchange_respond(x, &r);
}

// The error on top as text, without converting anything: that could raise, and nothing here may.
const char *work_error_text(lua_State *L)
{
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is not a string";
}

// The request's Lua failed, and the page for that failed too, or had no time or memory.
static void answer_for_dead(struct work *w, bool cut, const char *error)
{
    unsigned status = cut || strcmp(error, "not enough memory") == 0 ? 503 : 500;
    const struct cut_record *r = cut ? cut_take(w->h->vm) : NULL;
    if (r)
        work_log_cut(w, r);
    else
        log_about(exchange_id(w->x), LOG_ERROR, "%u %.*s: %s", status,
                  STR_ARG(w->x->request.target), error);
    if (w->x->status == 0) {
        stream_forget(w);
        w->stream.closed = true;
        answer_plainly(w->h, w->x, status);
    } else {
        stream_source_end(w, true);
    }
    request_end_reading(w);
}

static void on_co_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct work *w = arg;
    (void)n;
    w->co = NULL;
    w->table = NULL;
    if (how == CO_RAISED && w->x)
        answer_for_dead(w, co_was_cut(co), work_error_text(L));
    if (!w->x)
        give_work(w);
}

static void say(const void *arg, struct watchdog_words *words)
{
    const struct work *w = arg;
    if (!w->x)
        return;
    watchdog_say(words, method_name(w->x->request.method));
    watchdog_say(words, STR(" "));
    struct str target = w->x->request.target;
    watchdog_say(words, str_of(target.p, target.n < SAID_MAX ? target.n : SAID_MAX));
}

// --- what the server calls ---

void work_start_clock(struct work *w)
{
    if (w->deadline_ms)
        timeout_set(w->h->loop, &w->deadline, w->deadline_ms);
}

// Whether dispatch has said that files decide (core.files_decide).
static bool files_decide(const struct handler *h, const struct http_request *r)
{
    return !r->encoded_slash && !r->has_body && shortcuts_have(&h->shortcuts, r->method, r->path) &&
           !(h->options.mark && inject_wanted(r));
}

// The answer that dispatch would come to where files decide: a file, if there is one now. Everything
// else is Lua's to answer.
static bool answer_without_lua(struct handler *h, struct exchange *x)
{
    const struct http_request *r = &x->request;
    struct http_response file = {.status = 0};
    fields_clear(&h->fields);
    switch (static_answer(h->options.root, &h->options.files, r, r->path, loop_wall(h->loop),
                          &x->arena, &h->fields, &file)) {
    case STATIC_FOUND:
    case STATIC_REDIRECT:
        x->user = NULL; // no work
        exchange_is_file(h, x);
        exchange_respond(x, &file);
        return true;
    default:
        return false;
    }
}

static void on_request(void *self, struct exchange *x)
{
    struct handler *h = self;
    unsigned refused = client_find(x, &h->options.trusted_proxies);
    if (refused) {
        x->user = NULL; // no work
        answer_plainly(h, x, refused);
        return;
    }
    if (files_decide(h, &x->request) && answer_without_lua(h, x))
        return;
    struct work *w = take_work(h, x);
    struct co *co = w ? co_new(h->vm) : NULL;
    x->user = w;
    if (!co) {
        struct http_response busy = {.status = 503, .close = true};
        log_about(exchange_id(x), LOG_ERROR, "503 %.*s: out of memory for a handler",
                  STR_ARG(x->request.target));
        exchange_respond(x, &busy);
        return;
    }
    w->co = co;
    co_set_say(co, say);
    lua_State *L = co_state(co);
    handler_push_run(L);
    lua_pushlightuserdata(L, w);
    vm_meter_start(h->vm, &w->memory);
    co_start(co, 1, on_co_end, w);
    vm_meter_stop(h->vm);
    if (w->co) // it waits
        work_start_clock(w);
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    (void)self;
    request_on_body(x->user, status, why);
}

static void on_data(void *self, struct exchange *x, struct str bytes)
{
    (void)self;
    request_on_data(x->user, bytes);
}

static void set_stage(struct work *w, enum work_stage stage, uint64_t ms)
{
    w->stage = (unsigned char)stage;
    timeout_set(w->h->loop, &w->deadline, ms);
}

// The coroutine caught its cancel, or does not come to its answer: the client gets one all the same.
static void answer_for(struct work *w, const char *why)
{
    log_about(exchange_id(w->x), LOG_ERROR, "503 %.*s: %s", STR_ARG(w->x->request.target), why);
    stream_forget(w);
    w->stream.closed = true;
    answer_plainly(w->h, w->x, 503);
    request_end_reading(w);
}

static void on_deadline(struct timeout *t)
{
    struct work *w = (struct work *)((char *)t - offsetof(struct work, deadline));
    bool answered = w->x && w->x->status != 0;
    if (!w->co || w->reader)
        return;
    switch ((enum work_stage)w->stage) {
    case WORK_ON_TIME:
        if (answered)
            return;
        w->late = true;
        set_stage(w, WORK_CANCELLED, OWN_ANSWER_MS);
        co_cancel(w->co, "the handler took longer than timeouts.handler");
        break;
    case WORK_CANCELLED:
        if (answered)
            return;
        if (w->x)
            answer_for(w, "the handler went on after timeouts.handler");
        set_stage(w, WORK_GIVEN_UP, GRACE_MS);
        break;
    case WORK_GIVEN_UP:
        log_write(LOG_ERROR, "a handler that had nobody to answer went on for %d s: it was ended",
                  GRACE_MS / 1000);
        co_kill(w->co);
    }
}

static void on_start(struct deferred *d)
{
    struct work *w = (struct work *)((char *)d - offsetof(struct work, start));
    if (w->x && w->head_waits)
        stream_start(w);
}

// What its Lua logs when the client has left, and tasks that it begins then, have the request's id still.
static void keep_id(struct work *w)
{
    struct str id = exchange_id(w->x);
    memcpy(w->id, id.p, id.n);
    co_set_id(w->co, str_of(w->id, id.n));
}

static void on_end(void *self, struct exchange *x, bool sent)
{
    struct work *w = x->user;
    (void)self;
    if (!w)
        return;
    stream_forget(w); // functions of req:after may still hold its write
    w->stream.closed = true;
    if (w->after != LUA_NOREF)
        work_start_after(w);
    lua_file_close_all(&w->files);
    request_drop_body(w);
    if (w->co)
        keep_id(w);
    w->x = NULL;
    w->handle = 0; // request tables are stale from here on
    if (!w->co) {
        give_work(w);
    } else if (!sent) {
        set_stage(w, WORK_GIVEN_UP, GRACE_MS);
        co_cancel(w->co, "the client closed the connection");
    }
}

const struct http_handler handler_http = {
    .on_request = on_request,
    .on_body = on_body,
    .on_data = on_data,
    .on_end = on_end,
};

// Runs protected, when the handler is made. Argument: the handler.
static int register_all(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_file_register(L);
    request_register(L, h);
    lua_part_register(L, h);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, luaopen_lunette_core, 1);
    lua_setfield(L, -2, "lunette.core");
    return 0;
}

struct str handler_running_id(struct handler *h)
{
    struct work *w = work_running(h);
    return w && w->x ? exchange_id(w->x) : co_running_id(h->vm);
}

unsigned handler_busy(const struct handler *h)
{
    return h->busy;
}

bool handler_has_requests(const struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++)
        if (h->works[i]->x)
            return true;
    return false;
}

struct handler_declared handler_declared(const struct handler *h)
{
    return h->declared;
}

void handler_end_all(struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++) {
        struct work *w = h->works[i];
        if (w->x && w->x->status == 0)
            answer_for(w, "its scripts had to make room for those of a reload "
                          "(limits.generations)");
        else if (w->x)
            exchange_abort(w->x);
    }
}

void handler_break_off(struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++)
        if (h->works[i]->x)
            exchange_abort(h->works[i]->x);
}

struct handler *handler_new(struct vm *vm, const struct handler_options *o)
{
    struct handler *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->vm = vm;
    h->loop = vm_options(vm)->loop;
    h->options = *o;
    h->file_fit = o->fit;
    h->file_fit.codings.offered &= 1u
                                   << CODING_GZIP; // other codings of files are files beside them
    h->options.files.fit = &h->file_fit;
    h->options.files.caching = &h->caching;
    h->dispatch = h->failed = h->loaded = h->place = h->raise = h->raised = h->refuse = LUA_NOREF;
    h->report = LUA_NOREF;
    h->settle = h->files = h->response_meta = LUA_NOREF;
    for (int i = 0; i < HTTP_METHODS; i++)
        h->plain[i] = (struct plain_routes){LUA_NOREF, LUA_NOREF};
    h->request_meta = h->headers_meta = LUA_NOREF;
    fields_init(&h->fields);
    buf_init(&h->text, WORK_TEXT_MAX);
    buf_init(&h->reported, WORK_REPORT_MAX);
    buf_init(&h->own_hosts, WORK_HOSTS_MAX);
    if (!shortcuts_init(&h->shortcuts) || file_root_open(vm_options(vm)->site, &h->site) < 0) {
        handler_free(h);
        return NULL;
    }
    file_root_walk(h->site); // a link beneath it must not lead app.file into scripts/
    lua_State *L = vm_state(vm);
    lua_pushcfunction(L, register_all);
    lua_pushlightuserdata(L, h);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        log_write(LOG_ERROR, "the library cannot be loaded: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
        handler_free(h);
        return NULL;
    }
    return h;
}

void handler_free(struct handler *h)
{
    for (uint32_t i = 0; i < h->work_count; i++)
        free_work(h->works[i]);
    free(h->works);
    if (h->site)
        file_root_close(h->site);
    handler_drop_routes(h);
    shortcuts_fini(&h->shortcuts);
    fields_fini(&h->fields);
    buf_fini(&h->text);
    buf_fini(&h->reported);
    buf_fini(&h->own_hosts);
    free(h);
}

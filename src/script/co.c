// Coroutines of handlers: see the header.
//
// A co goes through these states; what holds in each is beside it.
//
// drawing:
//   co_new ──► NEW ──start──► RUNNING ──co_wait──► WAITING    wait is set, the mark on top of L
//               │              ▲     │              │    │
//          start_later     run │     │ ends         │    │ co_cancel (w->cancel was called)
//               ▼              │     ▼      co_wake │    │
//            WOKEN ────────────┘   DEAD             └──► WOKEN    `later` is queued, wait is NULL
//
// An idle thread of the pool has one value on its stack, the mark, at the bottom: an author who
// kept such a thread (from coroutine.running) finds a dead coroutine. Idle threads need no care for
// the size of their stacks: the collector shrinks those.
#include "script/vm_inside.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

enum { POOL_MAX = 256, REASON_MAX = 96 };

enum state { NEW, RUNNING, WAITING, WOKEN, DEAD };
// A cancel is raised once: in the wait that it ended, or at the next one.
enum cancel { NOT_CANCELLED, RAISE_AT_NEXT, RAISE_AT_THIS, WAS_CANCELLED };

struct co {
    struct deferred later;
    struct vm *vm;
    lua_State *L;
    int ref; // keeps L in the registry
    enum state state;
    enum cancel cancel;
    struct co *next, **link; // in vm->live, or (next alone) in vm->pool
    struct co_wait *wait;
    size_t *meter;
    uint64_t serial;
    int nargs;
    co_end_fn *on_end;
    void *arg;
    co_say_fn *say;
    struct str id; // see co_set_id
    struct co_ending *endings;
    bool cut;
    char reason[REASON_MAX];
};

const char co_mark = 'w';
static const char foreign_yield = 'y'; // key of the message in the registry

static void push_mark(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&co_mark);
}

// The pool

// Protected: makes the thread of a co, with its mark and its anchor.
static int make_thread(lua_State *L)
{
    struct co *co = lua_touserdata(L, 1);
    lua_pushliteral(L, "attempt to yield from outside a coroutine");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &foreign_yield);
    co->L = lua_newthread(L);
    co->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    push_mark(co->L);
    return 0;
}

static struct co *make(struct vm *vm)
{
    struct co *co = calloc(1, sizeof *co);
    if (!co)
        return NULL;
    co->vm = vm;
    if (!lua_checkstack(vm->L, 2))
        goto fail;
    lua_pushcfunction(vm->L, make_thread);
    lua_pushlightuserdata(vm->L, co);
    if (lua_pcall(vm->L, 1, 0, 0) != LUA_OK) {
        lua_pop(vm->L, 1);
        goto fail;
    }
    return co;
fail:
    free(co);
    return NULL;
}

static struct co *take(struct vm *vm)
{
    struct co *co = vm->pool;
    if (!co)
        return make(vm);
    vm->pool = co->next;
    vm->pooled--;
    *co = (struct co){.vm = vm, .L = co->L, .ref = co->ref};
    return co;
}

static void scrap(struct co *co)
{
    luaL_unref(co->vm->L, LUA_REGISTRYINDEX, co->ref);
    free(co);
}

static void unlink_live(struct co *co)
{
    *co->link = co->next;
    if (co->next)
        co->next->link = co->link;
    co->vm->alive--;
}

static void run_endings(struct co *co)
{
    while (co->endings) {
        struct co_ending *e = co->endings;
        co_not_at_end(e);
        e->fn(e);
    }
}

// Its thread is intact: back to the pool, if there is room.
static void give_back(struct co *co)
{
    struct vm *vm = co->vm;
    co->state = DEAD;
    unlink_live(co);
    lua_settop(co->L, 1);
    run_endings(co);
    if (vm->pooled == POOL_MAX) {
        scrap(co);
        return;
    }
    co->next = vm->pool;
    vm->pool = co;
    vm->pooled++;
}

// Its thread raised: close what is open there. It never runs again.
static void bury(struct co *co)
{
    co->state = DEAD;
    co_close_thread(co->vm, co->L, "the __close of a handler that has failed");
    unlink_live(co);
    run_endings(co);
}

// Running

static void run_later(struct deferred *d);

struct co *co_new(struct vm *vm)
{
    struct co *co = vm->closing ? NULL : take(vm);
    if (!co)
        return NULL;
    co->later.fn = run_later;
    co->serial = ++vm->serials;
    co->next = vm->live;
    co->link = &vm->live;
    if (co->next)
        co->next->link = &co->next;
    vm->live = co;
    vm->alive++;
    return co;
}

lua_State *co_state(struct co *co)
{
    return co->L;
}

void co_drop(struct co *co)
{
    assert(co->state == NEW);
    give_back(co);
}

static void end(struct co *co, int status, int n)
{
    enum co_end how = CO_RETURNED;
    vm_rest_lose(co->vm, co->serial);
    if (status == LUA_OK) {
        n--; // the mark at the bottom is no result
    } else {
        how = CO_RAISED;
        n = 1;
    }
    if (status == LUA_YIELD) // a C library's own yield, past our coroutine.yield
        lua_rawgetp(co->L, LUA_REGISTRYINDEX, &foreign_yield);
    co->on_end(co, how, co->L, n, co->arg);
    if (how == CO_RETURNED) {
        give_back(co);
        return;
    }
    bury(co);
    scrap(co);
}

static void run(struct co *co, int nargs)
{
    struct vm *vm = co->vm;
    struct co_link link = {.L = co->L, .co = co};
    lua_State *from = vm->running ? vm->running->L : vm->L;
    size_t *meter = vm->meter;
    co->state = RUNNING;
    vm_enter(vm);
    link_push(vm, &link);
    vm->meter = co->meter;
    int n, status = lua_resume(co->L, from, nargs, &n);
    vm->meter = meter;
    link_pop(vm, &link);
    vm->refusals = 0;
    if (status != LUA_YIELD || co->state != WAITING)
        end(co, status, n);
    vm_leave(vm);
    if (!vm->running)
        vm_rest_soon(vm);
}

static void run_later(struct deferred *d)
{
    struct co *co = (struct co *)d; // its first member
    run(co, co->nargs);
}

// The meter of the running co is its own; only one that was set beside it is passed on.
static void prepare(struct co *co, int nargs, co_end_fn *on_end, void *arg)
{
    struct vm *vm = co->vm;
    assert(co->state == NEW && lua_gettop(co->L) == nargs + 2);
    if (vm->meter != co_meter(vm))
        co->meter = vm->meter;
    co->on_end = on_end;
    co->arg = arg;
}

void co_start(struct co *co, int nargs, co_end_fn *on_end, void *arg)
{
    prepare(co, nargs, on_end, arg);
    run(co, nargs);
}

void co_start_later(struct co *co, int nargs, co_end_fn *on_end, void *arg)
{
    prepare(co, nargs, on_end, arg);
    co->nargs = nargs;
    co->state = WOKEN;
    loop_defer(co->vm->options.loop, &co->later);
}

void co_at_end(struct co *co, struct co_ending *e)
{
    e->next = co->endings;
    e->link = &co->endings;
    if (e->next)
        e->next->link = &e->next;
    co->endings = e;
}

void co_not_at_end(struct co_ending *e)
{
    if (!e->link)
        return;
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    e->link = NULL;
}

struct co *co_running(struct vm *vm)
{
    for (struct co_link *l = vm->running; l; l = l->outer)
        if (l->co)
            return l->co;
    return NULL;
}

size_t *co_meter(struct vm *vm)
{
    struct co *co = co_running(vm);
    return co ? co->meter : NULL;
}

uint64_t co_serial(struct vm *vm)
{
    struct co *co = co_running(vm);
    return co ? co->serial : 0;
}

// Waiting

bool co_can_wait(lua_State *L)
{
    struct co_link *l = vm_of(L)->running;
    if (!l || l->L != L)
        return false;
    while (!l->closing && lua_isyieldable(l->L)) {
        if (l->co)
            return true;
        l = l->outer;
        if (!l)
            return false;
    }
    return false;
}

static int raise_reason(lua_State *L, struct co *co)
{
    co->cancel = WAS_CANCELLED;
    lua_pushstring(L, co->reason);
    return lua_error(L);
}

static int after_wait(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    struct co *co = co_running(vm_of(L));
    lua_pop(L, 1); // the mark
    if (co->cancel == RAISE_AT_THIS)
        return raise_reason(L, co);
    struct co_wait *w = (struct co_wait *)ctx;
    return w->finish(L, w);
}

int co_pass(lua_State *L, lua_KContext ctx, lua_KFunction k)
{
    push_mark(L);
    return lua_yieldk(L, 1, ctx, k);
}

int co_wait(lua_State *L, struct co_wait *w)
{
    struct co *co = co_running(vm_of(L));
    w->co = co;
    if (!co_can_wait(L) || !lua_checkstack(L, 1)) {
        w->cancel(w);
        co_push_obstacle(L);
        return lua_error(L);
    }
    if (co->cancel == RAISE_AT_NEXT) {
        w->cancel(w);
        return raise_reason(L, co);
    }
    co->wait = w;
    co->state = WAITING;
    return co_pass(L, (lua_KContext)w, after_wait);
}

static void resume_later(struct co *co)
{
    co->wait = NULL;
    co->nargs = 0;
    co->state = WOKEN;
    loop_defer(co->vm->options.loop, &co->later);
}

void co_wake(struct co_wait *w)
{
    struct co *co = w->co;
    assert(co && co->state == WAITING && co->wait == w);
    if (co->vm->depth) {
        resume_later(co);
        return;
    }
    co->wait = NULL;
    run(co, 0);
}

void co_cancel(struct co *co, const char *reason)
{
    if (co->cancel != NOT_CANCELLED || co->state == DEAD)
        return;
    snprintf(co->reason, sizeof co->reason, "%s", reason);
    if (co->state != WAITING) {
        co->cancel = RAISE_AT_NEXT;
        return;
    }
    struct co_wait *w = co->wait;
    co->cancel = RAISE_AT_THIS;
    resume_later(co);
    w->cancel(w);
}

void co_kill(struct co *co)
{
    struct vm *vm = co->vm;
    struct co_wait *w = co->wait;
    assert(!vm->depth && (co->state == WAITING || co->state == WOKEN));
    loop_undefer(vm->options.loop, &co->later);
    co->wait = NULL;
    co->cancel = WAS_CANCELLED;
    vm_enter(vm);
    if (w)
        w->cancel(w);
    co->on_end(co, CO_KILLED, co->L, 0, co->arg);
    bury(co);
    scrap(co);
    vm_leave(vm);
}

bool co_thread_waits(lua_State *L)
{
    return lua_status(L) == LUA_YIELD && lua_gettop(L) > 0 && co_is_mark(L, -1);
}

bool co_thread_idle(lua_State *L)
{
    lua_Debug ar;
    return lua_status(L) == LUA_OK && !lua_getstack(L, 0, &ar) && lua_gettop(L) > 0 &&
           co_is_mark(L, 1);
}

bool co_thread_is_base(lua_State *L)
{
    for (struct co_link *l = vm_of(L)->running; l; l = l->outer)
        if (l->L == L)
            return l->co != NULL;
    return false;
}

int co_close_thread(struct vm *vm, lua_State *L, const char *closing)
{
    struct co_link link = {.L = L, .closing = closing};
    vm_enter(vm);
    link_push(vm, &link);
    int status = lua_resetthread(L);
    link_pop(vm, &link);
    vm_leave(vm);
    return status;
}

bool co_was_cut(const struct co *co)
{
    return co->cut;
}

bool co_mark_cut(struct vm *vm)
{
    struct co *innermost = co_running(vm);
    bool before = innermost && innermost->cut;
    for (struct co_link *l = vm->running; l; l = l->outer)
        if (l->co)
            l->co->cut = true;
    return before;
}

void co_set_say(struct co *co, co_say_fn *fn)
{
    co->say = fn;
}

void co_set_id(struct co *co, struct str id)
{
    co->id = id;
}

struct str co_running_id(struct vm *vm)
{
    const struct co *co = co_running(vm);
    return co ? co->id : STR("");
}

void co_say(const struct vm *vm, struct watchdog_words *words)
{
    const struct co_link *l = vm->running;
    while (l && !l->co)
        l = l->outer;
    if (l && l->co->say)
        l->co->say(l->co->arg, words);
}

unsigned co_alive(const struct vm *vm)
{
    return vm->alive;
}

unsigned co_pooled(const struct vm *vm)
{
    return vm->pooled;
}

void co_passes(struct vm *vm, lua_CFunction fn)
{
    assert(vm->passings < PASSING_MAX);
    vm->passing[vm->passings++] = fn;
}

// What runs while a dying co is closed may still hold another that is dead, so that the structs
// stay, in the pool, until the Lua state is gone.
void co_drop_all(struct vm *vm)
{
    assert(!vm->depth);
    vm->closing = true;
    while (vm->live) {
        struct co *co = vm->live;
        struct co_wait *w = co->wait;
        loop_undefer(vm->options.loop, &co->later);
        co->wait = NULL;
        co->cancel = WAS_CANCELLED;
        if (w)
            w->cancel(w);
        bury(co);
        co->next = vm->pool;
        vm->pool = co;
    }
}

void co_free_all(struct vm *vm)
{
    while (vm->pool) {
        struct co *co = vm->pool;
        vm->pool = co->next;
        free(co);
    }
}

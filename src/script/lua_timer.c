// Background work: see the header.
#include "script/lua_timer.h"

#include "base/daily.h"
#include "base/log.h"
#include "net/timeout.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WHAT_MAX = 160,
    LOOK_MS = 60 * 1000, // between two looks at the clock
    DAY = 24 * 60 * 60,
};

static const char ENDED[] = "the background work of these scripts has ended";

enum kind { EVERY, DAILY, START };

struct chore {
    struct timers *list;
    struct chore *next;
    enum kind kind;
    bool own;              // each worker's
    bool at_once;          // of EVERY: the first run is at the beginning
    bool begun;            // timers_begin has included it
    bool cancelled;        // its run is to end
    uint32_t bit;          // of a START that is the server's, in timers_marks.started
    unsigned hour, minute; // of DAILY
    uint64_t interval, at; // of EVERY: milliseconds; when it is due, or was due last, in loop_now()
    struct timeout due;    // of EVERY
    int fn;                // registry reference
    struct co *co;         // the run under way; NULL: none
    char what[WHAT_MAX];   // "app.every at scripts/main.lua:6"
};

struct timers {
    struct vm *vm;
    struct loop *loop;
    struct chore *first, **last;
    unsigned count, starts, running;
    bool has_daily, ended, cancelled;
    uint32_t patience_ms;
    enum timers_share share;
    struct timers_marks *marks;
    uint32_t number;
    struct timeout look;   // at the clock, for those of a time of day
    struct timeout ending; // of the patience with what still runs
};

// A run -----------------------------------------------------------------------------------------------

static bool is_end(lua_State *L, const struct chore *c, int idx)
{
    return c->cancelled && str_eq(luax_str(L, idx), STR(ENDED));
}

// Message handler; the upvalue is the chore.
static int add_traceback(lua_State *L)
{
    if (!is_end(L, lua_touserdata(L, lua_upvalueindex(1)), 1))
        vm_push_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

enum { CHORE = 1, HANDLER }; // the stack of a run

static int run_over(lua_State *L, int status, lua_KContext ctx)
{
    const struct chore *c = lua_touserdata(L, CHORE);
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD || is_end(L, c, -1))
        return 0;
    const char *text = luaL_tolstring(L, -1, NULL);
    log_write(LOG_ERROR, "%s failed: %s", c->what, text);
    cut_logged(vm_of(L), text);
    return 0;
}

static int run_main(lua_State *L)
{
    struct chore *c = lua_touserdata(L, CHORE);
    if (c->list->ended) // before it could begin
        return 0;
    lua_pushlightuserdata(L, c);
    lua_pushcclosure(L, add_traceback, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->fn);
    int status = lua_pcallk(L, 0, 0, HANDLER, 0, run_over);
    return run_over(L, status, 0);
}

static void say(const void *arg, struct watchdog_words *words)
{
    watchdog_say(words, str_z(((const struct chore *)arg)->what));
}

// The next time of its rate that is still to come.
static void set_due(struct chore *c)
{
    struct loop *l = c->list->loop;
    uint64_t now = loop_now(l) + loop_behind(l);
    if (c->at <= now)
        c->at += ((now - c->at) / c->interval + 1) * c->interval;
    if (!timeout_set(l, &c->due, c->at - loop_now(l)))
        log_write(LOG_ERROR, "%s does not run any more: not enough memory", c->what);
}

static void note_started(const struct chore *c)
{
    struct timers_marks *m = c->list->marks;
    if (!c->own && m->number == c->list->number)
        m->started |= UINT64_C(1) << c->bit;
}

static void on_run_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct chore *c = arg;
    (void)co, (void)L, (void)n;
    c->co = NULL;
    c->list->running--;
    if (how == CO_RAISED)
        log_write(LOG_ERROR, "%s failed: not enough memory", c->what);
    if (c->list->ended)
        return;
    if (c->kind == EVERY)
        set_due(c);
    else if (c->kind == START)
        note_started(c);
}

static void run(struct chore *c)
{
    struct co *co = co_new(c->list->vm);
    if (!co) {
        log_write(LOG_ERROR, "%s did not run: not enough memory", c->what);
        if (c->kind == EVERY)
            set_due(c);
        return;
    }
    c->co = co;
    c->list->running++;
    co_set_say(co, say);
    lua_pushcfunction(co_state(co), run_main);
    lua_pushlightuserdata(co_state(co), c);
    co_start_later(co, 1, on_run_end, c);
}

static void on_due(struct timeout *t)
{
    run((struct chore *)((char *)t - offsetof(struct chore, due)));
}

// Times of day ----------------------------------------------------------------------------------------

// From when on times count that were not done yet: after a clock that was set, or a pause, neither days
// of them come at once nor is a day without.
static int64_t undone_since(int64_t looked, int64_t now)
{
    if (looked == 0 || looked - now > DAY)
        return now;
    return looked < now - TIMERS_LATE ? now - TIMERS_LATE : looked;
}

// Runs it if it is due, and says when it is the next time.
static int64_t look_at(struct chore *c, int64_t since, int64_t now)
{
    int64_t at = daily_next(c->hour, c->minute, since);
    if (at > now)
        return at;
    if (c->co)
        log_write(LOG_WARN, "%s is left out today: the run before it is not over", c->what);
    else
        run(c);
    return daily_next(c->hour, c->minute, now);
}

static void on_look(struct timeout *t)
{
    struct timers *ts = (struct timers *)((char *)t - offsetof(struct timers, look));
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME_COARSE, &wall); // which os.time and os.date read, too
    int64_t now = wall.tv_sec, next = INT64_MAX;
    int64_t since = undone_since(ts->marks->looked, now);
    for (struct chore *c = ts->first; c; c = c->next) {
        int64_t at = c->kind == DAILY ? look_at(c, since, now) : INT64_MAX;
        next = at < next ? at : next;
    }
    ts->marks->looked = since > now ? since : now;
    int64_t left = next - now > LOOK_MS / 1000 ? LOOK_MS : (next - now) * 1000;
    left -= wall.tv_nsec / 1000000;
    timeout_set(ts->loop, t, (uint64_t)(left > 1 ? left : 1));
}

// Beginning and end -------------------------------------------------------------------------------------

static bool was_started(const struct chore *c)
{
    return !c->own && c->list->marks->started & UINT64_C(1) << c->bit;
}

static void begin(struct chore *c)
{
    c->begun = true;
    switch (c->kind) {
    case START:
        if (!was_started(c))
            run(c);
        break;
    case EVERY:
        c->at = loop_now(c->list->loop);
        if (c->at_once)
            run(c);
        else
            set_due(c);
        break;
    case DAILY:
        break; // by the look at the clock
    }
}

// The server's work is this worker's from now on.
static void take_marks(const struct timers *ts)
{
    struct timers_marks *m = ts->marks;
    if (m->number != ts->number) {
        m->started = 0;
        m->number = ts->number;
    }
    if (!ts->has_daily) // what comes when there is one again does not date from now
        m->looked = 0;
}

void timers_begin(struct vm *vm, enum timers_share share, struct timers_marks *marks,
                  uint32_t number)
{
    struct timers *ts = vm->timers;
    if (!ts || ts->ended || share <= ts->share)
        return;
    ts->share = share;
    ts->marks = marks;
    ts->number = number;
    if (share == TIMERS_ALL)
        take_marks(ts);
    for (struct chore *c = ts->first; c; c = c->next)
        if (!c->begun && (c->own || share == TIMERS_ALL))
            begin(c);
    if (ts->has_daily && share == TIMERS_ALL)
        on_look(&ts->look);
}

// What runs had their time, and then what was cancelled had its.
static void on_ending(struct timeout *t)
{
    struct timers *ts = (struct timers *)((char *)t - offsetof(struct timers, ending));
    for (struct chore *c = ts->first; c; c = c->next) {
        if (!c->co)
            continue;
        if (ts->cancelled)
            log_write(LOG_WARN, "%s went on, and is killed", c->what);
        else
            log_write(LOG_WARN, "%s still ran %g s after its scripts went out of use, and is ended",
                      c->what, ts->patience_ms / 1000.0);
        c->cancelled = true;
        if (ts->cancelled)
            co_kill(c->co);
        else
            co_cancel(c->co, ENDED);
    }
    if (!ts->cancelled)
        timeout_set(ts->loop, t, TIMERS_GRACE);
    ts->cancelled = true;
}

void timers_end(struct vm *vm, uint32_t patience_ms)
{
    struct timers *ts = vm->timers;
    if (!ts || ts->ended)
        return;
    ts->ended = true;
    ts->patience_ms = patience_ms;
    timeout_remove(ts->loop, &ts->look);
    for (struct chore *c = ts->first; c; c = c->next) {
        timeout_remove(ts->loop, &c->due);
        luaL_unref(vm->L, LUA_REGISTRYINDEX, c->fn);
        c->fn = LUA_NOREF;
    }
    if (ts->running && !timeout_set(ts->loop, &ts->ending, patience_ms))
        on_ending(&ts->ending);
}

unsigned timers_running(const struct vm *vm)
{
    return vm->timers ? vm->timers->running : 0;
}

void timers_each_running(const struct vm *vm, void (*fn)(const char *what))
{
    for (const struct chore *c = vm->timers ? vm->timers->first : NULL; c; c = c->next)
        if (c->co)
            fn(c->what);
}

void timers_free(struct vm *vm)
{
    struct timers *ts = vm->timers;
    if (!ts)
        return;
    vm->timers = NULL;
    timeout_remove(ts->loop, &ts->look);
    timeout_remove(ts->loop, &ts->ending);
    while (ts->first) {
        struct chore *c = ts->first;
        ts->first = c->next;
        timeout_remove(ts->loop, &c->due);
        free(c);
    }
    free(ts);
}

// Declaring ---------------------------------------------------------------------------------------------

enum { WHAT = 1, FUNCTION, FIRST_OPTION }; // the arguments of all three

static struct timers *timers_of(lua_State *L)
{
    struct timers *ts = vm_of(L)->timers;
    if (!ts)
        luaL_error(L, "the scripts have ended");
    return ts;
}

static int refuse(lua_State *L, const char *format, int limit)
{
    luaL_pushfail(L);
    lua_pushfstring(L, format, limit);
    return 2;
}

// Adds one; 1 value, or 2 where there are too many. c is good in the former case.
static int add(lua_State *L, enum kind kind, bool own, struct chore **added)
{
    struct timers *ts = timers_of(L);
    const char *what = luaL_checkstring(L, WHAT);
    luaL_checktype(L, FUNCTION, LUA_TFUNCTION);
    if (ts->count == TIMERS_MAX)
        return refuse(L, "there are %d pieces of background work already", TIMERS_MAX);
    if (kind == START && !own && ts->starts == TIMERS_STARTS)
        return refuse(L, "there are %d of them already", TIMERS_STARTS);
    lua_pushvalue(L, FUNCTION);
    int fn = luaL_ref(L, LUA_REGISTRYINDEX);
    struct chore *c = calloc(1, sizeof *c);
    if (!c) {
        luaL_unref(L, LUA_REGISTRYINDEX, fn);
        return luaL_error(L, "not enough memory");
    }
    *c = (struct chore){.list = ts, .kind = kind, .own = own, .fn = fn};
    snprintf(c->what, sizeof c->what, "%s", what);
    timeout_init(&c->due, on_due);
    if (kind == START && !own)
        c->bit = ts->starts++;
    *ts->last = c;
    ts->last = &c->next;
    ts->count++;
    *added = c;
    lua_pushboolean(L, true);
    return 1;
}

static int timer_every(lua_State *L)
{
    struct chore *c;
    double seconds = luax_check_duration(L, FIRST_OPTION);
    luaL_argcheck(L, seconds * 1000 >= TIMERS_FINEST, FIRST_OPTION, "a millisecond at least");
    int n = add(L, EVERY, lua_toboolean(L, FIRST_OPTION + 1), &c);
    if (n == 1) {
        c->interval = (uint64_t)ceil(seconds * 1000);
        c->at_once = lua_toboolean(L, FIRST_OPTION + 2);
    }
    return n;
}

static int timer_daily(lua_State *L)
{
    struct chore *c;
    unsigned hour, minute;
    if (!daily_parse(luax_str(L, FIRST_OPTION), &hour, &minute)) {
        luaL_pushfail(L);
        lua_pushliteral(L, "no time of day");
        return 2;
    }
    int n = add(L, DAILY, false, &c);
    if (n == 1) {
        c->hour = hour;
        c->minute = minute;
        c->list->has_daily = true;
    }
    return n;
}

static int timer_start(lua_State *L)
{
    struct chore *c;
    return add(L, START, lua_toboolean(L, FIRST_OPTION), &c);
}

int luaopen_lunette_timer(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"every", timer_every},
        {"daily", timer_daily},
        {"start", timer_start},
        {NULL, NULL},
    };
    struct vm *vm = vm_of(L);
    luaL_newlib(L, functions);
    if (vm->timers) // required again
        return 1;
    struct timers *ts = vm->timers = calloc(1, sizeof *ts);
    if (!ts)
        return luaL_error(L, "not enough memory");
    ts->vm = vm;
    ts->loop = vm->options.loop;
    ts->last = &ts->first;
    timeout_init(&ts->look, on_look);
    timeout_init(&ts->ending, on_ending);
    return 1;
}

// The generations of a worker: see the header. Nothing is freed but by the sweep, a turn of its own:
// whoever calls here may be within a function of the one that is to go.
#include "app/generations.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "content/filecache.h"
#include "script/co.h"
#include "script/lua_timer.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

enum {
    SWEEP_MS = 100,    // between two looks at those that are to go
    TURN_MS = 5,       // that answers of one that makes room get at least
    CROWDED_MS = 2000, // what the oldest gets before it makes room
    CROWD_MS = 20,     // between two looks whether it has
    TASKS_MS = 5000,   // what tasks get when the last request of their generation is over
};

static void drop(struct generations *g, struct generation *one)
{
    one->older = g->dropped;
    g->dropped = one;
    timeout_set(g->host.loop, &g->sweep, 0);
}

// Answers that were given when it was dropped are handed over in a turn of the loop; nothing is waited
// for after that.
static bool waits_a_turn(struct generation *one)
{
    bool busy = handler_has_requests(one->handler);
    if (busy && one->waited)
        handler_break_off(one->handler);
    busy = busy && !one->waited;
    one->waited = true;
    return busy;
}

// False: some wait for another turn.
static bool free_dropped(struct generations *g)
{
    struct generation **at = &g->dropped;
    while (*at) {
        struct generation *one = *at;
        if (waits_a_turn(one)) {
            at = &one->older;
            continue;
        }
        *at = one->older;
        generation_free(one);
    }
    return !g->dropped;
}

static bool may_go(struct generation *one, uint64_t now)
{
    if (!generation_is_idle(one)) {
        one->idle_since = 0;
        return false;
    }
    if (one->idle_since == 0)
        one->idle_since = now;
    if (generation_is_over(one))
        return true;
    return now - one->idle_since >= TASKS_MS && timers_running(one->vm) == 0; // see background.h
}

static void on_sweep(struct timeout *t)
{
    struct generations *g = (struct generations *)((char *)t - offsetof(struct generations, sweep));
    struct generation **at = g->current ? &g->current->older : NULL;
    bool gave = g->dropped != NULL;
    bool all = free_dropped(g);
    while (at && *at) {
        struct generation *one = *at;
        if (!may_go(one, loop_now(g->host.loop))) {
            at = &one->older;
            continue;
        }
        *at = one->older;
        generation_free(one);
        gave = true;
    }
    if (gave)
        malloc_trim(0);
    if (!all)
        timeout_set(g->host.loop, t, TURN_MS);
    else if (g->current && g->current->older)
        timeout_set(g->host.loop, t, SWEEP_MS);
}

// Whether next would break off answers if it were committed now.
static bool is_crowded(const struct generations *g)
{
    unsigned count = 1;
    for (const struct generation *one = g->current; one; one = one->older)
        if (++count > g->next->config->limits.generations && !generation_is_idle(one))
            return true;
    return false;
}

static void say_loaded(struct generations *g)
{
    bool patient = loop_now(g->host.loop) - g->crowded_since < CROWDED_MS;
    if (is_crowded(g) && patient && timeout_set(g->host.loop, &g->crowd, CROWD_MS))
        return;
    g->loaded(g->arg, g->next->number, NULL);
}

static void on_crowd(struct timeout *t)
{
    struct generations *g = (struct generations *)((char *)t - offsetof(struct generations, crowd));
    if (g->next)
        say_loaded(g);
}

static void drop_next(struct generations *g)
{
    timeout_clear(&g->crowd);
    drop(g, g->next);
    g->next = NULL;
}

void generations_init(struct generations *g)
{
    timeout_init(&g->sweep, on_sweep);
    timeout_init(&g->crowd, on_crowd);
}

void generations_fini(struct generations *g)
{
    if (g->host.loop)
        timeout_remove(g->host.loop, &g->sweep);
    if (g->next)
        drop_next(g);
    if (g->host.loop)
        timeout_remove(g->host.loop, &g->crowd);
    while (g->current) {
        struct generation *one = g->current;
        g->current = one->older;
        generation_free(one);
    }
    while (!free_dropped(g)) // no server is left that could hand anything over
        continue;
    if (g->host.loop)
        timeout_remove(g->host.loop, &g->sweep);
    g->next = NULL;
}

// Making the next one ------------------------------------------------------------------------------

// One that was dropped meanwhile may come to its end before the sweep: nobody waits for that.
static void on_loaded(void *arg, const char *error)
{
    struct generation *one = arg;
    struct generations *g = one->list;
    unsigned number = one->number;
    if (one != g->next)
        return;
    if (error) {
        g->report = handler_report(one->handler);
        drop_next(g);
        g->loaded(g->arg, number, error);
        g->report = str_of(NULL, 0);
        return;
    }
    g->crowded_since = loop_now(g->host.loop);
    say_loaded(g);
}

static struct generation *renew(const struct generations *g, int scripts, int settings,
                                char why[static GENERATION_WHY_MAX])
{
    struct buf bytes;
    struct generation *one = NULL;
    buf_init(&bytes, CONFIG_SETTINGS_MAX);
    int rc = io_read_file(settings, &bytes);
    if (rc < 0)
        snprintf(why, GENERATION_WHY_MAX, "the settings of config.lua: %s", strerror(-rc));
    else
        one = generation_renew(&g->host, g->start, buf_str(&bytes), scripts, why);
    buf_fini(&bytes);
    return one;
}

void generations_load(struct generations *g, unsigned number, int scripts, int settings)
{
    char why[GENERATION_WHY_MAX] = "";
    if (g->next)
        drop_next(g);
    g->next = settings < 0 ? generation_new(&g->host, g->start, scripts, why)
                           : renew(g, scripts, settings, why);
    if (!g->next) {
        g->loaded(g->arg, number, why);
        return;
    }
    g->next->number = g->next->mark.scripts = number;
    g->next->list = g;
    handler_load(g->next->handler, on_loaded, g->next);
}

bool generations_commit(struct generations *g, unsigned number)
{
    struct generation *one = g->next;
    if (!one || one->number != number)
        return false;
    g->next = NULL;
    one->older = g->current;
    g->current = one;
    unsigned count = 1;
    struct generation **at = &one->older;
    for (; *at && ++count <= one->config->limits.generations; at = &(*at)->older)
        continue;
    while (*at) { // too old: their streams end here
        struct generation *old = *at;
        *at = old->older;
        if (!generation_is_idle(old))
            log_write(LOG_WARN,
                      "answers that reload %u began are broken off, and requests without one get a "
                      "503: limits.generations is %u",
                      old->number, one->config->limits.generations);
        handler_end_all(old->handler);
        drop(g, old);
    }
    if (!g->sweep.armed) // who reloads ever faster must not put it off
        timeout_set(g->host.loop, &g->sweep, SWEEP_MS);
    return true;
}

void generations_abort(struct generations *g, unsigned number)
{
    if (!g->next || g->next->number != number)
        return;
    drop_next(g);
}

// Of all of them -----------------------------------------------------------------------------------

struct str generations_running_id(void *arg)
{
    struct generations *g = arg;
    struct str id = STR("");
    for (struct generation *one = g->current; one && id.n == 0; one = one->older)
        id = handler_running_id(one->handler);
    return id;
}

uint64_t generations_memory(const struct generations *g)
{
    uint64_t bytes = g->next ? vm_memory(g->next->vm) : 0;
    for (const struct generation *one = g->current; one; one = one->older)
        bytes += vm_memory(one->vm);
    return bytes;
}

uint64_t generations_coroutines(const struct generations *g)
{
    uint64_t n = g->next ? co_alive(g->next->vm) : 0;
    for (const struct generation *one = g->current; one; one = one->older)
        n += co_alive(one->vm);
    return n;
}

// The event loop: see the header. What needs care is that any call may remove any watch: the events
// of the turn under way are kept in the loop, and loop_del strikes the watch out of those not yet
// called.
//
// Deferred calls are two lists: `queue` collects; at the end of the turn it becomes `running`, so
// that what a deferred call defers waits for the next turn and no turn is endless.
//
// Watches that are slow (loop_be_fair) are called in a second pass over the events. Those that it
// leaves are not remembered: epoll reports them again in the next turn, which does not wait. What a
// call took is measured only for them, and for all in the turns after one that took long for what
// it did: the clock costs 2 % of a small answer.
#include "net/loop.h"
#include "net/loop_inside.h"

#include "base/wall.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    LONG_US = 20,        // for each call of a turn, on average: some may be slow
    MEASURED_TURNS = 64, // behind one that was as long
};

// watch.pace
enum {
    PACE_FAIR = 1, // loop_be_fair
    PACE_SLOW = 2, // the last call that was measured took long
};

struct deferred_list {
    struct deferred *first, **end; // end: where the next one is linked
};

struct loop {
    int epoll;
    bool stopping;
    uint64_t now;
    int64_t wall;
    uint64_t turns;
    struct timeouts timeouts;
    struct deferred_list queue, running;
    void (*turn_end)(void *arg);
    void *turn_end_arg;
    int ready; // events[0 … ready) are of this turn; without a watch: called, or deleted
    struct watch *called; // while its call is measured; NULL: it was deleted
    unsigned measured;    // turns in which all calls still are
    unsigned char round;  // of the slow ones: who has its number was called in it
    struct epoll_event events[EVENTS_MAX];
};

static void list_init(struct deferred_list *list)
{
    *list = (struct deferred_list){.end = &list->first};
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        int error = errno;
        free(l);
        errno = error;
        return NULL;
    }
    list_init(&l->queue);
    list_init(&l->running);
    loop_update_time(l);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    timeouts_fini(&l->timeouts);
    close(l->epoll);
    free(l);
}

struct timeouts *loop_timeouts(struct loop *l)
{
    return &l->timeouts;
}

// Watches

int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn *fn)
{
    assert(fd >= 0 && fn);
    struct epoll_event ev = {.events = events, .data.ptr = w};
    *w = (struct watch){.fn = fn, .fd = -1, .events = events};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    w->fd = fd;
    return 0;
}

int loop_mod(struct loop *l, struct watch *w, uint32_t events)
{
    assert(w->fd >= 0);
    if (events == w->events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev) < 0)
        return -errno;
    w->events = events;
    return 0;
}

void loop_del(struct loop *l, struct watch *w)
{
    if (w->fd < 0)
        return;
    int rc = epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    assert(rc == 0); // a descriptor that was closed before its watch was deleted
    w->fd = -1;
    for (int i = 0; i < l->ready; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
    if (l->called == w)
        l->called = NULL;
}

void loop_be_fair(struct watch *w)
{
    w->pace |= PACE_FAIR;
}

static uint64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void call_measured(struct loop *l, struct watch *w, uint32_t events)
{
    uint64_t began = monotonic_us();
    l->called = w;
    w->fn(w, events);
    if (!l->called)
        return;
    l->called = NULL;
    bool slow = monotonic_us() - began > LOOP_SLOW_US;
    w->pace = (unsigned char)(slow ? w->pace | PACE_SLOW : w->pace & ~PACE_SLOW);
}

static void call_watch(struct loop *l, int i)
{
    struct epoll_event ev = l->events[i];
    struct watch *w = ev.data.ptr;
    l->events[i].data.ptr = NULL;
    // What loop_mod took out earlier in this turn is not wanted any more.
    uint32_t events = ev.events & (w->events | EPOLLERR | EPOLLHUP);
    if (!events)
        return;
    if (w->pace & PACE_FAIR && (l->measured || w->pace & PACE_SLOW))
        call_measured(l, w, events);
    else
        w->fn(w, events);
}

// How many were called. The slow ones are left.
static int call_quick(struct loop *l)
{
    int n = 0;
    for (int i = 0; i < l->ready; i++) {
        struct watch *w = l->events[i].data.ptr;
        if (!w || w->pace & PACE_SLOW) // deleted earlier in this turn, or for call_slow
            continue;
        call_watch(l, i);
        n++;
    }
    return n;
}

// The first that was not yet called in this round, or −1.
static int find_slow(const struct loop *l)
{
    for (int i = 0; i < l->ready; i++) {
        const struct watch *w = l->events[i].data.ptr;
        if (w && w->round != l->round)
            return i;
    }
    return -1;
}

// One of those that call_quick left; false: there is none.
static bool call_slow(struct loop *l)
{
    int i = find_slow(l);
    if (i < 0) {
        l->round++;
        i = find_slow(l);
    }
    if (i < 0)
        return false;
    ((struct watch *)l->events[i].data.ptr)->round = l->round;
    call_watch(l, i);
    return true;
}

// began: monotonic_us, when the turn did.
static void call_watches(struct loop *l, uint64_t began)
{
    int quick = call_quick(l);
    if (l->measured)
        l->measured--;
    if (quick == l->ready && quick <= 1) // nobody was left, and of one call alone nothing is judged
        return;
    uint64_t took = monotonic_us() - began;
    if (quick > 1 && took > (uint64_t)quick * LONG_US)
        l->measured = MEASURED_TURNS;
    uint64_t room = quick ? took / LOOP_SLOW_SHARE : LOOP_SLOW_TURN_US;
    bool some = quick < l->ready && call_slow(l);
    while (some && monotonic_us() - began - took < room)
        some = call_slow(l);
}

// Deferred calls

void loop_defer(struct loop *l, struct deferred *d)
{
    if (d->queued)
        return;
    d->queued = true;
    d->next = NULL;
    *l->queue.end = d;
    l->queue.end = &d->next;
}

static bool list_remove(struct deferred_list *list, struct deferred *d)
{
    for (struct deferred **at = &list->first; *at; at = &(*at)->next) {
        if (*at != d)
            continue;
        *at = d->next;
        if (!*at)
            list->end = at;
        return true;
    }
    return false;
}

void loop_undefer(struct loop *l, struct deferred *d)
{
    if (!d->queued)
        return;
    bool found = list_remove(&l->running, d) || list_remove(&l->queue, d);
    assert(found);
    d->queued = false;
}

static void run_deferred(struct loop *l)
{
    l->running.first = l->queue.first; // its end is of no use: nothing is added to it
    list_init(&l->queue);
    while (l->running.first) {
        struct deferred *d = l->running.first;
        l->running.first = d->next;
        d->queued = false;
        d->fn(d);
    }
}

void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->turn_end = fn;
    l->turn_end_arg = arg;
}

// Time

static uint64_t monotonic_ms(void)
{
    return monotonic_us() / 1000;
}

// Returns monotonic_us.
static uint64_t read_clocks(struct loop *l)
{
    uint64_t us = monotonic_us();
    l->wall = wall_seconds();
    l->now = us / 1000;
    return us;
}

void loop_update_time(struct loop *l)
{
    read_clocks(l);
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

uint64_t loop_behind(const struct loop *l)
{
    return monotonic_ms() + 1 - l->now;
}

int64_t loop_wall(const struct loop *l)
{
    return l->wall;
}

// Turns

// How long the next wait may be: milliseconds, -1 for ever. Looks at the clock, not at l->now, so
// that a long turn does not make its timeouts late by its own length.
static int longest_wait(const struct loop *l, int max_ms)
{
    if (l->queue.first)
        return 0;
    uint64_t key;
    if (!timeouts_next(&l->timeouts, &key))
        return max_ms;
    uint64_t now = monotonic_ms();
    uint64_t ms = key > now ? key - now : 0;
    if (max_ms >= 0 && ms > (uint64_t)max_ms)
        return max_ms;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_turn(struct loop *l, int max_ms)
{
    int n = epoll_wait(l->epoll, l->events, EVENTS_MAX, longest_wait(l, max_ms));
    if (n < 0 && errno != EINTR)
        return -errno;
    uint64_t began = read_clocks(l);
    l->turns++;
    l->ready = n < 0 ? 0 : n;
    call_watches(l, began);
    l->ready = 0;
    timeouts_run(&l->timeouts, l->now);
    run_deferred(l);
    if (l->turn_end)
        l->turn_end(l->turn_end_arg);
    return 0;
}

int loop_run(struct loop *l)
{
    int rc = 0;
    while (!l->stopping && rc == 0)
        rc = loop_turn(l, -1);
    l->stopping = false;
    return rc;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

uint64_t loop_turns(const struct loop *l)
{
    return l->turns;
}

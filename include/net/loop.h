// The event loop: epoll watches, timeouts, deferred calls. One for each worker, one thread.
//
// A turn: wait for events, call the watches that have some, run the timeouts that are due, run the
// deferred calls, call the end-of-turn function. Watches, timeouts and deferred calls are structs
// that their owner embeds; the loop never allocates for them and never frees them. A watch that is
// removed during a turn is not called any more in that turn, not even when its memory is at once
// used for another watch; so an owner may free itself from any call of the loop's.
#ifndef LUNETTE_NET_LOOP_H
#define LUNETTE_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct watch;
// events: the EPOLL* bits that are set (EPOLLERR and EPOLLHUP come unasked).
typedef void watch_fn(struct watch *w, uint32_t events);
struct watch {
    watch_fn *fn;
    int fd;                    // -1 while not in a loop
    uint32_t events;           // what is asked for
    unsigned char pace, round; // the loop's: see loop_be_fair
};

struct deferred;
typedef void deferred_fn(struct deferred *d);
struct deferred {
    deferred_fn *fn;
    struct deferred *next;
    bool queued;
};

// NULL with errno when the kernel gives no epoll instance or memory is out.
struct loop *loop_new(void);
// Watches, timeouts and deferred calls that are still in it are forgotten, not called. NULL is
// harmless.
void loop_free(struct loop *l);

// Watches fd, level-triggered, for events (EPOLLIN, EPOLLOUT, EPOLLEXCLUSIVE). 0 or −errno, with
// w->fd then -1. The descriptor stays the caller's, who closes it only after loop_del.
int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn *fn);
// Changes what is asked for; no system call when nothing changes. 0 or −errno. The kernel refuses
// it for EPOLLEXCLUSIVE.
int loop_mod(struct loop *l, struct watch *w, uint32_t events);
// Forgets the watch; its fn will not be called again. The descriptor is not closed. Harmless twice.
void loop_del(struct loop *l, struct watch *w);

// Lets others go before the watch where it is slow: from now on, while a call of it takes longer than
// LOOP_SLOW_US, the others of a turn are called first, and behind them slow ones; each of those in its
// turn of the round. One is called in any case, and as many more as there is time for: a part of what the
// others took (1 / LOOP_SLOW_SHARE), so that these do not starve them; LOOP_SLOW_TURN_US where there are
// no others. So who asks for little waits for a few slow calls rather than for all that came with it. Not
// for a watch of which only one call is made in a turn that it is ready in.
enum { LOOP_SLOW_US = 100, LOOP_SLOW_TURN_US = 1000, LOOP_SLOW_SHARE = 2 };
void loop_be_fair(struct watch *w);

// d->fn runs once at the end of this turn (when called outside a turn: of the next), in the order
// of the calls. Deferring what is queued already changes nothing. A call deferred by a deferred
// call runs in the next turn, which then does not wait.
void loop_defer(struct loop *l, struct deferred *d);
void loop_undefer(struct loop *l, struct deferred *d);

// fn(arg) at the end of every turn, before the loop waits again. One function; NULL for none.
void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg);

// Milliseconds of a monotonic clock, read once a turn.
uint64_t loop_now(const struct loop *l);
// By how much loop_now() is behind the clock at the moment, in milliseconds rounded up: what a timeout
// needs on top that must not come early, however long its turn has lasted.
uint64_t loop_behind(const struct loop *l);
// The wall clock of the turn, in seconds since 1970 (UTC).
int64_t loop_wall(const struct loop *l);
// Reads the clocks again, for code that runs outside a turn or long within one.
void loop_update_time(struct loop *l);

// Turns until loop_stop is called or the wait fails. 0 or −errno. The turn in which loop_stop is
// called is carried to its end; a stop asked for before loop_run lets it return at once.
int loop_run(struct loop *l);
// One turn that waits at most max_ms milliseconds (-1: for as long as it takes). For tests. 0 or
// −errno.
int loop_turn(struct loop *l, int max_ms);
void loop_stop(struct loop *l);
// Turns begun since loop_new: the name of a turn, for what is counted in each.
uint64_t loop_turns(const struct loop *l);

#endif

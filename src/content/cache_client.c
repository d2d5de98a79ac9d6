// The worker's waiters: see the header. One list in the order of their coming; that a fill is over
// is seen without a lock, so that a look at all of them is cheap.
#include "content/cache_client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct cache_client {
    struct watch wake; // first: the watch's function finds the client by it
    struct cache *cache;
    struct loop *loop;
    unsigned worker;
    struct cache_waiter *first, **end;
};

// The first waiter whose fill is over.
static struct cache_waiter *next_over(const struct cache_client *c)
{
    struct cache_waiter *w = c->first;
    while (w && !cache_fill_over(c->cache, &w->fill))
        w = w->next;
    return w;
}

static void take_out(struct cache_client *c, struct cache_waiter *w)
{
    if (w->next)
        w->next->link = w->link;
    else
        c->end = w->link;
    *w->link = w->next;
    w->link = NULL;
}

// Everybody who waited for was waits for now instead. Whether there is anybody.
static bool pass_on(struct cache_client *c, const struct cache_fill was,
                    const struct cache_fill *now)
{
    bool any = false;
    for (struct cache_waiter *w = c->first; w; w = w->next) {
        if (w->fill.serial != was.serial)
            continue;
        w->fill = *now;
        any = true;
    }
    return any;
}

// w's fill is over.
static void settle(struct cache_client *c, struct cache_waiter *w)
{
    struct cache_fill fill, was = w->fill;
    enum cache_look found = cache_look(c->cache, w->key, c->worker, NULL, NULL, &fill);
    if (found == CACHE_WAIT) {
        pass_on(c, was, &fill);
        return;
    }
    take_out(c, w);
    if (found == CACHE_FILL) {
        w->fill = fill;
        if (pass_on(c, was, &fill))
            cache_fill_join(c->cache, &fill, c->worker);
    }
    w->ready(w, found == CACHE_FILL);
}

// Who is told may do anything, so that the list is begun anew each time; each round takes one out
// of it or has it wait for a fill that is under way.
static void on_wake(struct watch *watch, uint32_t events)
{
    struct cache_client *c = (struct cache_client *)watch;
    struct cache_waiter *w;
    uint64_t count;
    (void)events;
    if (read(watch->fd, &count, sizeof count) < 0)
        return; // EAGAIN: a wake that was seen already
    while ((w = next_over(c)))
        settle(c, w);
}

struct cache_client *cache_client_new(struct cache *cache, unsigned worker, struct loop *l)
{
    struct cache_client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct cache_client){.cache = cache, .loop = l, .worker = worker, .end = &c->first};
    int rc = loop_add(l, &c->wake, cache_wake_fd(cache, worker), EPOLLIN, on_wake);
    if (rc == 0)
        return c;
    free(c);
    errno = -rc;
    return NULL;
}

void cache_client_free(struct cache_client *c)
{
    if (!c)
        return;
    loop_del(c->loop, &c->wake);
    free(c);
}

struct cache *cache_client_cache(const struct cache_client *c)
{
    return c->cache;
}

enum cache_look cache_client_look(struct cache_client *c, struct str key, enum cache_kind *kind,
                                  struct buf *out, struct cache_fill *fill)
{
    return cache_look(c->cache, key, c->worker, kind, out, fill);
}

void cache_client_wait(struct cache_client *c, struct cache_waiter *w)
{
    w->next = NULL;
    w->link = c->end;
    *c->end = w;
    c->end = &w->next;
}

void cache_client_leave(struct cache_client *c, struct cache_waiter *w)
{
    if (w->link)
        take_out(c, w);
}

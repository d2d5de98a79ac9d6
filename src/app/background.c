// Background work of a worker: see the header.
#include "app/background.h"

#include "base/log.h"

enum { LOOK_MS = 20 }; // between two looks whether what has ended rests

static unsigned running_in(const struct generation *one)
{
    unsigned n = 0;
    for (; one; one = one->older)
        n += timers_running(one->vm);
    return n;
}

// Runs of what has ended.
static unsigned still_running(const struct background *b)
{
    const struct generations *g = b->generations;
    const struct generation *ended = g->current && !b->ended ? g->current->older : g->current;
    return running_in(ended) + running_in(g->dropped);
}

static void look(struct background *b)
{
    struct generation *current = b->generations->current;
    if (still_running(b) > 0 && timeout_set(b->generations->host.loop, &b->look, LOOK_MS))
        return;
    if (b->ended && !b->rested) {
        b->rested = true;
        b->rests(b->arg);
    }
    if (!b->ended && current)
        timers_begin(current->vm, b->share, b->marks, current->number);
}

static void on_look(struct timeout *t)
{
    look((struct background *)((char *)t - offsetof(struct background, look)));
}

void background_init(struct background *b)
{
    timeout_init(&b->look, on_look);
}

static void tell_cut(const char *what)
{
    log_write(LOG_WARN, "%s is cut: the worker ends", what);
}

void background_fini(struct background *b)
{
    if (!b->generations)
        return;
    timeout_remove(b->generations->host.loop, &b->look);
    for (const struct generation *one = b->generations->current; one; one = one->older)
        timers_each_running(one->vm, tell_cut);
}

void background_give(struct background *b, enum timers_share share)
{
    if (share > b->share)
        b->share = share;
    look(b);
}

void background_committed(struct background *b)
{
    for (const struct generation *one = b->generations->current->older; one; one = one->older)
        timers_end(one->vm, b->patience_ms);
    for (const struct generation *one = b->generations->dropped; one; one = one->older)
        timers_end(one->vm, b->patience_ms);
    look(b);
}

void background_end(struct background *b)
{
    if (b->ended)
        return;
    b->ended = true;
    if (b->generations->current)
        timers_end(b->generations->current->vm, b->patience_ms);
    look(b);
}

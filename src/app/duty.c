// Whose turn the background work is: see the header.
#include "app/duty.h"

#include "app/channel.h"
#include "app/master_inside.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    QUICK_MS = 10 * 1000, // one that ends sooner may have ended of the work itself
    PAUSE_FIRST = 100,
    PAUSE_MOST = 800,
    AGAIN_MS = 100, // until a worker that could not be told is told again
};

static bool may_have(const struct slot *s)
{
    return s->pid != 0 && s->ready && !s->rests;
}

static bool may_choose(const struct master *m)
{
    return !m->duty.holder && (m->inherited->line < 0 || m->duty.free) &&
           master_now() >= m->duty.due;
}

static void choose(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers && !m->duty.holder; i++)
        if (may_have(&m->slots[i]))
            m->duty.holder = &m->slots[i];
    m->duty.given = master_now();
}

static void tell(struct master *m, struct slot *s)
{
    enum timers_share share = s == m->duty.holder ? TIMERS_ALL : TIMERS_OWN;
    struct channel_message message = {
        .kind = CHANNEL_DUTY, .number = share, .fds = {-1, -1, -1, -1}};
    if (!may_have(s) || s->share >= share)
        return;
    if (channel_send(s->channel, &message) == 0)
        s->share = share;
    else // it reads nothing at the moment
        m->duty.untold = true;
}

void duty_on_turn(struct master *m)
{
    if (m->state != SERVING)
        return;
    if (may_choose(m))
        choose(m);
    m->duty.untold = false;
    for (uint32_t i = 0; i < m->config->workers; i++)
        tell(m, &m->slots[i]);
}

int64_t duty_due(const struct master *m)
{
    if (m->state != SERVING)
        return INT64_MAX;
    if (m->duty.untold)
        return master_now() + AGAIN_MS;
    return !m->duty.holder && m->duty.due > master_now() ? m->duty.due : INT64_MAX;
}

static void let_go(struct master *m)
{
    m->duty.holder = NULL;
    replace_say_rest(m);
}

void duty_on_end(struct master *m, struct slot *s)
{
    struct duty *d = &m->duty;
    s->share = TIMERS_NONE;
    if (s != d->holder)
        return;
    int64_t now = master_now();
    if (now - d->given >= QUICK_MS)
        d->pause = 0;
    d->due = now + d->pause;
    d->pause = d->pause == 0 ? PAUSE_FIRST : d->pause * 2 < PAUSE_MOST ? d->pause * 2 : PAUSE_MOST;
    let_go(m);
}

void duty_on_rest(struct master *m, struct slot *s)
{
    s->rests = true;
    if (s == m->duty.holder)
        let_go(m);
}

void duty_say_rest(const struct master *m, char text[static DUTY_TEXT])
{
    snprintf(text, DUTY_TEXT, "rests %" PRId64, (int64_t)m->shared->background.looked);
}

void duty_free(struct master *m, const char *text)
{
    int64_t looked;
    if (sscanf(text, "rests %" SCNd64, &looked) == 1)
        m->shared->background.looked = looked;
    m->duty.free = true;
}

// What workers had no room for: see the header.
#include "app/untold.h"

#include "app/channel.h"
#include "app/master_inside.h"
#include "base/log.h"

#include <errno.h>

enum {
    // That a request waits, while more and more is saved, for a moment without changes.
    HOLD_MS = 5 * 1000,
    AGAIN_MS = 100, // between two tries
};

void untold_ask(struct slot *s)
{
    if (!s->asked_at)
        s->asked_at = master_now();
}

static bool has_asked(const struct slot *s)
{
    return s->pid && s->ready && s->asked_at;
}

static bool is_current(const struct reload *r, const struct slot *s)
{
    return r->stage == RELOAD_NONE && (!r->again || master_now() - s->asked_at >= HOLD_MS);
}

// Who asked, and nobody else. False: somebody has no room for it now.
static bool tell_current(const struct master *m)
{
    const struct channel_message message = {.kind = CHANNEL_CURRENT, .fds = {-1, -1, -1, -1}};
    bool all = true;
    for (uint32_t i = 0; i < m->config->workers; i++) {
        struct slot *s = &m->slots[i];
        if (!has_asked(s) || !is_current(&m->reload, s))
            continue;
        int rc = channel_send(s->channel, &message);
        if (rc == 0 || rc == -EPIPE)
            s->asked_at = 0;
        else
            all = false;
    }
    return all;
}

// What has come without its descriptors: it has room for them now.
void untold_missed(struct master *m, struct slot *s, unsigned kind)
{
    if (kind == CHANNEL_FAILED)
        s->failure_due = m->config->dev;
    bool are_new = m->log_fds[0] >= 0 || m->log_fds[1] >= 0;
    if (kind != CHANNEL_LOGS || !are_new || s->logs_due)
        return;
    log_write(LOG_WARN, "worker %d had no descriptors left for the new logs: it gets them again",
              (int)s->pid);
    s->logs_due = true;
    if (m->logs_due == INT64_MAX) // not at once: it may say so without end
        m->logs_due = master_now() + AGAIN_MS;
}

void untold_on_turn(struct master *m)
{
    bool told = saves_tell_due(m);
    bool answered = tell_current(m);
    m->reload.again_at = told && answered ? INT64_MAX : master_now() + AGAIN_MS;
}

// When a request has waited for long enough for a reload that cannot begin.
static int64_t hold_ends(const struct slot *s)
{
    int64_t at = s->asked_at + HOLD_MS;
    return has_asked(s) && at > master_now() ? at : INT64_MAX;
}

int64_t untold_due(const struct master *m)
{
    const struct reload *r = &m->reload;
    int64_t at = r->again_at;
    for (uint32_t i = 0; i < m->config->workers && r->stage == RELOAD_NONE && r->again; i++)
        if (hold_ends(&m->slots[i]) < at)
            at = hold_ends(&m->slots[i]);
    return at;
}

// The shared cache after a death: see the header.
#include "app/tend.h"

#include "app/master_inside.h"
#include "base/log.h"
#include "content/cache.h"

#include <signal.h>
#include <string.h>

enum {
    AGAIN_MS = 100, // between two tries
    WAIT_MS = 100,  // that new workers wait for what takes less than one
};

static void try_later(struct tend *t, const char *what, int err)
{
    if (!t->failed)
        log_write(LOG_ERROR, "%s: %s. It is tried again", what, strerror(err));
    t->failed = true;
    t->at = master_now() + AGAIN_MS;
}

// Memory that is not sound ------------------------------------------------------------------------

static bool is_used(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            return true;
    return m->reload.checker != 0;
}

// Who has it may wait in it for ever, or answer with what is in it.
static void end_users(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            kill(m->slots[i].pid, SIGKILL);
    if (m->reload.checker)
        kill(m->reload.checker, SIGKILL);
}

static void on_damage(struct master *m)
{
    m->tend = (struct tend){.damaged = true};
    log_write(LOG_ERROR, "the memory of the shared cache was damaged by a worker: the cache begins "
                         "empty, and all workers begin anew");
    end_users(m);
}

static void begin_anew(struct master *m)
{
    int rc = cache_renew(m->cache);
    if (rc < 0)
        try_later(&m->tend, "there is no memory for a new shared cache", -rc);
    else
        m->tend = (struct tend){.damaged = false};
}

// A lock that is kept -----------------------------------------------------------------------------

static bool is_ours(const struct master *m, pid_t pid)
{
    return pid > 0 && (pid == m->reload.checker || master_slot(m, pid));
}

static bool has_neighbour(const struct master *m)
{
    return m->cache_is_shared || m->replace.stage != REPLACE_NONE;
}

static void end_holder(struct tend *t)
{
    log_write(LOG_ERROR,
              "worker %d is ended: it has kept a lock of the shared cache for %d s, as one does "
              "that is stopped",
              (int)t->holder, TEND_STUCK_MS / 1000);
    kill(t->holder, SIGKILL);
    t->since = 0;
}

static void warn(struct tend *t, bool ours)
{
    if (ours)
        log_write(LOG_WARN, "worker %d keeps a lock of the shared cache, which others wait for",
                  (int)t->holder);
    else
        log_write(LOG_WARN,
                  "a lock of the shared cache is kept, and not by a worker of this server");
    t->warned = true;
}

static void judge(struct master *m, int64_t kept)
{
    struct tend *t = &m->tend;
    bool ours = is_ours(m, t->holder);
    if (kept >= TEND_STUCK_MS && ours)
        end_holder(t);
    else if (kept >= TEND_STUCK_MS && !has_neighbour(m))
        on_damage(m);
    else if (kept >= TEND_SLOW_MS && !t->warned)
        warn(t, ours);
}

// One that somebody else has by now, or nobody, was only wanted by many.
static void on_held(struct master *m, uint32_t shard)
{
    struct tend *t = &m->tend;
    int64_t now = master_now();
    pid_t holder = cache_holder(m->cache, shard);
    if (!t->since || t->shard != shard || t->holder != holder)
        *t = (struct tend){.shard = shard, .holder = holder, .since = now};
    t->at = now + AGAIN_MS;
    if (holder != 0)
        judge(m, now - t->since);
}

// The loop's --------------------------------------------------------------------------------------

bool tend_on_end(struct master *m, pid_t pid, int status)
{
    uint32_t shard = 0;
    enum cache_tended what;
    if (!cache_tender_ended(m->cache, pid, status, &what, &shard))
        return false;
    switch (what) {
    case CACHE_TENDED:
        m->tend = (struct tend){.damaged = false};
        break;
    case CACHE_HELD:
        on_held(m, shard);
        break;
    case CACHE_UNTENDED:
        m->tend.at = master_now() + AGAIN_MS;
        break;
    case CACHE_DAMAGED:
        on_damage(m);
        break;
    }
    return true;
}

// A lock that it has taken passes on with its end.
static void end_child(struct master *m)
{
    log_write(LOG_ERROR,
              "the process that puts the shared cache right after a worker's end is ended: it has "
              "not come back for %d s, as one does that is stopped. Another one begins",
              TEND_CHILD_MS / 1000);
    m->tend.until = master_now() + TEND_CHILD_MS;
    cache_end_tender(m->cache);
}

static bool lacks_workers(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers && m->state <= SERVING; i++)
        if (!m->slots[i].pid)
            return true;
    return false;
}

// Where processes are hard to get, workers come first.
static bool has_to_do(const struct master *m)
{
    if (m->tend.damaged)
        return !is_used(m);
    return cache_is_due(m->cache) && !(m->tend.failed && lacks_workers(m));
}

void tend_on_turn(struct master *m)
{
    struct tend *t = &m->tend;
    if (cache_is_tended(m->cache) && master_now() >= t->until)
        end_child(m);
    if (!has_to_do(m) || master_now() < t->at)
        return;
    if (t->damaged) {
        begin_anew(m);
        return;
    }
    int rc = cache_tend(m->cache);
    t->until = master_now() + TEND_CHILD_MS;
    if (rc < 0)
        try_later(t, "what a worker has left in the shared cache cannot be put right", -rc);
    else if (!t->since)
        t->wait = master_now() + WAIT_MS;
}

static bool waits(const struct master *m)
{
    return cache_is_tended(m->cache) && master_now() < m->tend.wait;
}

bool tend_holds_start(const struct master *m)
{
    return m->tend.damaged || waits(m);
}

int64_t tend_due(const struct master *m)
{
    if (waits(m))
        return m->tend.wait;
    if (has_to_do(m))
        return m->tend.at;
    return cache_is_tended(m->cache) ? m->tend.until : INT64_MAX;
}

// The master's logs once they are rotated: opened again by it, which may have the rights, and given to all
// workers.
#include "app/channel.h"
#include "app/logs.h"
#include "app/master_inside.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

enum { AGAIN_MS = 100 }; // between two tries to give a worker the new logs

// Gives one worker the logs that the master writes to. One that does not read its channel, because it
// is stuck or stopped, is told once it does.
static void give_logs(struct master *m, struct slot *s)
{
    struct channel_message message = {.kind = CHANNEL_LOGS,
                                      .fds = {m->log_fds[0], m->log_fds[1], -1, -1}};
    int rc = channel_send(s->channel, &message);
    if (rc < 0 && rc != -EPIPE && !s->logs_due)
        log_write(LOG_WARN, "worker %d does not get the new logs yet: %s", (int)s->pid,
                  strerror(-rc));
    s->logs_due = rc < 0 && rc != -EPIPE;
    if (s->logs_due)
        m->logs_due = master_now() + AGAIN_MS;
}

void master_give_due_logs(struct master *m)
{
    if (master_now() < m->logs_due)
        return;
    m->logs_due = INT64_MAX;
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid && m->slots[i].logs_due)
            give_logs(m, &m->slots[i]);
}

void master_reopen_logs(struct master *m)
{
    int error, access;
    logs_reopen(m->config, &error, &access);
    if (error < 0 && access < 0)
        return;
    log_adopt(error, access); // whose descriptors they are from here on
    m->log_fds[0] = error < 0 ? m->log_fds[0] : error;
    m->log_fds[1] = access < 0 ? m->log_fds[1] : access;
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid)
            give_logs(m, &m->slots[i]);
    log_write(LOG_INFO, "the logs were opened again");
}

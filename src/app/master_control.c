// What the master hears on its control socket: status, reload, stop.
#include "app/control.h"
#include "app/control_place.h"
#include "app/master_inside.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FOR_THE_END = UINT_MAX, // a number that no reload has
    LOOK_MS = 1000,         // between two looks whether the socket's file is still there
};

// 5 s, 3 min 5 s, 2 h 3 min, 4 d 2 h
static const char *say_age(int64_t ms, char dst[static 48])
{
    long long s = ms / 1000;
    if (s < 60)
        snprintf(dst, 48, "%lld s", s);
    else if (s < 3600)
        snprintf(dst, 48, "%lld min %lld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(dst, 48, "%lld h %lld min", s / 3600, s / 60 % 60);
    else
        snprintf(dst, 48, "%lld d %lld h", s / 86400, s / 3600 % 24);
    return dst;
}

static const char *say_state(const struct master *m)
{
    static const char *const names[] = {[STARTING] = "starting",
                                        [SERVING] = "serving",
                                        [STOPPING] = "stopping",
                                        [ENDING] = "ending"};
    return m->state == SERVING && m->reload.stage != RELOAD_NONE ? "serving, and reloading"
                                                                 : names[m->state];
}

static void tell_addresses(const struct master *m, struct control_client *to)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < c->listen_addrs + c->side_addrs; i++) {
        master_address(m, i, text);
        bool unix_socket = c->listen[i].sa.sa_family == AF_UNIX;
        control_say(to, "listens on   %s%s%s", unix_socket ? "" : "http://", text,
                    i < c->listen_addrs ? "" : " (metrics, health)");
    }
}

static void tell_reloads(const struct master *m, struct control_client *to)
{
    const struct reload_end *last = &m->last;
    char age[48];
    if (last->number == 0) {
        control_say(to, "reloads      none yet");
        return;
    }
    control_say(to, "reloads      %u, %u of them failed", last->number,
                last->number - last->succeeded);
    say_age(master_now() - last->at, age);
    if (last->ok)
        control_say(to, "last reload  %s ago: reloaded in %lld ms", age, (long long)last->took);
    else
        control_say(to, "last reload  %s ago: failed: %s", age, last->why);
}

static void tell_worker(const struct master *m, unsigned i, struct control_client *to)
{
    const struct slot *s = &m->slots[i];
    char age[48];
    say_age(master_now() - s->since, age);
    if (!s->pid)
        control_say(to, "worker %-5u none now, %u ended", i, s->ends);
    else
        control_say(to, "worker %-5u pid %d, %s for %s, %u restarts, %u connections", i,
                    (int)s->pid, s->ready ? "ready" : "starting", age, s->ends, m->places.open[i]);
}

static void tell_status(const struct master *m, struct control_client *to)
{
    const struct config *c = m->config;
    char age[48], since[64];
    struct tm tm;
    unsigned open = 0;
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&m->began_wall, &tm));
    for (uint32_t i = 0; i < c->workers; i++)
        open += m->places.open[i];
    control_say(to, "site         %s", c->site);
    control_say(to, "version      %s", LUNETTE_VERSION);
    control_say(to, "pid          %d", (int)getpid());
    control_say(to, "state        %s", say_state(m));
    control_say(to, "since        %s (%s)", since, say_age(master_now() - m->began, age));
    if (m->inherited->line >= 0)
        control_say(to, "predecessor  finishes its requests still");
    tell_addresses(m, to);
    control_say(to, "control      %s", m->control_path);
    control_say(to, "connections  %u of %u", open, c->limits.connections);
    tell_reloads(m, to);
    for (uint32_t i = 0; i < c->workers; i++)
        tell_worker(m, i, to);
    control_end(to, true);
}

static void begin_reload(struct master *m, struct control_client *from)
{
    unsigned number = reload_ask(m);
    if (number) {
        control_wait(from, number);
        return;
    }
    control_say(from, "the server stops");
    control_end(from, false);
}

// Whoever asks learns which process to watch.
static void begin_stop(struct master *m, struct control_client *from)
{
    control_say(from, "stopping %d", (int)getpid());
    control_wait(from, FOR_THE_END);
    log_write(LOG_INFO, "stopping, as lunette stop has asked");
    master_stop(m);
}

static void on_word(void *arg, struct control_client *from, const char *word)
{
    struct master *m = arg;
    if (strcmp(word, "status") == 0) {
        tell_status(m, from);
    } else if (strcmp(word, "reload") == 0) {
        begin_reload(m, from);
    } else if (strcmp(word, "stop") == 0) {
        begin_stop(m, from);
    } else {
        control_say(from, "the words are status, reload and stop");
        control_end(from, false);
    }
}

static const char *explain(int rc)
{
    switch (rc) {
    case -EADDRINUSE:
        return "another server answers there";
    case -EEXIST:
        return "something that is no socket is there";
    case -ELOOP:
        return "the way to it leads through a link that another user could have made";
    case -EPERM:
        return "a folder on the way to it belongs to another user, or others may write in it";
    default:
        return strerror(-rc);
    }
}

// Without a socket at a default place the server goes without: there may be two servers of one
// site.
static bool go_without(const struct master *m, int rc)
{
    const struct config *c = m->config;
    if (c->control)
        return master_complain(m, "cannot open the control socket %s: %s", c->control, explain(rc));
    log_write(LOG_WARN,
              "no control socket at %s: %s. lunette status, reload and stop do not reach this "
              "server; signals do, and so do they when config.lua's control names another place",
              m->control_path, explain(rc));
    return true;
}

// The file that the socket of the server before us is at: ours, once we take over.
static bool is_predecessors(struct master *m)
{
    struct file_id id = {0, 0};
    files_know_socket(m->control_path, &id);
    if (m->inherited->control < 0 || id.inode != m->inherited->control_inode)
        return false;
    m->control_id = id;
    m->control_fd = inherit_take(&m->inherited->control);
    return true;
}

// The server that this one replaces, if it lives still: another parent is whoever takes in orphans, and
// others may descend from that. The line was made by it.
static pid_t predecessor(const struct master *m)
{
    struct ucred made;
    socklen_t n = sizeof made;
    if (m->inherited->line < 0 ||
        getsockopt(m->inherited->line, SOL_SOCKET, SO_PEERCRED, &made, &n) != 0)
        return 0;
    return made.pid == getppid() ? made.pid : 0;
}

void master_take_control(struct master *m)
{
    if (m->control_fd < 0)
        return;
    m->control = control_new(m->control_fd, on_word, m);
    if (!m->control) {
        log_write(LOG_ERROR, "no control socket any more: %s", strerror(errno));
        return;
    }
    m->control_fd = -1;
    control_shun(m->control, predecessor(m)); // whose workers have not ended yet
}

// Binds at m->control_path. In a folder that is ours alone, what is no server's socket goes.
static int bind_here(struct master *m, const struct identity *owner)
{
    int fd = control_bind(m->control_path, owner, &m->control_id);
    if ((fd == -EEXIST || fd == -EACCES) && !m->config->control && remove(m->control_path) == 0)
        fd = control_bind(m->control_path, owner, &m->control_id);
    return fd;
}

// At m->control_path. 0 or −errno.
static int open_here(struct master *m)
{
    const struct config *c = m->config;
    if (is_predecessors(m))
        return 0;
    bool root_gives = c->control && c->as_root && !c->stays_root && geteuid() == 0;
    int fd = bind_here(m, root_gives ? &c->become : NULL);
    if (fd < 0)
        return fd;
    m->control = control_new(fd, on_word, m);
    if (m->control)
        return 0;
    int rc = -errno;
    close(fd);
    files_remove_socket(m->control_path, &m->control_id);
    return rc;
}

void master_place_control(struct master *m)
{
    const struct config *c = m->config;
    char path[PATH_MAX];
    if (c->control || !c->as_root || c->stays_root)
        return;
    for (unsigned i = 0; i < CONTROL_PLACES_ROOT; i++) {
        if (!control_place(i, c->site, 0, path))
            continue;
        int rc = control_place_make(path, &c->become);
        if (rc == 0)
            return;
        if (rc == -ENOTEMPTY)
            log_write(
                LOG_WARN,
                "no control socket at %s: another user had its folder and has left there what "
                "is not removed by itself, a folder that is not empty or more than %d files. "
                "Remove the folder",
                path, CONTROL_PLACE_LEFT);
    }
}

// The first place that can be had; where another server answers, that is the one.
static int open_somewhere(struct master *m)
{
    char path[PATH_MAX];
    int rc = -ENOENT;
    for (unsigned i = 0; i < CONTROL_PLACES && rc != 0 && rc != -EADDRINUSE; i++) {
        if (!control_place(i, m->config->site, geteuid(), path))
            continue;
        memcpy(m->control_path, path, sizeof path);
        rc = control_place_make(path, NULL);
        if (rc == 0 && (rc = open_here(m)) < 0)
            control_place_leave(path); // if nobody has it
    }
    return rc;
}

bool master_open_control(struct master *m)
{
    const char *set = m->config->control;
    if (set)
        snprintf(m->control_path, sizeof m->control_path, "%s", set);
    int rc = set ? open_here(m) : open_somewhere(m);
    return rc == 0 || go_without(m, rc);
}

static int bind_again(struct master *m)
{
    int rc = m->config->control ? 0 : control_place_make(m->control_path, NULL);
    if (rc < 0)
        return rc;
    int fd = bind_here(m, NULL);
    if (fd < 0)
        return fd;
    rc = control_listen(m->control, fd);
    if (rc < 0)
        close(fd);
    return rc;
}

void master_keep_control(struct master *m)
{
    struct file_id id = {0, 0};
    int64_t now = master_now();
    if (!m->control || now < m->control_look)
        return;
    m->control_look = now + LOOK_MS;
    if (m->replace.stage == REPLACE_STARTING) // another program is about to take it over
        return;
    files_know_socket(m->control_path, &id);
    if (id.inode == m->control_id.inode && id.device == m->control_id.device)
        return;
    id = m->control_id;
    int rc = bind_again(m);
    if (rc == 0)
        log_write(LOG_WARN, "the control socket %s was removed or replaced: it is made anew",
                  m->control_path);
    else if (!m->control_lost)
        log_write(LOG_ERROR,
                  "the control socket %s was removed or replaced, and cannot be made "
                  "anew: %s. That is tried on",
                  m->control_path, explain(rc));
    if (rc < 0)
        m->control_id = id;
    m->control_lost = rc < 0;
}

int64_t master_control_due(const struct master *m)
{
    if (!m->control)
        return INT64_MAX;
    int64_t at = control_due(m->control);
    return m->control_look < at ? m->control_look : at;
}

void master_stopped(struct master *m)
{
    if (m->control_fd >= 0)
        close(m->control_fd);
    if (!m->control)
        return;
    files_remove_socket(m->control_path, &m->control_id);
    if (!m->config->control)
        control_place_leave(m->control_path);
    control_end_waiting(m->control, FOR_THE_END, true, NULL);
    control_free(m->control);
    m->control = NULL;
}

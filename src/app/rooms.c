// The folders that workers may use: see the header.
#include "app/rooms.h"

#include "app/channel.h"
#include "app/master_inside.h"
#include "app/sandbox.h"
#include "app/serving.h"
#include "base/log.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    GRACE_MS = 1000,      // beyond timeouts.stop
    START_MS = 30 * 1000, // for the one that comes in its place
    AGAIN_MS = 100,       // until a worker that could not be told is told again
    LOOK_MS = 2000,       // between two looks when nobody has asked for a reload
    OWN_MAX = 3 + 3 + 1,  // data, temp, the site, its parts, the library
};

// The list ----------------------------------------------------------------------------------------

static void add(struct rooms *r, const char *path, bool is_part)
{
    char *copy = path ? strdup(path) : NULL;
    if (copy)
        r->room[r->n++] = (struct room){.path = copy, .is_part = is_part};
}

static size_t count(const char *const *paths)
{
    size_t n = 0;
    while (paths && paths[n])
        n++;
    return n;
}

static void add_all(struct rooms *r, const char *const *paths)
{
    for (; paths && *paths; paths++)
        add(r, *paths, false);
}

// What sandbox_list takes of these; its folders of the system are not a site's to replace.
static void list(struct rooms *r, const struct sandbox_options *o)
{
    static const char *const parts[] = {"scripts", "site", "lua_modules"};
    char path[PATH_MAX];
    add(r, o->data, false);
    if (strcmp(o->temp, o->data) != 0)
        add(r, o->temp, false);
    add(r, o->site, false);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (snprintf(path, sizeof path, "%s/%s", o->site, parts[i]) < (int)sizeof path)
            add(r, path, true);
    add(r, o->library, false);
    add_all(r, o->read);
    add_all(r, o->write);
    add_all(r, o->exec);
}

void rooms_init(struct master *m)
{
    struct rooms *r = &m->rooms;
    struct sandbox_options o = serving_sandbox_options(m->config, m->temp);
    if (m->config->sandbox.on && sandbox_kernel().landlock > 0)
        r->room = calloc(OWN_MAX + count(o.read) + count(o.write) + count(o.exec), sizeof *r->room);
    if (r->room)
        list(r, &o);
}

void rooms_fini(struct master *m)
{
    struct rooms *r = &m->rooms;
    for (size_t i = 0; i < r->n; i++)
        free(r->room[i].path);
    free(r->room);
    *r = (struct rooms){0};
}

// A part of the site that lies in its folder has its rights from there.
static struct file_id id_of(const struct room *room)
{
    struct stat st;
    if (room->is_part && (lstat(room->path, &st) != 0 || !S_ISLNK(st.st_mode)))
        return (struct file_id){0, 0};
    if (stat(room->path, &st) != 0)
        return (struct file_id){0, 0};
    return (struct file_id){st.st_dev, st.st_ino};
}

static bool is_same(struct file_id a, struct file_id b)
{
    return a.inode == b.inode && a.device == b.device;
}

static void look(struct rooms *r)
{
    const char *other = NULL;
    for (size_t i = 0; i < r->n; i++) {
        struct room *room = &r->room[i];
        struct file_id now = id_of(room);
        if (now.inode == 0 || is_same(now, room->id))
            continue;
        room->id = now;
        other = room->path;
    }
    if (!other)
        return;
    r->other = other;
    r->seen++;
}

// Tells of one that is another at two looks: who makes it anew has asked for a reload by then.
static void watch(struct room *room)
{
    struct file_id now = id_of(room);
    if (is_same(now, room->id))
        now.inode = 0;
    if (now.inode == 0 || !is_same(now, room->found)) {
        room->found = now;
        room->told = false;
    } else if (!room->told) {
        room->told = true;
        log_write(LOG_ERROR,
                  "%s is no longer the file or folder that workers have been allowed to use: they "
                  "cannot use it before a reload, which replaces them",
                  room->path);
    }
}

static void look_between(struct rooms *r)
{
    int64_t now = master_now();
    if (now < r->look_at)
        return;
    r->look_at = now + LOOK_MS;
    for (size_t i = 0; i < r->n; i++)
        watch(&r->room[i]);
}

// The workers -------------------------------------------------------------------------------------

void rooms_on_start(struct master *m, struct slot *s)
{
    look(&m->rooms);
    s->rooms_seen = m->rooms.seen;
}

static struct slot *next_stale(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pid && m->slots[i].rooms_seen != m->rooms.seen)
            return &m->slots[i];
    return NULL;
}

// A worker that did not start in the folders as they were before may do so now; its next failure counts.
static void forget_failures(struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pause > 0)
            m->slots[i].pause = 0, m->slots[i].start_at = 0;
}

bool rooms_settled(struct master *m)
{
    struct rooms *r = &m->rooms;
    if (!r->replacing && !r->gave_up) {
        look(r);
        r->replacing = next_stale(m) != NULL;
        r->deadline = master_now() + START_MS;
        if (r->replacing) {
            forget_failures(m);
            log_write(LOG_INFO,
                      "%s is another file or folder than the one that workers have been allowed to "
                      "use: they are replaced, one after the other",
                      r->other);
        }
    }
    r->gave_up = false;
    return !r->replacing;
}

static void tell_to_leave(struct master *m, struct slot *s)
{
    struct channel_message message = {.kind = CHANNEL_LEAVE, .fds = {-1, -1, -1, -1}};
    if (channel_send(s->channel, &message) < 0) // it reads nothing at the moment
        return;
    m->rooms.leaving = s;
    m->rooms.deadline = master_now() + m->stop_ms + GRACE_MS;
}

bool rooms_on_end(struct master *m, const struct slot *s, pid_t pid, int status)
{
    struct rooms *r = &m->rooms;
    if (r->leaving != s)
        return false;
    r->leaving = NULL;
    r->deadline = master_now() + START_MS;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return false;
    log_write(LOG_INFO, "worker %d has ended what it had, and is replaced", (int)pid);
    return true;
}

static void end(struct rooms *r, bool gave_up)
{
    r->replacing = false;
    r->gave_up = gave_up;
}

static bool is_failing(const struct master *m)
{
    for (uint32_t i = 0; i < m->config->workers; i++)
        if (m->slots[i].pause > 0)
            return true;
    return master_now() >= m->rooms.deadline;
}

static void give_up(struct rooms *r)
{
    log_write(LOG_ERROR,
              "not all workers could be replaced: those that are left cannot use %s as it is now",
              r->other);
    end(r, true);
}

// It had timeouts.stop.
static void end_late(struct rooms *r)
{
    if (master_now() < r->deadline)
        return;
    kill(r->leaving->pid, SIGKILL);
    r->deadline = master_now() + AGAIN_MS;
}

void rooms_on_turn(struct master *m)
{
    struct rooms *r = &m->rooms;
    struct slot *next = r->replacing ? next_stale(m) : NULL;
    if (!r->replacing && m->state == SERVING)
        look_between(r);
    if (!r->replacing)
        return;
    if (m->state != SERVING)
        end(r, false);
    else if (r->leaving)
        end_late(r);
    else if ((!next && master_all_ready(m)) || m->replace.stage != REPLACE_NONE)
        end(r, false);
    else if (is_failing(m))
        give_up(r);
    else if (master_all_ready(m))
        tell_to_leave(m, next);
}

int64_t rooms_due(const struct master *m)
{
    const struct rooms *r = &m->rooms;
    if (!r->replacing)
        return r->n && m->state == SERVING ? r->look_at : INT64_MAX;
    return r->leaving ? r->deadline : master_now() + AGAIN_MS;
}

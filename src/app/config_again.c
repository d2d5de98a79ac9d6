// config.lua, read again by a server that runs. Some settings it has to keep as they were at the start:
// what it has bound, opened, mapped or given up cannot be had anew.
#include "app/config.h"
#include "app/config_inside.h"
#include "script/lua_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// What a change of the file has no effect on until the server starts again.
static const char *const fixed[] = {
    "listen",
    "workers",
    "user",
    "group",
    "data",
    "temp",
    "control",
    "cache.bytes",
    "limits.connections",
    "sandbox",
    "sandbox.read",
    "limits.connections_per_ip",
    "sandbox.write",
    "sandbox.exec",
    "metrics",
    "log.access",
    "log.error",
    "health",
    "timeouts.cpu",
    "limits.headers",
    "limits.header_bytes",
    "limits.uri_bytes",
};

bool config_read_again(const struct config *start, struct buf *settings,
                       char why[static CONFIG_WHY_MAX])
{
    struct stat st;
    struct config_evaluation e = {.config = start, .path = start->path};
    buf_clear(settings);
    if (stat(e.path, &st) == 0)
        e.file = &st;
    else if (errno == ENOENT)
        return true; // taken away: the defaults hold
    else
        return config_fail(why, "%s: %s", start->file, strerror(errno));
    return config_evaluate(&e, settings, why);
}

// The setting of that name as it was evaluated; kind 0: it was not made.
static struct lua_setting find(struct str settings, const char *name)
{
    struct lua_setting s;
    while (lua_config_next(&settings, &s) > 0)
        if (str_eq(s.name, str_z(name)))
            return s;
    return (struct lua_setting){.line = 0};
}

static bool same(const struct lua_setting *a, const struct lua_setting *b)
{
    return a->kind == b->kind && a->integer == b->integer && str_eq(a->bytes, b->bytes);
}

void config_each_fixed_change(const struct config *start, struct str settings,
                              void (*tell)(void *arg, const char *setting), void *arg)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct lua_setting before = find(start->evaluated, fixed[i]);
        struct lua_setting now = find(settings, fixed[i]);
        if (!same(&before, &now))
            tell(arg, fixed[i]);
    }
}

static void keep_fixed(struct config *c, const struct config *start)
{
    c->site = start->site;
    c->dev = start->dev;
    c->quiet = start->quiet;
    c->pid_file = start->pid_file;
    c->as_root = start->as_root;
    c->stays_root = start->stays_root;
    c->become = start->become;
    c->file = start->file;
    c->path = start->path;
    c->file_is_roots = start->file_is_roots;
    c->evaluated = start->evaluated;
    c->listen = start->listen;
    c->listen_addrs = start->listen_addrs;
    c->side_addrs = start->side_addrs;
    c->listen_texts = start->listen_texts;
    c->workers = start->workers;
    c->user = start->user;
    c->group = start->group;
    c->limits.connections = start->limits.connections;
    c->limits.connections_per_ip = start->limits.connections_per_ip;
    c->limits.headers = start->limits.headers;
    c->limits.header_bytes = start->limits.header_bytes;
    c->limits.uri_bytes = start->limits.uri_bytes;
    c->timeouts.cpu = start->timeouts.cpu;
    c->cache_bytes = start->cache_bytes;
    c->log.access = start->log.access;
    c->log.error = start->log.error;
    c->metrics = start->metrics;
    c->health = start->health;
    c->sandbox = start->sandbox;
    c->data = start->data;
    c->temp = start->temp;
    c->control = start->control;
}

bool config_renew(const struct config *start, struct str settings, struct config *out,
                  char why[static CONFIG_WHY_MAX])
{
    config_init(out);
    out->file = start->file;
    if (!config_apply(out, settings, why))
        return false;
    keep_fixed(out, start);
    if (out->dev && out->secrets.n == 0)
        out->secrets = start->secrets; // what --dev made lasts until the server ends
    return config_settle_changing(out, why);
}

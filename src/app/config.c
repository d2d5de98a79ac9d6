// The configuration from its pieces to the whole: the defaults, the site's folder, config.lua, then
// what each part makes of the texts. The parts are in config_inside.h.
#include "app/config.h"
#include "app/config_inside.h"
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_MAX = 4 * CONFIG_SETTINGS_MAX };

static const char *const default_listen[] = {"127.0.0.1:8080", NULL};
static const char *const default_index[] = {"index.html", NULL};

static const struct config defaults = {
    .listen_texts = {default_listen, 1},
    .limits = {.header_bytes = 16 << 10,
               .headers = 100,
               .uri_bytes = 8 << 10,
               .body_bytes = 16 << 20,
               .body_memory = 64 << 10,
               .form_fields = 100000,
               .part_count = 1000,
               .connections = 10000,
               .lua_memory = 256 << 20,
               .request_memory = 64 << 20,
               .linger_bytes = 64 << 20,
               .generations = 3},
    .timeouts = {.header = 10000,
                 .body = 30000,
                 .idle = 60000,
                 .send = 30000,
                 .handler = 30000,
                 .cpu = 5000,
                 .stop = 30000,
                 .linger = 5000},
    .static_files = {.max_age = 10, .index = {default_index, 1}},
    .gzip = {.level = 6, .min_bytes = 256},
    .cache_bytes = 64 << 20,
    .log = {.access = "stdout", .format = "combined", .error = "stderr", .level = "info"},
    .sandbox = {.on = true},
    .data = "data",
    .file = "scripts/config.lua",
};

static bool find_site(struct config *c, const char *dir, char why[static CONFIG_WHY_MAX])
{
    char real[PATH_MAX], part[PATH_MAX + 16];
    struct stat st;
    if (!realpath(dir, real) || stat(real, &st) != 0)
        return config_fail(why, "cannot serve %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return config_fail(why, "cannot serve %s: it is not a folder", dir);
    bool found = false;
    for (int i = 0; i < 2; i++) {
        snprintf(part, sizeof part, "%s/%s", real, i ? "site" : "scripts");
        found |= stat(part, &st) == 0 ? S_ISDIR(st.st_mode) : errno == EACCES;
    }
    if (!found)
        return config_fail(
            why, "%s is not a site: it has neither a folder scripts/ nor a folder site/ in it",
            real);
    c->site = arena_dup(&c->arena, str_z(real)).p;
    return c->site || config_fail(why, "not enough memory");
}

// A path of the command line: the server may be somewhere else when it reads the file again.
static const char *absolute_now(struct config *c, const char *path)
{
    char real[PATH_MAX];
    return arena_dup(&c->arena, str_z(realpath(path, real) ? real : path)).p;
}

// Whether st is of what lies at path itself, to which no link leads that another user could have
// made.
static bool is_there(const char *path, const struct stat *st)
{
    const char *name;
    struct stat here;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return false;
    bool same = fstatat(folder, name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
                here.st_dev == st->st_dev && here.st_ino == st->st_ino;
    close(folder);
    return same;
}

// Whether root alone can have written the file, and made it this site's: with a link another user
// would have for his site what root has written for another one.
static bool is_roots(const char *path, const struct stat *st)
{
    return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH)) &&
           (is_there(path, st) || !files_others_may_change(path));
}

static bool read_file(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX])
{
    char path[PATH_MAX + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/scripts/config.lua", c->site);
    c->path = cli->config ? absolute_now(c, cli->config) : arena_dup(&c->arena, str_z(path)).p;
    if (!c->path)
        return config_fail(why, "not enough memory");
    struct config_evaluation e = {.config = c, .path = c->path};
    if (cli->config)
        c->file = cli->config;
    if (stat(e.path, &st) == 0)
        e.file = &st;
    else if (errno != ENOENT || cli->config)
        return config_fail(why, "%s: %s", c->file, strerror(errno));
    c->file_is_roots = e.file && is_roots(cli->config ? cli->config : path, &st);
    if (c->as_root && !c->stays_root)
        e.as = &c->become;
    else if (!e.file)
        return true;
    struct buf result;
    buf_init(&result, CONFIG_SETTINGS_MAX);
    bool ok = config_evaluate(&e, &result, why) && config_apply(c, buf_str(&result), why);
    c->evaluated = arena_dup(&c->arena, buf_str(&result));
    buf_fini(&result);
    return ok;
}

static uint32_t processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

static void settle_workers(struct config *c, const struct cli *cli)
{
    if (cli->workers) {
        c->workers = cli->workers;
        config_mark(c, "workers", CONFIG_FROM_COMMAND_LINE);
    } else if (c->dev) {
        c->workers = 1;
        config_mark(c, "workers", CONFIG_FROM_DEV);
    } else if (!c->workers) {
        c->workers = processors();
    }
}

static bool settle(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX])
{
    settle_workers(c, cli);
    return config_settle_identity(c, cli, why) && config_settle_paths(c, why) &&
           config_settle_listen(c, cli, why) && config_settle_changing(c, why);
}

void config_init(struct config *c)
{
    *c = defaults;
    arena_init(&c->arena, ARENA_MAX);
}

bool config_load(const struct cli *cli, struct config *out, char why[static CONFIG_WHY_MAX])
{
    struct config *c = out;
    config_init(c);
    c->dev = cli->dev;
    c->solo = cli->command == CLI_SOLO;
    c->quiet = cli->quiet;
    c->pid_file = cli->pid_file;
    return find_site(c, cli->dir, why) && config_choose_identity(c, cli, why) &&
           read_file(c, cli, why) && settle(c, cli, why);
}

void config_fini(struct config *c)
{
    arena_fini(&c->arena);
}

bool config_logs_json(const struct config *c)
{
    return strcmp(c->log.format, "json") == 0;
}

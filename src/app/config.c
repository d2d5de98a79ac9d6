// The configuration: see the header. What crosses from the child is a list of named values, held
// against the table of rows below, which says where each belongs. The child may be anybody's code:
// the parent checks every length and range by itself, and lets no file but root's choose a user.
#include "app/config.h"
#include "app/config_inside.h"

#include "base/buf.h"
#include "script/lua_config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ARENA_MAX = 4 * CONFIG_SETTINGS_MAX,
    LIST_MAX = 1024,
    DEV_SECRET = 32, // random bytes of the secret that --dev makes
    FROM_COMMAND_LINE = UINT32_MAX,
    FROM_DEV = UINT32_MAX - 1,     // what --dev implies
    LINE_UNKNOWN = UINT32_MAX - 2, // set in the file, nobody knows where
};

enum kind { BOOL, U32, U64, TEXT, LIST, SECRETS, PLAIN };

static const struct row {
    const char *name;
    enum kind kind;
    size_t at; // in struct config
} rows[] = {
#define ROW(name, kind, field)                     \
    {                                              \
        name, kind, offsetof(struct config, field) \
    }
    ROW("listen", LIST, listen_texts),
    ROW("workers", U32, workers),
    ROW("user", TEXT, user),
    ROW("group", TEXT, group),
    ROW("limits.header_bytes", U32, limits.header_bytes),
    ROW("limits.headers", U32, limits.headers),
    ROW("limits.uri_bytes", U32, limits.uri_bytes),
    ROW("limits.body_bytes", U64, limits.body_bytes),
    ROW("limits.body_memory", U64, limits.body_memory),
    ROW("limits.form_fields", U32, limits.form_fields),
    ROW("limits.part_count", U32, limits.part_count),
    ROW("limits.connections", U32, limits.connections),
    ROW("limits.connections_per_ip", U32, limits.connections_per_ip),
    ROW("limits.lua_memory", U64, limits.lua_memory),
    ROW("limits.request_memory", U64, limits.request_memory),
    ROW("limits.linger_bytes", U64, limits.linger_bytes),
    ROW("limits.generations", U32, limits.generations),
    ROW("timeouts.header", U32, timeouts.header),
    ROW("timeouts.body", U32, timeouts.body),
    ROW("timeouts.idle", U32, timeouts.idle),
    ROW("timeouts.send", U32, timeouts.send),
    ROW("timeouts.handler", U32, timeouts.handler),
    ROW("timeouts.cpu", U32, timeouts.cpu),
    ROW("timeouts.stop", U32, timeouts.stop),
    ROW("timeouts.linger", U32, timeouts.linger),
    ROW("static.max_age", U64, static_files.max_age),
    ROW("static.index", LIST, static_files.index),
    ROW("static.listing", BOOL, static_files.listing),
    ROW("gzip.level", U32, gzip.level),
    ROW("gzip.min_bytes", U64, gzip.min_bytes),
    ROW("gzip.types", LIST, gzip.types),
    ROW("cache.bytes", U64, cache_bytes),
    ROW("log.access", TEXT, log.access),
    ROW("log.format", TEXT, log.format),
    ROW("log.error", TEXT, log.error),
    ROW("log.level", TEXT, log.level),
    ROW("metrics", TEXT, metrics.text),
    ROW("health", TEXT, health.text),
    ROW("trusted_proxies", LIST, trusted_proxies),
    ROW("data", TEXT, data),
    ROW("temp", TEXT, temp),
    ROW("control", TEXT, control),
    ROW("sandbox", BOOL, sandbox.on),
    ROW("sandbox.read", LIST, sandbox.read),
    ROW("sandbox.write", LIST, sandbox.write),
    ROW("sandbox.exec", LIST, sandbox.exec),
    ROW("secret", SECRETS, secrets),
    ROW("site", PLAIN, settings),
#undef ROW
};
_Static_assert(sizeof rows / sizeof *rows == CONFIG_SETTINGS, "one line number for each row");

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

// Settings into the struct ------------------------------------------------------------------------

static const struct row *find_row(struct str name)
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        if (str_eq(name, str_z(rows[i].name)))
            return &rows[i];
    return NULL;
}

// The items of a list as slices in the arena, each with a NUL behind its end. False when they are
// too many, or the list is not whole.
static bool copy_items(struct config *c, struct str list, const struct str **out, unsigned *n)
{
    struct str item, count = list;
    *n = 0;
    while (lua_config_item(&count, &item) > 0)
        ++*n;
    struct str *items = *n > LIST_MAX ? NULL : arena_alloc(&c->arena, *n * sizeof *items);
    if (!items)
        return false;
    for (unsigned i = 0; i < *n; i++) {
        lua_config_item(&list, &item);
        items[i] = arena_dup(&c->arena, item);
        if (!items[i].p)
            return false;
    }
    *out = items;
    return list.n == 0;
}

static bool set_list(struct config *c, struct str list, struct config_list *out)
{
    const struct str *items;
    if (!copy_items(c, list, &items, &out->n))
        return false;
    const char **texts = arena_alloc(&c->arena, (out->n + 1) * sizeof *texts);
    if (!texts)
        return false;
    for (unsigned i = 0; i < out->n; i++)
        texts[i] = items[i].p;
    texts[out->n] = NULL;
    out->item = texts;
    return true;
}

// False for a value that the row cannot hold, which the schema would not have let through.
static bool set_value(struct config *c, const struct row *row, const struct lua_setting *s)
{
    void *field = (char *)c + row->at;
    bool integer = s->kind == LUA_SETTING_INTEGER && s->integer >= 0;
    switch (row->kind) {
    case BOOL:
        if (s->kind != LUA_SETTING_BOOLEAN)
            return false;
        *(bool *)field = s->integer != 0;
        return true;
    case U32:
        if (!integer || s->integer > UINT32_MAX)
            return false;
        *(uint32_t *)field = (uint32_t)s->integer;
        return true;
    case U64:
        if (!integer)
            return false;
        *(uint64_t *)field = (uint64_t)s->integer;
        return true;
    case TEXT:
        if (s->kind != LUA_SETTING_TEXT || str_find(s->bytes, '\0') >= 0)
            return false;
        *(const char **)field = arena_dup(&c->arena, s->bytes).p;
        return *(const char **)field != NULL;
    case LIST:
        return s->kind == LUA_SETTING_LIST && set_list(c, s->bytes, field);
    case SECRETS:
        return s->kind == LUA_SETTING_LIST &&
               copy_items(c, s->bytes, &c->secrets.item, &c->secrets.n);
    case PLAIN:
        if (s->kind != LUA_SETTING_PLAIN)
            return false;
        *(struct str *)field = arena_dup(&c->arena, s->bytes);
        return ((struct str *)field)->p != NULL;
    }
    return false;
}

bool config_apply(struct config *c, struct str settings, char why[static CONFIG_WHY_MAX])
{
    struct lua_setting s;
    int rc;
    while ((rc = lua_config_next(&settings, &s)) > 0) {
        const struct row *row = find_row(s.name);
        if (!row || !set_value(c, row, &s))
            return config_fail(why, "%s: %.*s has a value that cannot be used", c->file,
                               (int)(s.name.n < 64 ? s.name.n : 64), s.name.p);
        c->lines[row - rows] = s.line ? s.line : LINE_UNKNOWN;
    }
    return rc == 0 || config_fail(why, "%s: its settings did not arrive whole", c->file);
}

static void mark(struct config *c, const char *setting, uint32_t origin)
{
    c->lines[find_row(str_z(setting)) - rows] = origin;
}

const char *config_place(const struct config *c, const char *setting, char dst[static 128])
{
    const struct row *row = find_row(str_z(setting));
    assert(row);
    uint32_t line = c->lines[row - rows];
    if (line == FROM_COMMAND_LINE)
        snprintf(dst, 128, "the command line");
    else if (line && line < LINE_UNKNOWN)
        snprintf(dst, 128, "%.100s:%u", c->file, line);
    else
        snprintf(dst, 128, "%.100s", c->file);
    return dst;
}

static bool is_number(const struct row *row)
{
    return row->kind == U32 || row->kind == U64;
}

bool config_number(const struct config *c, unsigned i, struct config_number *out)
{
    const struct row *row = rows, *end = rows + CONFIG_SETTINGS;
    while (row < end && !(is_number(row) && i-- == 0))
        row++;
    if (row == end)
        return false;
    const void *field = (const char *)c + row->at;
    uint32_t line = c->lines[row - rows];
    out->name = row->name;
    out->value = row->kind == U32 ? *(const uint32_t *)field : *(const uint64_t *)field;
    if (line == FROM_COMMAND_LINE)
        snprintf(out->origin, sizeof out->origin, "--%.100s", row->name);
    else if (line == FROM_DEV)
        snprintf(out->origin, sizeof out->origin, "--dev");
    else if (line == 0)
        snprintf(out->origin, sizeof out->origin, "default");
    else
        config_place(c, row->name, out->origin);
    return true;
}

// From the pieces to the whole --------------------------------------------------------------------

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
    c->file_is_roots = e.file && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
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

static bool set_listen(struct config *c, const struct cli *cli)
{
    bool is_set = c->lines[find_row(STR("listen")) - rows] != 0;
    unsigned n = cli->listen_count ? cli->listen_count : is_set ? 0 : cli->inherited_count;
    if (n == 0)
        return true;
    const char **items = arena_alloc(&c->arena, (n + 1) * sizeof *items);
    if (!items)
        return false;
    memcpy(items, cli->listen_count ? cli->listen : cli->inherited, n * sizeof *items);
    items[n] = NULL;
    c->listen_texts = (struct config_list){items, n};
    mark(c, "listen", FROM_COMMAND_LINE);
    return true;
}

// --dev: loopback only unless the command line says otherwise, and for root in any case.
static bool check_dev_address(const struct config *c, const struct cli *cli, const struct addr *a,
                              char why[static CONFIG_WHY_MAX])
{
    char text[ADDR_TEXT_MAX], place[128];
    if (!c->dev || c->solo || addr_is_loopback(a) || (cli->listen_count && !c->as_root))
        return true;
    addr_format(a, text);
    if (c->as_root)
        return config_fail(
            why,
            "--dev as root listens on loopback addresses only, and %s says %s: start it as "
            "another user, or without --dev",
            config_place(c, "listen", place), text);
    return config_fail(
        why,
        "--dev listens on loopback addresses only, and %s says %s: give --listen with an "
        "address to have it all the same",
        config_place(c, "listen", place), text);
}

static bool parse_listen(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX])
{
    unsigned n = c->listen_texts.n;
    char place[128];
    if (n > CLI_LISTEN_MAX)
        return config_fail(why, "%s: %d addresses at most", config_place(c, "listen", place),
                           CLI_LISTEN_MAX);
    struct addr *list = arena_alloc(&c->arena, (n + CONFIG_SIDES) * sizeof *list);
    if (!list)
        return config_fail(why, "not enough memory");
    for (unsigned i = 0; i < n; i++) {
        const char *reason = "";
        if (addr_parse(str_z(c->listen_texts.item[i]), &list[i], &reason) < 0)
            return config_fail(why, "%s: cannot listen on '%.100s': %s",
                               config_place(c, "listen", place), c->listen_texts.item[i], reason);
        if (!check_dev_address(c, cli, &list[i], why))
            return false;
    }
    c->listen = list;
    c->listen_addrs = n;
    return config_settle_sides(c, list, why);
}

static bool parse_trusted(struct config *c, char why[static CONFIG_WHY_MAX])
{
    char place[128], reason[CIDR_WHY_MAX];
    unsigned n = c->trusted_proxies.n;
    struct cidr *list = arena_alloc(&c->arena, n * sizeof *list);
    if (!list)
        return config_fail(why, "not enough memory");
    for (unsigned i = 0; i < n; i++)
        if (!cidr_parse(str_z(c->trusted_proxies.item[i]), &list[i], reason))
            return config_fail(why, "%s: trusted_proxies cannot have '%.100s': %s",
                               config_place(c, "trusted_proxies", place),
                               c->trusted_proxies.item[i], reason);
    c->trusted = list;
    return true;
}

// Relative paths are relative to the site's folder.
static const char *absolute(struct config *c, const char *path)
{
    char whole[2 * PATH_MAX];
    if (!path || path[0] == '/')
        return path;
    snprintf(whole, sizeof whole, "%s/%.4000s", c->site, path);
    return arena_dup(&c->arena, str_z(whole)).p;
}

// Makes the paths absolute. What is not there is most likely a slip, and could not be allowed.
static bool settle_paths(struct config *c, const char *setting, struct config_list *list,
                         char why[static CONFIG_WHY_MAX])
{
    char place[128];
    struct stat st;
    const char **items = arena_alloc(&c->arena, (list->n + 1) * sizeof *items);
    if (!items)
        return config_fail(why, "not enough memory");
    for (unsigned i = 0; i < list->n; i++) {
        if (!list->item[i][0])
            return config_fail(why, "%s: %s: a path is empty", config_place(c, setting, place),
                               setting);
        items[i] = absolute(c, list->item[i]);
        if (!items[i])
            return config_fail(why, "not enough memory");
        if (stat(items[i], &st) != 0)
            return config_fail(why, "%s: %s names %.1000s: %s", config_place(c, setting, place),
                               setting, items[i], strerror(errno));
    }
    items[list->n] = NULL;
    list->item = items;
    return true;
}

static bool settle_sandbox(struct config *c, char why[static CONFIG_WHY_MAX])
{
    return settle_paths(c, "sandbox.read", &c->sandbox.read, why) &&
           settle_paths(c, "sandbox.write", &c->sandbox.write, why) &&
           settle_paths(c, "sandbox.exec", &c->sandbox.exec, why);
}

static const char *absolute_log(struct config *c, const char *target)
{
    bool word = strcmp(target, "stdout") == 0 || strcmp(target, "stderr") == 0 ||
                strcmp(target, "off") == 0;
    return word ? target : absolute(c, target);
}

static uint32_t processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

// What is short can be found by trying. --dev makes a secret that lasts until the server ends.
static bool settle_secrets(struct config *c, char why[static CONFIG_WHY_MAX])
{
    char place[128];
    for (unsigned i = 0; i < c->secrets.n; i++)
        if (c->secrets.item[i].n < CONFIG_SECRET_MIN)
            return config_fail(why,
                               "%s: a secret has at least %d bytes, and this one has %zu; "
                               "`openssl rand -hex 32` makes a good one",
                               config_place(c, "secret", place), CONFIG_SECRET_MIN,
                               c->secrets.item[i].n);
    if (c->secrets.n > 0 || !c->dev)
        return true;
    struct str *item = arena_alloc(&c->arena, sizeof *item);
    char *bytes = arena_alloc(&c->arena, DEV_SECRET);
    if (!item || !bytes)
        return config_fail(why, "not enough memory");
    if (getrandom(bytes, DEV_SECRET, 0) != DEV_SECRET)
        return config_fail(why, "cannot make a secret: %s", strerror(errno));
    *item = str_of(bytes, DEV_SECRET);
    c->secrets = (struct config_secrets){item, 1};
    c->secret_is_made = true;
    return true;
}

bool config_settle_changing(struct config *c, char why[static CONFIG_WHY_MAX])
{
    return settle_secrets(c, why) && parse_trusted(c, why);
}

static bool settle(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX])
{
    if (!set_listen(c, cli))
        return config_fail(why, "not enough memory");
    if (cli->workers)
        c->workers = cli->workers, mark(c, "workers", FROM_COMMAND_LINE);
    else if (c->dev)
        c->workers = 1, mark(c, "workers", FROM_DEV);
    else if (!c->workers)
        c->workers = processors();
    c->data = absolute(c, c->data);
    c->temp = absolute(c, c->temp);
    bool control = c->control != NULL;
    c->control = absolute(c, c->control);
    c->log.access = absolute_log(c, c->log.access);
    c->log.error = absolute_log(c, c->log.error);
    if (!c->data || (control && !c->control) || !c->log.access || !c->log.error)
        return config_fail(why, "not enough memory");
    return settle_sandbox(c, why) && parse_listen(c, cli, why) && config_settle_changing(c, why);
}

void config_init(struct config *c)
{
    *c = defaults;
    arena_init(&c->arena, ARENA_MAX);
}

bool config_fail(char why[static CONFIG_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, CONFIG_WHY_MAX, format, args);
    va_end(args);
    return false;
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
           read_file(c, cli, why) && config_settle_identity(c, cli, why) && settle(c, cli, why);
}

void config_fini(struct config *c)
{
    arena_fini(&c->arena);
}

bool config_logs_json(const struct config *c)
{
    return strcmp(c->log.format, "json") == 0;
}

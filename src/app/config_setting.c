// Settings by their names: the table of rows says where in the struct each of them is, and
// c->lines, in the order of the rows, where it was made. What is applied comes from a child that
// may be anybody's code: every length and range is checked here by itself, whatever the schema has
// let through.
#include "app/config.h"
#include "app/config_inside.h"

#include "script/lua_config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    LIST_MAX = 1024,
    LINE_UNKNOWN = UINT32_MAX - 2, // in c->lines: set in the file, nobody knows where
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

const char **config_new_list(struct config *c, unsigned n)
{
    const char **items = arena_alloc(&c->arena, (n + 1) * sizeof *items);
    if (items)
        items[n] = NULL;
    return items;
}

static bool set_list(struct config *c, struct str list, struct config_list *out)
{
    const struct str *items;
    unsigned n;
    const char **texts = copy_items(c, list, &items, &n) ? config_new_list(c, n) : NULL;
    if (!texts)
        return false;
    for (unsigned i = 0; i < n; i++)
        texts[i] = items[i].p;
    *out = (struct config_list){texts, n};
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

// The place in c->lines of a setting that there is.
static size_t index_of(const char *setting)
{
    const struct row *row = find_row(str_z(setting));
    assert(row);
    return (size_t)(row - rows);
}

void config_mark(struct config *c, const char *setting, enum config_origin origin)
{
    c->lines[index_of(setting)] = origin;
}

bool config_is_made(const struct config *c, const char *setting)
{
    return c->lines[index_of(setting)] != 0;
}

const char *config_place(const struct config *c, const char *setting, char dst[static 128])
{
    uint32_t line = c->lines[index_of(setting)];
    if (line == CONFIG_FROM_COMMAND_LINE)
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
    if (line == CONFIG_FROM_COMMAND_LINE)
        snprintf(out->origin, sizeof out->origin, "--%.100s", row->name);
    else if (line == CONFIG_FROM_DEV)
        snprintf(out->origin, sizeof out->origin, "--dev");
    else if (line == 0)
        snprintf(out->origin, sizeof out->origin, "default");
    else
        config_place(c, row->name, out->origin);
    return true;
}

bool config_fail(char why[static CONFIG_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, CONFIG_WHY_MAX, format, args);
    va_end(args);
    return false;
}

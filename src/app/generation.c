// A generation: see the header. What is made from below to above here is taken down the other way.
#include "app/generation.h"

#include "base/snapshot.h"
#include "content/coding.h"
#include "content/filecache.h"
#include "script/co.h"
#include "script/vm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(char why[static GENERATION_WHY_MAX], const char *what, int err)
{
    snprintf(why, GENERATION_WHY_MAX, "%.400s: %s", what, strerror(err));
    return false;
}

static bool open_scripts(struct generation *g, int fd, char why[static GENERATION_WHY_MAX])
{
    g->scripts = snapshot_open(fd);
    return g->scripts || fail(why, "the snapshot of the scripts", errno);
}

static bool open_files(struct generation *g, char why[static GENERATION_WHY_MAX])
{
    struct filecache_options kept = {
        .files = GENERATION_FILES,
        .bytes = GENERATION_BYTES,
        .descriptors = GENERATION_DESCRIPTORS,
        .look_always = g->config->dev,
    };
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/site", g->config->site);
    int rc = file_root_open(path, &g->files);
    if (rc < 0 && rc != -ENOENT)
        return fail(why, path, -rc);
    g->cache = filecache_new(&kept);
    return g->cache || fail(why, "the file cache", errno);
}

static bool read_types(struct generation *g, char why[static GENERATION_WHY_MAX])
{
    const struct config_list *types = &g->config->gzip.types;
    if (!types->item)
        return true;
    g->types = calloc(types->n + 1, sizeof *g->types);
    for (unsigned i = 0; g->types && i < types->n; i++)
        g->types[i] = str_z(types->item[i]);
    return g->types || fail(why, "gzip.types", ENOMEM);
}

static bool make_vm(struct generation *g, const struct generation_host *host,
                    char why[static GENERATION_WHY_MAX])
{
    const struct config *c = g->config;
    g->vm_options = (struct vm_options){
        .site = c->site,
        .scripts = g->scripts,
        .memory = c->limits.lua_memory,
        .request_memory = c->limits.request_memory,
        .dev = c->dev,
        .loop = host->loop,
        .pool = host->pool,
        .slow_pool = host->slow_pool,
        .sql_pool = host->sql_pool,
        .secrets = c->secrets.item,
        .secret_count = c->secrets.n,
        .cache = host->cache,
        .reach = host->reach,
        .no_programs = host->no_programs,
        .watchdog = host->watchdog,
        .cpu_ms = c->timeouts.cpu,
    };
    g->vm = vm_new(&g->vm_options);
    return g->vm || fail(why, "the Lua state", errno);
}

static bool make_handler(struct generation *g, const struct generation_host *host,
                         char why[static GENERATION_WHY_MAX])
{
    const struct config *c = g->config;
    g->mark.server = host->live;
    g->handler_options = (struct handler_options){
        .root = g->files,
        // What is saved is to be seen, so that with --dev browsers ask each time.
        .files = {.max_age = c->dev ? 0 : (int64_t)c->static_files.max_age,
                  .index = c->static_files.index.item,
                  .listing = c->static_files.listing,
                  .cache = g->cache},
        .fit = {.codings = {.offered = coding_all(),
                            .level = (int)c->gzip.level,
                            .min_bytes = c->gzip.min_bytes,
                            .types = g->types,
                            .type_count = c->gzip.types.n},
                .forms = host->forms},
        .body_bytes = c->limits.body_bytes,
        .form_fields = c->limits.form_fields,
        .parts = {.parts = c->limits.part_count,
                  .head_bytes = c->limits.header_bytes,
                  .fields = c->limits.headers},
        .handler_ms = c->timeouts.handler,
        .trusted_proxies = {c->trusted, c->trusted_proxies.n},
        .data = c->data,
        .settings = c->settings,
        .tally = host->tally,
        .names_routes = host->tally || config_logs_json(c),
        .mark = host->live ? &g->mark : NULL,
    };
    g->handler = handler_new(g->vm, &g->handler_options);
    return g->handler || fail(why, "the handler", ENOMEM);
}

static struct generation *make(struct generation *g, const struct generation_host *host,
                               int scripts, char why[static GENERATION_WHY_MAX])
{
    if (open_scripts(g, scripts, why) && open_files(g, why) && read_types(g, why) &&
        make_vm(g, host, why) && make_handler(g, host, why))
        return g;
    generation_free(g);
    return NULL;
}

struct generation *generation_new(const struct generation_host *host, const struct config *c,
                                  int scripts, char why[static GENERATION_WHY_MAX])
{
    struct generation *g = calloc(1, sizeof *g);
    if (!g) {
        fail(why, "a generation", ENOMEM);
        return NULL;
    }
    g->config = c;
    return make(g, host, scripts, why);
}

struct generation *generation_renew(const struct generation_host *host, const struct config *start,
                                    struct str settings, int scripts,
                                    char why[static GENERATION_WHY_MAX])
{
    char long_why[CONFIG_WHY_MAX];
    struct generation *g = calloc(1, sizeof *g);
    struct config *c = calloc(1, sizeof *c);
    if (!g || !c) {
        free(g);
        free(c);
        fail(why, "a generation", ENOMEM);
        return NULL;
    }
    g->config = g->own_config = c;
    if (config_renew(start, settings, c, long_why))
        return make(g, host, scripts, why);
    snprintf(why, GENERATION_WHY_MAX, "%.500s", long_why);
    generation_free(g);
    return NULL;
}

void generation_free(struct generation *g)
{
    if (!g)
        return;
    if (g->vm)
        vm_free(g->vm);
    if (g->handler)
        handler_free(g->handler);
    filecache_free(g->cache);
    if (g->files)
        file_root_close(g->files);
    free(g->types);
    snapshot_close(g->scripts);
    if (g->own_config)
        config_fini(g->own_config);
    free(g->own_config);
    free(g);
}

bool generation_is_idle(const struct generation *g)
{
    return handler_busy(g->handler) == 0;
}

bool generation_is_over(const struct generation *g)
{
    return generation_is_idle(g) && co_alive(g->vm) == 0;
}

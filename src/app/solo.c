// A site in a process of its own: see the header. It starts as a worker does, from below to above:
//
//      rights → snapshot → sandbox → loop → threads → watchdog → caches → a generation
//      → (its scripts load) → the command → its exit status
#include "app/solo.h"

#include "app/complain.h"
#include "app/files.h"
#include "app/generation.h"
#include "app/sandbox.h"
#include "app/serving.h"
#include "app/signals.h"
#include "base/log.h"
#include "content/cache_client.h"
#include "content/coding.h"
#include "content/mime_system.h"
#include "net/timeout.h"
#include "script/co.h"
#include "script/cut.h"
#include "script/lua_console.h"
#include "script/luax.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    POOL_THREADS = 4,
    POOL_WAITING = 1024,
    KEPT_FORMS = 16 << 20,
    LOAD_MS = 60000, // main.lua may wait for so long while it is loaded
};

struct solo {
    const struct config *config;
    const struct solo_job *job;
    int scripts; // a snapshot
    struct serving_sandbox sandbox;
    struct loop *loop;
    struct pool *pool;
    struct watchdog *watchdog;
    struct cache *cache;
    struct cache_client *cache_client;
    struct forms *forms;
    struct generation *generation;
    struct timeout patience; // while main.lua is loaded
    bool loaded;             // it is, or has failed
    char *error;             // of main.lua; NULL: it is loaded
    int status;              // 1 until the command gives another
    // With a trial:
    struct server_options server_options;
    struct places places;
    struct server *server;
};

// The command -------------------------------------------------------------------------------------

static void set_flag(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void push_given(lua_State *L, const struct solo *s)
{
    lua_createtable(L, 0, 4);
    set_flag(L, "tap", s->job->tap);
    set_flag(L, "watch", s->job->watch);
    set_flag(L, "secret_is_made", s->job->secret_is_made);
    lua_pushstring(L, s->error);
    lua_setfield(L, -2, "error");
    lua_pushstring(L, s->config->metrics.path);
    lua_setfield(L, -2, "metrics");
    lua_pushstring(L, s->config->health.path);
    lua_setfield(L, -2, "health");
    lua_newtable(L);
    for (lua_Integer i = 0; s->job->word[i]; i++) {
        lua_pushstring(L, s->job->word[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "words");
}

static int after_module(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    (void)L;
    return 1;
}

// The body of the coroutine. Argument: the struct solo.
static int run(lua_State *L)
{
    struct solo *s = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushstring(L, s->job->module);
    lua_call(L, 1, 1); // an embedded module, which does not wait while it is loaded
    push_given(L, s);
    lua_callk(L, 1, 1, 0, after_module);
    return after_module(L, LUA_OK, 0);
}

static int as_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

// Pushes on main what the command raised, with its traceback.
static void push_raised(lua_State *main, lua_State *L)
{
    lua_pushcfunction(main, as_text);
    lua_xmove(L, main, 1);
    lua_pcall(main, 1, 1, 0);
    const char *message = lua_tostring(main, -1);
    vm_push_traceback(main, L, message ? message : "an error without a text", 0);
}

static void on_run_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct solo *s = arg;
    lua_State *main = vm_state(s->generation->vm);
    int top = lua_gettop(main);
    (void)co;
    if (how == CO_RETURNED && n == 1 && lua_isinteger(L, -1)) {
        s->status = (int)lua_tointeger(L, -1);
    } else if (how == CO_RAISED) {
        push_raised(main, L);
        complain("%s", lua_tostring(main, -1));
    } else {
        complain("%s gave no exit status", s->job->module);
    }
    lua_settop(main, top);
    loop_stop(s->loop);
}

// What is wrong with main.lua though nothing failed: it was left out of the snapshot. Or NULL.
static const char *not_loaded(const struct solo *s, char dst[static 128])
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/scripts/main.lua", s->config->site);
    const char *instead = files_instead(path);
    if (!instead)
        return NULL;
    snprintf(dst, 128, "scripts/main.lua is %s, and no file: nothing of it is loaded", instead);
    return dst;
}

static void on_loaded(void *arg, const char *error)
{
    struct solo *s = arg;
    char text[128];
    if (s->loaded) // too late: it was given up
        return;
    s->loaded = true;
    timeout_clear(&s->patience);
    if (!error)
        error = not_loaded(s, text);
    struct co *co = co_new(s->generation->vm);
    s->error = error ? strdup(error) : NULL;
    if (error && s->job->unused_data) // it may have failed for that
        complain("the site was loaded with an empty folder as its data: %s is left alone",
                 s->job->unused_data);
    if (!co || (error && !s->error)) {
        complain("out of memory");
        loop_stop(s->loop);
        return;
    }
    lua_pushcfunction(co_state(co), run);
    lua_pushlightuserdata(co_state(co), s);
    co_start_later(co, 1, on_run_end, s);
}

static void on_patience_end(struct timeout *t)
{
    struct solo *s = (struct solo *)((char *)t - offsetof(struct solo, patience));
    char text[128];
    snprintf(text, sizeof text,
             "scripts/main.lua still waits after %d s, while it is loaded: that must end by itself",
             LOAD_MS / 1000);
    on_loaded(s, text);
}

static bool load(struct solo *s)
{
    if (!timeout_set(s->loop, &s->patience, LOAD_MS))
        return complain("out of memory");
    handler_load(s->generation->handler, on_loaded, s);
    return true;
}

// The start ---------------------------------------------------------------------------------------

static bool give_up_rights(const struct solo *s)
{
    char why[PRIVS_WHY_MAX];
    return !s->config->as_root || privs_drop_capabilities(why) || complain("%s", why);
}

static void make_data(const struct solo *s)
{
    const struct config *c = s->config;
    int rc = files_make_data(c->site, c->data, &c->become);
    if (rc < 0)
        log_write(LOG_WARN, "the folder %s could not be made: %s", c->data, strerror(-rc));
}

static bool enter_sandbox(struct solo *s)
{
    char why[SANDBOX_WHY_MAX];
    const struct config *c = s->config;
    return serving_enter_sandbox(c, c->temp ? c->temp : c->data, &s->sandbox, why) ||
           complain("%s", why);
}

static bool read_scripts(struct solo *s)
{
    char folder[PATH_MAX + 16], why[SNAPSHOT_WHY_MAX];
    snprintf(folder, sizeof folder, "%s/scripts", s->config->site);
    s->scripts = snapshot_make(folder, why);
    return s->scripts >= 0 || complain("%s", why);
}

static bool tell_lost(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "lunette: Lua does not come back%s%s\n", *text ? ": " : "", text);
    _exit(1);
}

static bool start_watchdog(struct solo *s)
{
    struct watchdog_options o = {
        .limit_ms = s->config->timeouts.cpu,
        .interrupt = cut_interrupt,
        .lost = tell_lost,
    };
    s->watchdog = watchdog_start(&o);
    return s->watchdog != NULL;
}

static bool open_caches(struct solo *s)
{
    s->cache = cache_new(s->config->cache_bytes, 1);
    s->cache_client = s->cache ? cache_client_new(s->cache, 0, s->loop) : NULL;
    s->forms = forms_new(KEPT_FORMS);
    return s->cache_client && s->forms;
}

// Runs protected, with the struct trial, or NULL.
static int register_modules(lua_State *L)
{
    struct trial *trial = lua_touserdata(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_lunette_console);
    lua_setfield(L, -2, "lunette.console");
    if (!trial)
        return 0;
    trial_register(L, trial);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "lunette.test_world"); // before a script can keep what it changes
    lua_call(L, 1, 0);
    return 0;
}

static bool make_generation(struct solo *s)
{
    char why[GENERATION_WHY_MAX];
    struct generation_host host = {
        .loop = s->loop,
        .pool = s->pool,
        .slow_pool = s->pool,
        .sql_pool = s->pool,
        .watchdog = s->watchdog,
        .cache = s->cache_client,
        .forms = s->forms,
        .reach = s->sandbox.has_landlock ? &s->sandbox.reach : NULL,
        .no_programs = s->sandbox.has_seccomp && s->config->sandbox.exec.n == 0,
    };
    s->generation = generation_new(&host, s->config, s->scripts, why);
    if (!s->generation)
        return complain("%s", why);
    lua_State *L = vm_state(s->generation->vm);
    lua_pushcfunction(L, register_modules);
    lua_pushlightuserdata(L, s->job->trial);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    complain("%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
}

// A server that listens nowhere.
static bool make_server(struct solo *s)
{
    struct trial *trial = s->job->trial;
    if (!trial)
        return true;
    s->server_options = serving_options(s->config, s->config->temp);
    s->server_options.quiet = true;
    int rc = places_init(&s->places, 1, s->config->limits.connections, 0);
    if (rc < 0)
        return complain("cannot start: %s", strerror(-rc));
    s->server = server_new(s->loop, &s->server_options, &s->places, 0, &handler_http,
                           s->generation->handler);
    trial->server = s->server;
    trial->cache = s->cache;
    trial->loop = s->loop;
    return s->server || complain("out of memory");
}

static bool open_log(struct solo *s)
{
    struct trial *trial = s->job->trial;
    log_set_level(LOG_WARN);
    if (!trial)
        return true;
    trial->log = trial_open_log();
    if (trial->log < 0)
        return complain("cannot start: %s", strerror(-trial->log));
    log_adopt(trial->log, -1);
    log_set_level((enum log_level)log_level_parse(str_z(s->config->log.level)));
    return true;
}

static bool start(struct solo *s)
{
    signals_spare(SIGPIPE);
    signals_spare(SIGXFSZ);
    if (!open_log(s) || !give_up_rights(s) || !read_scripts(s))
        return false;
    make_data(s);
    if (!enter_sandbox(s))
        return false;
    mime_system_load(MIME_SYSTEM_FILE);
    s->loop = loop_new();
    s->pool = s->loop ? pool_new(s->loop, POOL_THREADS, POOL_WAITING) : NULL;
    if (!s->pool || !start_watchdog(s) || !open_caches(s))
        return complain("cannot start: %s", strerror(errno));
    return make_generation(s) && make_server(s);
}

static void take_down(struct solo *s)
{
    if (s->server)
        server_free(s->server);
    if (s->places.workers)
        places_fini(&s->places);
    generation_free(s->generation);
    forms_free(s->forms);
    coding_fini();
    mime_system_unload();
    watchdog_stop(s->watchdog);
    cache_client_free(s->cache_client);
    if (s->cache)
        cache_free(s->cache);
    if (s->pool)
        pool_free(s->pool);
    if (s->loop)
        timeout_remove(s->loop, &s->patience);
    if (s->loop)
        loop_free(s->loop);
    if (s->scripts >= 0)
        close(s->scripts);
    reach_fini(&s->sandbox.reach);
    free(s->error);
}

bool solo_become(const struct config *c)
{
    char why[PRIVS_WHY_MAX];
    return !c->as_root || c->stays_root || privs_become(&c->become, why) || complain("%s", why);
}

int solo_run(const struct config *c, const struct solo_job *job)
{
    struct solo s = {.config = c, .job = job, .scripts = -1, .status = 1};
    timeout_init(&s.patience, on_patience_end);
    if (start(&s) && load(&s)) {
        int rc = loop_run(s.loop);
        if (rc < 0)
            s.status = !complain("the event loop: %s", strerror(-rc));
    }
    take_down(&s);
    return s.status;
}

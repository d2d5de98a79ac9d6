// Lua that ran for too long: see the header.
//
// The signal handler sets a hook in every thread of the chain, which Lua allows at any moment, and no
// more. The hook is called between two instructions, where everything is as it should be: it takes
// down where Lua was, and raises. A hook that is left in a thread that was not running any more takes
// itself out when it is called in a run that is on time.
//
// The hook counts instructions and does not ask for calls: a __close that is a function of C, which
// gives something back, is never kept from running.
#include "script/cut.h"

#include "base/log.h"
#include "script/vm_inside.h"

#include <stdio.h>
#include <string.h>

enum { FRAMES = 30, LEVELS_MAX = 200 };

#define SENTENCE "Lua ran for longer than timeouts.cpu"

// The record

struct text {
    char *p;
    size_t n, cap;
    unsigned frames;
};

static bool is_site(const lua_Debug *ar)
{
    return *ar->what != 'C' && strncmp(ar->source, "=lunette", strlen("=lunette")) != 0;
}

static const char *frame_name(const lua_Debug *ar, char dst[static LUA_IDSIZE + 32])
{
    if (*ar->what == 'm')
        return "main chunk";
    if (ar->name)
        snprintf(dst, LUA_IDSIZE + 32, "function '%.60s'", ar->name);
    else
        snprintf(dst, LUA_IDSIZE + 32, "function <%s:%d>", ar->short_src, ar->linedefined);
    return dst;
}

static void add_frame(struct text *t, const lua_Debug *ar)
{
    char name[LUA_IDSIZE + 32];
    size_t room = t->cap - t->n;
    int n = snprintf(t->p + t->n, room, "%s\t%s:%d: in %s", t->n ? "\n" : "", ar->short_src,
                     ar->currentline, frame_name(ar, name));
    if (n > 0 && (size_t)n < room)
        t->n += (size_t)n;
    else
        t->p[t->n] = '\0'; // none is cut in the middle
    t->frames++;
}

// The site's lines on T's stack; the innermost of all gives `where`.
static void add_thread(struct text *t, lua_State *T, char *where, size_t n)
{
    lua_Debug ar;
    for (int i = 0; i < LEVELS_MAX && t->frames < FRAMES && lua_getstack(T, i, &ar); i++) {
        lua_getinfo(T, "nSl", &ar);
        if (!is_site(&ar))
            continue;
        if (t->frames == 0)
            snprintf(where, n, "%s:%d: ", ar.short_src, ar.currentline);
        add_frame(t, &ar);
    }
}

static void record(struct vm *vm, lua_State *L)
{
    struct cut_record *r = &vm->cut.record;
    struct text t = {.p = r->traceback, .cap = sizeof r->traceback};
    char where[LUA_IDSIZE + 16] = "";
    r->traceback[0] = '\0';
    add_thread(&t, L, where, sizeof where);
    for (const struct co_link *l = vm->running; l; l = l->outer)
        if (l->L != L)
            add_thread(&t, l->L, where, sizeof where);
    snprintf(r->message, sizeof r->message, "%s" SENTENCE " (%g s) without waiting", where,
             vm->options.cpu_ms / 1000.0);
}

const struct cut_record *cut_take(struct vm *vm)
{
    struct cut *c = &vm->cut;
    if (!c->raised || c->told)
        return NULL;
    c->told = true;
    return &c->record;
}

bool cut_made(const char *error)
{
    return strstr(error, SENTENCE) != NULL;
}

void cut_logged(struct vm *vm, const char *text)
{
    if (vm->cut.raised && strstr(text, vm->cut.record.message))
        vm->cut.told = true;
}

void cut_over(struct vm *vm)
{
    const struct cut_record *r = cut_take(vm);
    if (r)
        log_write(LOG_ERROR, "%s%s%s", r->message, *r->traceback ? "\n" : "", r->traceback);
    if (vm->L)
        lua_sethook(vm->L, NULL, 0, 0);
    vm->cut.step = 0;
    vm->cut.raised = vm->cut.told = false;
}

// The hook

static int pass(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

static bool is_lua_of_site(lua_State *L)
{
    lua_Debug ar;
    if (!lua_isfunction(L, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    return is_site(&ar);
}

// The message handler of the xpcall around, if it is the site's, is not called: that would happen within
// this hook, where Lua calls no hook, so that nothing could cut it.
static void disarm_handler(const struct vm *vm, lua_State *L)
{
    enum { HANDLER_LOCAL = 2 }; // xpcall(f, handler, …) keeps its arguments in place
    lua_Debug ar;
    for (int i = 0; i < LEVELS_MAX && lua_getstack(L, i, &ar); i++) {
        lua_getinfo(L, "f", &ar);
        lua_CFunction fn = lua_tocfunction(L, -1);
        lua_pop(L, 1);
        if (fn && fn == vm->pcall)
            return;
        if (!fn || fn != vm->xpcall)
            continue;
        if (!lua_getlocal(L, &ar, HANDLER_LOCAL))
            return;
        bool disarm = is_lua_of_site(L);
        lua_pop(L, 1);
        lua_pushcfunction(L, pass);
        if (!disarm || !lua_setlocal(L, &ar, HANDLER_LOCAL))
            lua_pop(L, 1);
        return;
    }
}

static void on_instruction(lua_State *L, lua_Debug *ar)
{
    struct vm *vm = vm_of(L);
    struct cut *c = &vm->cut;
    (void)ar;
    if (c->step == 0 || (c->step == WATCHDOG_LATE && c->raised)) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (!c->raised) {
        record(vm, L);
        c->raised = true;
        if (co_mark_cut(vm))
            c->step = WATCHDOG_STILL;
    }
    disarm_handler(vm, L);
    lua_pushstring(L, c->record.message);
    lua_error(L);
}

// The signal handler

static void set_hooks(struct vm *vm)
{
    if (!vm->closing) // then it runs __gc alone, which has no hooks
        lua_sethook(vm->L, on_instruction, LUA_MASKCOUNT, 1);
    for (const struct co_link *l = vm->running; l; l = l->outer)
        lua_sethook(l->L, on_instruction, LUA_MASKCOUNT, 1);
}

// "GET /slow, in find called at scripts/main.lua:7". Lua stands in a function that does not return, so
// that its stack can be read; and should it not stand, then little is lost with a process that is.
static void say_place(struct vm *vm, struct watchdog_words *words)
{
    lua_State *T = vm->running ? vm->running->L : vm->L;
    lua_Debug ar;
    bool called = false;
    words->n = 0;
    words->text[0] = '\0';
    co_say(vm, words);
    for (int i = 0; i < LEVELS_MAX && lua_getstack(T, i, &ar); i++) {
        lua_getinfo(T, "nSl", &ar);
        if (!called && ar.name) {
            watchdog_say(words, words->n ? STR(", in ") : STR("in "));
            watchdog_say(words, str_z(ar.name));
            called = true;
        }
        if (!is_site(&ar))
            continue;
        watchdog_say(words, i > 0 ? STR(" called at ") : STR(" at "));
        watchdog_say(words, str_z(ar.short_src));
        watchdog_say(words, STR(":"));
        watchdog_say_number(words, (unsigned)ar.currentline);
        return;
    }
}

void cut_interrupt(void *arg, enum watchdog_step step, struct watchdog_words *words)
{
    struct vm *vm = arg;
    vm->cut.step = vm->cut.raised ? WATCHDOG_STILL : WATCHDOG_LATE;
    set_hooks(vm);
    if (step == WATCHDOG_LOST)
        say_place(vm, words);
}

// Which route a request went to, for the access log and the tally: see script/work.h.
//
// The library names each route once, and then says its number at the start of a request's run. Where
// neither log nor tally asks for routes it gets no numbers, and a request costs nothing more.
#include "http/tally.h"
#include "script/lua_core.h"
#include "script/luax.h"
#include "script/work.h"

#include <stddef.h>
#include <stdlib.h>

// A run that is metered is a request's: by the counter in its work.
struct work *work_running(struct handler *h)
{
    size_t *meter = vm_meter(h->vm);
    return meter ? (struct work *)((char *)meter - offsetof(struct work, memory)) : NULL;
}

static struct exchange_route *add_route(struct handler *h, struct str text)
{
    struct exchange_route **all =
        reallocarray(h->routes, h->route_count + 1, sizeof(struct exchange_route *));
    if (!all)
        return NULL;
    h->routes = all;
    struct exchange_route *r = malloc(sizeof *r + text.n);
    if (!r)
        return NULL;
    char *copy = (char *)(r + 1);
    for (size_t i = 0; i < text.n; i++)
        copy[i] = text.p[i];
    r->text = str_of(copy, text.n);
    r->number = h->options.tally ? tally_route(h->options.tally, r->text) : TALLY_OTHER;
    h->routes[h->route_count++] = r;
    return r;
}

int core_route(lua_State *L)
{
    struct handler *h = core_handler(L);
    struct str text = luax_check_str(L, 1);
    if (!h->options.names_routes)
        return 0;
    if (!add_route(h, text))
        return luaL_error(L, "not enough memory");
    lua_pushinteger(L, (lua_Integer)h->route_count);
    return 1;
}

int core_routed(lua_State *L)
{
    struct handler *h = core_handler(L);
    lua_Integer n = luaL_checkinteger(L, 1);
    struct work *w = work_running(h);
    luaL_argcheck(L, n >= 1 && (size_t)n <= h->route_count, 1, "a number of core.route expected");
    if (w && w->x)
        w->x->route = h->routes[n - 1];
    return 0;
}

void exchange_is_file(struct handler *h, struct exchange *x)
{
    static const struct exchange_route file = {.text = {NULL, 0}, .number = TALLY_FILE};
    if (h->options.tally && !x->route)
        x->route = &file;
}

void handler_drop_routes(struct handler *h)
{
    while (h->route_count)
        free(h->routes[--h->route_count]);
    free(h->routes);
}

// Who is shown what --dev shows: requests for hosts that cannot be somebody else's (http/own_host.h).
#include "http/own_host.h"
#include "script/lua_core.h"
#include "script/luax.h"
#include "script/work.h"

// A browser cannot be led to a unix socket at all.
bool handler_owns_host(const struct handler *h, const struct exchange *x)
{
    struct str names = h ? buf_str(&h->own_hosts) : STR("");
    return x->peer->sa.sa_family == AF_UNIX || own_host(x->request.authority, names);
}

const struct inject_mark *work_mark(const struct handler *h, const struct exchange *x)
{
    return h->options.mark && handler_owns_host(h, x) ? h->options.mark : NULL;
}

// own_hosts(names): an array of those of app.host. "*" is none: it would be everybody's.
int core_own_hosts(lua_State *L)
{
    struct handler *h = core_handler(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    buf_clear(&h->own_hosts);
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) == LUA_TSTRING; i++) {
        struct str name = luax_check_str(L, -1);
        if (!str_eq(name, STR("*")) &&
            (!buf_add(&h->own_hosts, name) || !buf_addc(&h->own_hosts, '\n')))
            return luaL_error(L, "the names of app.host are over %d bytes", WORK_HOSTS_MAX);
        lua_pop(L, 1);
    }
    return 0;
}

// shows(req) → whether errors may be told to who asks, with --dev; false when the request is over. A
// run of a site's tests listens nowhere.
int core_shows(lua_State *L)
{
    struct handler *h = core_handler(L);
    const struct work *w = request_try(L, 1);
    lua_pushboolean(L, !h->options.mark || (w && handler_owns_host(h, w->x)));
    return 1;
}

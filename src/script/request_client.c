// Fields of the request table that say who the client is, and what it asked: see script/work.h.
#include "script/luax.h"
#include "script/work.h"

#include <stdio.h>

// host[:port] of the authority: the host in lower case (brackets of IPv6 kept off), the port or −1.
static struct str split_authority(struct str authority, int64_t *port)
{
    uint64_t number;
    ptrdiff_t colon = -1;
    struct str host = authority;
    *port = -1;
    if (host.n && host.p[0] == '[') {
        ptrdiff_t end = str_find(host, ']');
        colon = end >= 0 && (size_t)end + 1 < host.n ? end + 1 : -1;
    } else {
        colon = str_find(host, ':');
    }
    if (colon >= 0) {
        struct str digits = str_of(host.p + colon + 1, host.n - (size_t)colon - 1);
        if (str_to_u64(digits, &number))
            *port = (int64_t)number;
        host.n = (size_t)colon;
    }
    return host;
}

void request_push_host(lua_State *L, struct work *w)
{
    int64_t port;
    luax_push_lower(L, split_authority(w->x->request.authority, &port));
}

void request_push_port(lua_State *L, struct work *w)
{
    int64_t port;
    split_authority(w->x->request.authority, &port);
    lua_pushinteger(L, port >= 0 ? port : 80);
}

void request_push_remote_addr(lua_State *L, struct work *w)
{
    char text[ADDR_TEXT_MAX];
    lua_pushstring(L, addr_host(w->x->peer, text));
}

// An id that other processes will not make: 64 random bits of this one, mixed with a count.
void request_push_id(lua_State *L, struct work *w)
{
    struct handler *h = w->h;
    char text[17];
    uint64_t z = h->id_seed + ++h->id_count * 0x9e3779b97f4a7c15u; // splitmix64: one to one
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)(z ^ z >> 31));
    lua_pushstring(L, text);
}

void request_push_scheme(lua_State *L, struct work *w)
{
    (void)w;
    lua_pushliteral(L, "http");
}

void request_push_remote_port(lua_State *L, struct work *w)
{
    lua_pushinteger(L, addr_port(w->x->peer));
}

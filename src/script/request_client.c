// Fields of the request table that say who the client is, and what it asked: see script/work.h.
// Where a trusted proxy tells of the client (x->client), its word goes before the connection's.
#include "script/luax.h"
#include "script/work.h"

#include <arpa/inet.h>
#include <string.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

// host[:port] of the authority: the host in lower case (brackets of IPv6 kept on), the port or −1.
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

// host[:port] that the client connected to.
static struct str authority(const struct exchange *x)
{
    return x->client && x->client->host.n ? x->client->host : x->request.authority;
}

static struct str scheme(const struct exchange *x)
{
    return x->client && x->client->scheme.n ? x->client->scheme : STR("http");
}

void request_push_scheme(lua_State *L, struct work *w)
{
    luax_push(L, scheme(w->x));
}

void request_push_host(lua_State *L, struct work *w)
{
    int64_t port;
    luax_push_lower(L, split_authority(authority(w->x), &port));
}

// The port in the host that the proxy tells, then the one that it tells alone, then the one in Host,
// then the scheme's.
static int64_t client_port(const struct exchange *x)
{
    const struct forwarded *client = x->client;
    int64_t port;
    split_authority(authority(x), &port);
    if (client && client->host_port && (port < 0 || client->host.n == 0))
        return client->host_port;
    if (port >= 0)
        return port;
    return str_eq(scheme(x), STR("https")) ? HTTPS_PORT : HTTP_PORT;
}

void request_push_port(lua_State *L, struct work *w)
{
    lua_pushinteger(L, client_port(w->x));
}

void request_push_remote_addr(lua_State *L, struct work *w)
{
    char text[ADDR_TEXT_MAX];
    const struct exchange *x = w->x;
    lua_pushstring(L, x->client ? x->client->addr : addr_host(x->peer, text));
}

// 0 where the proxy does not tell it: the connection's would be the proxy's own.
void request_push_remote_port(lua_State *L, struct work *w)
{
    const struct exchange *x = w->x;
    lua_pushinteger(L, x->client ? x->client->port : addr_port(x->peer));
}

void request_push_id(lua_State *L, struct work *w)
{
    luax_push(L, exchange_id(w->x));
}

// client_net(req) → who is counted as one client: the address, of IPv6 its network of 64 bits, since a
// host has all of that to choose from. Not noted as read: no answer is made of it.
int core_client_net(lua_State *L)
{
    char text[ADDR_TEXT_MAX], net[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    const struct exchange *x = request_work(L, 1)->x;
    const char *addr = x->client ? x->client->addr : addr_host(x->peer, text);
    if (inet_pton(AF_INET6, addr, &v6) != 1) {
        lua_pushstring(L, addr);
        return 1;
    }
    memset(v6.s6_addr + 8, 0, 8);
    lua_pushfstring(L, "%s/64", inet_ntop(AF_INET6, &v6, net, sizeof net));
    return 1;
}

// The client behind trusted proxies: see the header. http/forwarded.h says how fields are read; here
// they are collected, and what they do not tell is taken from the connection.
#include "script/client.h"

#include "base/log.h"

#include <stdio.h>

static bool is_trusted(void *arg, struct str address)
{
    return cidr_has_text(arg, address);
}

// All fields of that name; false when there is no memory to join them.
static bool collect(struct exchange *x, struct str name, struct str *out)
{
    *out = request_fields(&x->request, name, &x->arena);
    return out->p || !request_field(&x->request, name).p;
}

static bool collect_all(struct exchange *x, struct forwarded_fields *f)
{
    return collect(x, STR("forwarded"), &f->forwarded) &&
           collect(x, STR("x-forwarded-for"), &f->x_for) &&
           collect(x, STR("x-forwarded-proto"), &f->x_proto) &&
           collect(x, STR("x-forwarded-host"), &f->x_host) &&
           collect(x, STR("x-forwarded-port"), &f->x_port);
}

// The proxy speaks for itself.
static void use_peer(struct forwarded *client, const struct addr *peer)
{
    char text[ADDR_TEXT_MAX];
    snprintf(client->addr, sizeof client->addr, "%.45s", addr_host(peer, text));
    client->port = addr_port(peer);
}

// As much of a field as a line of the log may show.
static struct str shown(struct str field)
{
    return str_of(field.p, field.n < 100 ? field.n : 100);
}

static unsigned dispute(struct exchange *x, const struct forwarded_fields *f)
{
    char text[ADDR_TEXT_MAX];
    log_write(LOG_WARN,
              "400: the proxy %s sent Forwarded (%.*s) and X-Forwarded-For (%.*s), which name "
              "different clients: let it remove the field that it does not write",
              addr_host(x->peer, text), STR_ARG(shown(f->forwarded)), STR_ARG(shown(f->x_for)));
    return 400;
}

unsigned client_find(struct exchange *x, const struct cidr_list *trusted)
{
    struct forwarded_fields f;
    if (trusted->n == 0 || !cidr_has(trusted, x->peer))
        return 0;
    struct forwarded *client = arena_alloc(&x->arena, sizeof *client);
    if (!client || !collect_all(x, &f))
        return 503;
    if (!forwarded_read(&f, is_trusted, (void *)trusted, client))
        return dispute(x, &f);
    if (client->addr[0] == '\0')
        use_peer(client, x->peer);
    x->client = client;
    return 0;
}

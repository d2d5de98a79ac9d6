// Requests that wait for a reload: see the header.
#include "app/hold.h"

// In the exchange's own arena.
struct held {
    struct exchange *x;
    struct held *next;
};

void hold_init(struct hold *h)
{
    h->first = NULL;
    h->last = &h->first;
}

void hold_release(struct hold *h)
{
    struct held *list = h->first;
    hold_init(h); // who comes from here on asks anew
    h->asked = false;
    while (list) {
        struct held *one = list;
        list = one->next; // what it lies in may be gone when the request is over
        h->site->on_request(h->self, one->x);
    }
}

static void on_request(void *self, struct exchange *x)
{
    struct hold *h = self;
    struct held *one = arena_alloc(&x->arena, sizeof *one);
    x->user = NULL; // the site's handler knows nothing of it yet
    if (!one) {
        h->site->on_request(h->self, x);
        return;
    }
    *one = (struct held){.x = x};
    *h->last = one;
    h->last = &one->next;
    if (!h->asked && !(h->asked = h->ask(h->arg)))
        hold_release(h);
}

static bool leave(struct hold *h, const struct exchange *x)
{
    for (struct held **at = &h->first; *at; at = &(*at)->next) {
        if ((*at)->x != x)
            continue;
        *at = (*at)->next;
        if (!*at)
            h->last = at;
        return true;
    }
    return false;
}

static void on_end(void *self, struct exchange *x, bool sent)
{
    struct hold *h = self;
    if (!leave(h, x))
        h->site->on_end(h->self, x, sent);
}

static void on_body(void *self, struct exchange *x, unsigned status, const char *why)
{
    const struct hold *h = self;
    h->site->on_body(h->self, x, status, why);
}

static void on_data(void *self, struct exchange *x, struct str bytes)
{
    const struct hold *h = self;
    h->site->on_data(h->self, x, bytes);
}

const struct http_handler hold_site = {
    .on_request = on_request,
    .on_body = on_body,
    .on_data = on_data,
    .on_end = on_end,
};

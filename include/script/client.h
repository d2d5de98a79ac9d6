// The client behind trusted proxies.
#ifndef LUNETTE_SCRIPT_CLIENT_H
#define LUNETTE_SCRIPT_CLIENT_H

#include "http/exchange.h"
#include "net/cidr.h"

// Sets x->client, in the exchange's arena, when the peer is one of the trusted; otherwise it stays
// NULL, and no field is looked at. 0; or the status to refuse the request with, logged: 400 when
// its fields name two clients, 503 when there is no memory.
unsigned client_find(struct exchange *x, const struct cidr_list *trusted);

#endif

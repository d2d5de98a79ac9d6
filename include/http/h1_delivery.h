// Private to h1*.c: the course of an answer, from the handler's exchange_respond until it is handed
// over to the stream, and what follows then.
#ifndef LUNETTE_HTTP_H1_DELIVERY_H
#define LUNETTE_HTTP_H1_DELIVERY_H

#include "http/h1_conn.h"

// Moves an answered exchange on as far as the queue allows; nothing where there is none.
void h1_deliver(struct h1_conn *c);

#endif

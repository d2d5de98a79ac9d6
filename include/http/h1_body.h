// Private to h1*.c: the bodies of requests, as they come in: received whole, read in parts, or
// dropped. What handlers call of it is exchange_receive, exchange_read, exchange_has_body and
// exchange_take_body (exchange.h).
#ifndef LUNETTE_HTTP_H1_BODY_H
#define LUNETTE_HTTP_H1_BODY_H

#include "http/h1_conn.h"

// The steps of CONN_BODY and CONN_DISCARD; they return how many bytes of in they took.
size_t h1_step_body(struct h1_conn *c, struct str in);
size_t h1_step_discard(struct h1_conn *c, struct str in);
// From CONN_BODY to CONN_HANDLE: tells the handler how its body ended (on_body of struct
// http_handler).
void h1_body_ended(struct h1_conn *c, unsigned status, const char *why);
// Whether what is left of a body that nobody asked for is little enough to be read for the
// connection's sake.
bool h1_worth_discarding(const struct h1_exchange *x);
// Gives up what is left in CONN_DISCARD of a body that nobody asked for. The answer may be on its
// way still.
void h1_stop_discarding(struct h1_conn *c);

#endif

// Private to h1*.c: what an HTTP/1 connection writes of an answer at once.
#ifndef LUNETTE_HTTP_H1_ANSWER_H
#define LUNETTE_HTTP_H1_ANSWER_H

#include "http/h1_conn.h"

// Writes status line, fields and the body as far as it is known; sets what is left to pump.
void h1_write_answer(struct h1_exchange *x, const struct http_response *r);
// An answer that has no exchange: head or framing was bad. head: to HEAD, so without the page.
void h1_write_page(struct h1_conn *c, unsigned status, bool head);

#endif

// Private to h1*.c: the heads of requests as they come in, and the refusal of what is none.
#ifndef LUNETTE_HTTP_H1_HEAD_H
#define LUNETTE_HTTP_H1_HEAD_H

#include "http/h1_conn.h"

// The step of CONN_IDLE and CONN_HEAD. Returns how many bytes of in it took: none before the head
// is complete, then those of the head, and of the body those that the handler took at once.
size_t h1_step_head(struct h1_conn *c, struct str in);
// Answers without an exchange, and closes: the bytes that came are not a request. head: they were
// at least a HEAD, which gets no body. came: the bytes, for the log.
void h1_refuse(struct h1_conn *c, bool head, unsigned status, const char *why, struct str came);

#endif

// Private to h1.c and server.c: HTTP/1 connections, for who accepts them. struct h1_env, which they
// share, is in h1_conn.h, where h1_close is, too.
#ifndef LUNETTE_HTTP_H1_H
#define LUNETTE_HTTP_H1_H

#include "http/h1_conn.h"

// A connection on the stream's socket. False (fd closed) when memory is out.
bool h1_open(struct h1_env *env, int fd, const struct addr *peer, unsigned slot);
// Ends an idle connection now, and any other after its answer.
void h1_drain(struct h1_conn *c);

#endif

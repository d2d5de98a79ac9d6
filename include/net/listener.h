// Listening sockets: opened by the master, accepted from by every worker.
#ifndef LUNETTE_NET_LISTENER_H
#define LUNETTE_NET_LISTENER_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/timeout.h"

// A bound, listening, non-blocking, close-on-exec socket (TCP with SO_REUSEADDR, and TCP_NODELAY,
// TCP_NOTSENT_LOWAT, which accepted sockets inherit; a v6 socket is v6 only; a stale unix socket
// that nobody answers on is removed first; its mode is the umask's). The descriptor, or −errno.
int listener_open(const struct addr *a, int backlog);

// Makes such a socket of one that listens already, bound by somebody else. 0 or −errno; −EINVAL for
// what does not listen.
int listener_adopt(int fd);

struct listener;
// fd is a new non-blocking, close-on-exec connection, now the callee's to close.
typedef void accept_fn(void *arg, int fd, const struct addr *peer);

// Accepts from fd, which stays the caller's, watched with EPOLLEXCLUSIVE: one connection a turn, so
// that the other workers get theirs. On EMFILE, ENFILE, ENOMEM and ENOBUFS it pauses for 100 ms and
// says so in the log, once until a connection is accepted again. fn may free the listener, but not
// when listener_wake calls it. NULL with errno.
struct listener *listener_new(struct loop *l, int fd, accept_fn *fn, void *arg);

// Whether another worker should have the next connection rather than this one.
typedef bool listener_yield_fn(void *arg);
// Asked before each accept (with listener_new's arg). When it says true, which is also its chance
// to wake that worker, the listener steps aside for 2 ms. Connections that nobody took meanwhile it
// takes without asking for the next 100 ms: a worker that is stuck delays nobody by more.
void listener_share(struct listener *li, listener_yield_fn *yield);
// Another worker has stepped aside for this one: accepts what waits, as far as it may.
void listener_wake(struct listener *li);
// Takes the socket out of the loop for good: connections wait in the kernel or go to other workers.
void listener_stop(struct listener *li);
// The descriptor stays open. NULL is harmless.
void listener_free(struct listener *li);

#endif

// The HTTP server of a worker: see the header. It owns what its connections share (struct h1_env).
#include "http/server.h"

#include "base/log.h"
#include "http/access.h"
#include "http/h1.h"
#include "http/status.h"
#include "http/tally.h"
#include "net/listener.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum { LISTENERS_MAX = 64 };

struct server {
    struct h1_env env; // first: closed() gets it back
    struct places *places;
    unsigned worker;   // which one we are there
    int64_t said_full; // the second in which the log was last told of a limit
    struct listener *listeners[LISTENERS_MAX];
    unsigned listener_count;
    struct timeout stop, patience;
    bool closed;       // nothing is accepted any more
    bool held;         // draining waits for more than connections
    struct watch wake; // on our eventfd in places
};

// --- accepting ---

// Says no in a few bytes, without a connection of its own: one that waits would be one too many.
static void turn_away(int fd, unsigned status)
{
    char answer[160], line[STATUS_LINE_MAX];
    struct str first = status_line(status, line);
    int len = snprintf(answer, sizeof answer,
                       "%.*sRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                       STR_ARG(first));
    ssize_t n = send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; // a client that cannot even take this loses nothing
    shutdown(fd, SHUT_WR);
    n = recv(fd, answer, sizeof answer, MSG_DONTWAIT | MSG_TRUNC); // unread bytes would reset it
    close(fd);
}

// Once a second is enough to know.
static void say_full(struct server *s, const char *limit, uint32_t value)
{
    if (s->said_full != loop_wall(s->env.loop))
        log_write(LOG_WARN, "connections are turned away: %s (%u) are open", limit, value);
    s->said_full = loop_wall(s->env.loop);
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
    struct server *s = arg;
    struct tally *tally = s->env.options->tally;
    uint32_t slot;
    switch (places_take(s->places, s->worker, peer, &slot)) {
    case PLACES_TAKEN:
        if (h1_open(&s->env, fd, peer, slot)) {
            if (tally)
                tally_count(tally, TALLY_ACCEPTED);
            break;
        }
        places_give(s->places, s->worker, slot);
        log_write(LOG_ERROR, "out of memory for a connection");
        break;
    case PLACES_FULL:
        if (tally)
            tally_count(tally, TALLY_REFUSED);
        say_full(s, "limits.connections", s->places->total);
        turn_away(fd, 503);
        break;
    case PLACES_FULL_FOR_IP:
        if (tally)
            tally_count(tally, TALLY_REFUSED_FOR_IP);
        say_full(s, "limits.connections_per_ip", s->places->per_ip);
        turn_away(fd, 429);
    }
}

// The kernel wakes whom it likes, and without this one worker may end up with all connections.
static bool yields(void *arg)
{
    struct server *s = arg;
    unsigned other = places_fewest(s->places, s->worker);
    if (other == s->worker)
        return false;
    eventfd_write(s->places->wake[other], 1);
    return true;
}

static void on_woken(struct watch *w, uint32_t events)
{
    struct server *s = (struct server *)((char *)w - offsetof(struct server, wake));
    eventfd_t count;
    (void)events;
    eventfd_read(w->fd, &count);
    bool accepts = !s->closed;
    for (unsigned i = 0; i < s->listener_count && accepts; i++)
        listener_wake(s->listeners[i]);
}

static void stop_if_drained(struct server *s)
{
    if (s->env.draining && s->env.connection_count == 0 && !s->held)
        loop_stop(s->env.loop);
}

void server_hold(struct server *s, bool held)
{
    s->held = held;
    stop_if_drained(s);
}

static void on_conn_closed(struct h1_env *env, struct h1_conn *c)
{
    struct server *s = (struct server *)env;
    places_give(s->places, s->worker, c->slot);
    stop_if_drained(s);
}

// Closes all that is open. Each request under way is noted, a head that has come in part as well.
static void cut_connections(struct server *s)
{
    s->env.cuts = true;
    for (struct h1_conn *c = s->env.connections; c; c = c->next) {
        if (c->state == CONN_HEAD)
            access_note_refused(c, stream_waiting(c->stream), ACCESS_CUT);
        h1_close(c);
    }
}

static void on_stop_timeout(struct timeout *t)
{
    struct server *s = (struct server *)((char *)t - offsetof(struct server, stop));
    if (s->env.connection_count > 0)
        log_write(LOG_WARN, "%u connections were cut: their answers took longer than timeouts.stop",
                  s->env.connection_count);
    cut_connections(s);
    loop_stop(s->env.loop);
}

static void drain_connections(struct server *s)
{
    for (struct h1_conn *c = s->env.connections; c; c = c->next)
        h1_drain(c);
    stop_if_drained(s);
}

static void on_patience(struct timeout *t)
{
    struct server *s = (struct server *)((char *)t - offsetof(struct server, patience));
    s->env.patient = false;
    drain_connections(s);
}

struct server *server_new(struct loop *l, const struct server_options *o, struct places *places,
                          unsigned worker, const struct http_handler *handler, void *self)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->places = places;
    s->worker = worker;
    s->env = (struct h1_env){
        .loop = l,
        .options = o,
        .handler = handler,
        .self = self,
        .closed = on_conn_closed,
        .fields = calloc(o->head.fields + 1, sizeof(struct h1_field)),
        .streams = stream_pool_new(l),
    };
    timeout_init(&s->stop, on_stop_timeout);
    timeout_init(&s->patience, on_patience);
    s->wake.fd = -1;
    if (!s->env.fields || !s->env.streams ||
        getrandom(&s->env.id_seed, sizeof s->env.id_seed, 0) != sizeof s->env.id_seed ||
        loop_add(l, &s->wake, places->wake[worker], EPOLLIN, on_woken) < 0) {
        server_free(s);
        return NULL;
    }
    return s;
}

void server_use(struct server *s, void *self)
{
    s->env.self = self;
}

int server_listen(struct server *s, int fd)
{
    if (s->listener_count == LISTENERS_MAX)
        return -ENOBUFS;
    struct listener *li = listener_new(s->env.loop, fd, on_accept, s);
    if (!li)
        return -errno;
    listener_share(li, yields);
    s->listeners[s->listener_count++] = li;
    return 0;
}

void server_adopt(struct server *s, int fd, const struct addr *peer)
{
    on_accept(s, fd, peer);
}

void server_stop_listening(struct server *s)
{
    s->closed = true;
    for (unsigned i = 0; i < s->listener_count; i++)
        listener_stop(s->listeners[i]);
}

void server_drain(struct server *s)
{
    if (s->env.draining && !s->env.patience_ms)
        return;
    bool begins = !s->env.draining;
    s->env.draining = true;
    s->env.patient = false;
    s->env.patience_ms = 0;
    if (begins && !s->env.options->stays_open)
        server_stop_listening(s);
    if (begins)
        timeout_set(s->env.loop, &s->stop, s->env.options->stop_ms);
    drain_connections(s);
}

void server_leave(struct server *s, uint32_t patience_ms)
{
    if (s->env.draining)
        return;
    server_stop_listening(s);
    s->env.draining = true;
    s->env.patient = timeout_set(s->env.loop, &s->patience, patience_ms);
    s->env.patience_ms = patience_ms;
    timeout_set(s->env.loop, &s->stop, s->env.options->stop_ms);
    drain_connections(s);
}

void server_free(struct server *s)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        listener_free(s->listeners[i]);
    s->env.draining = true; // for whom the last turn calls: there is nothing left to drain
    s->env.patience_ms = 0;
    timeout_remove(s->env.loop, &s->stop);
    timeout_remove(s->env.loop, &s->patience);
    loop_del(s->env.loop, &s->wake);
    cut_connections(s);
    loop_turn(s->env.loop, 0); // streams and connections free themselves at the end of a turn
    while (s->env.spares) {
        struct h1_exchange *x = s->env.spares;
        s->env.spares = x->spare;
        spool_fini(&x->pub.body);
        arena_fini(&x->pub.arena);
        free(x);
    }
    if (s->env.streams)
        stream_pool_free(s->env.streams);
    free(s->env.fields);
    free(s);
}

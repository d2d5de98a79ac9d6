// The HTTP server of a worker: see the header. It owns what its connections share (struct h1_env).
#include "http/server.h"

#include "base/log.h"
#include "http/h1_conn.h"
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTENERS_MAX = 64 };

struct server {
    struct h1_env env; // first: closed() gets it back
    struct server_shared *shared;
    unsigned worker; // our place in shared
    struct listener *listeners[LISTENERS_MAX];
    unsigned listener_count;
    struct timeout stop;
};

static bool take_place(struct server *s)
{
    const struct server_options *o = s->env.options;
    uint32_t open = 0;
    for (unsigned i = 0; i < s->shared->workers; i++)
        open += s->shared->connections[i];
    if (open >= o->connections)
        return false;
    s->shared->connections[s->worker]++;
    return true;
}

// Says no in a few bytes, without a connection of its own: one that waits would be one too many.
static void turn_away(int fd)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    ssize_t n = send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; // a client that cannot even take this loses nothing
    close(fd);
}

static void on_accept(void *arg, int fd, const struct addr *peer)
{
    struct server *s = arg;
    if (!take_place(s)) {
        static int64_t said; // once a second is enough to know
        if (said != loop_wall(s->env.loop))
            log_write(LOG_WARN, "503: limits.connections (%u) are open",
                      s->env.options->connections);
        said = loop_wall(s->env.loop);
        turn_away(fd);
        return;
    }
    if (!h1_open(&s->env, fd, peer, 0)) {
        s->shared->connections[s->worker]--;
        log_write(LOG_ERROR, "out of memory for a connection");
    }
}

static void stop_if_drained(struct server *s)
{
    if (s->env.draining && s->env.connection_count == 0)
        loop_stop(s->env.loop);
}

static void on_conn_closed(struct h1_env *env, struct h1_conn *c)
{
    struct server *s = (struct server *)env;
    (void)c;
    s->shared->connections[s->worker]--;
    stop_if_drained(s);
}

static void on_stop_timeout(struct timeout *t)
{
    struct server *s = (struct server *)((char *)t - offsetof(struct server, stop));
    log_write(LOG_WARN, "%u connections were cut: their answers took longer than timeouts.stop",
              s->env.connection_count);
    for (struct h1_conn *c = s->env.connections; c; c = c->next)
        h1_close(c);
    loop_stop(s->env.loop);
}

struct server *server_new(struct loop *l, const struct server_options *o,
                          struct server_shared *shared, unsigned worker,
                          const struct http_handler *handler, void *self)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->shared = shared;
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
    shared->connections[worker] = 0;
    if (!s->env.fields || !s->env.streams) {
        server_free(s);
        return NULL;
    }
    return s;
}

int server_listen(struct server *s, int fd)
{
    if (s->listener_count == LISTENERS_MAX)
        return -ENOBUFS;
    struct listener *li = listener_new(s->env.loop, fd, on_accept, s);
    if (!li)
        return -errno;
    s->listeners[s->listener_count++] = li;
    return 0;
}

void server_drain(struct server *s)
{
    if (s->env.draining)
        return;
    s->env.draining = true;
    for (unsigned i = 0; i < s->listener_count; i++)
        listener_pause(s->listeners[i]);
    for (struct h1_conn *c = s->env.connections; c; c = c->next)
        h1_drain(c);
    timeout_set(s->env.loop, &s->stop, s->env.options->stop_ms);
    stop_if_drained(s);
}

void server_free(struct server *s)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        listener_free(s->listeners[i]);
    timeout_remove(s->env.loop, &s->stop);
    for (struct h1_conn *c = s->env.connections; c; c = c->next)
        h1_close(c);
    loop_turn(s->env.loop, 0); // streams and connections free themselves at the end of a turn
    while (s->env.spares) {
        struct h1_exchange *x = s->env.spares;
        s->env.spares = x->spare;
        arena_fini(&x->pub.arena);
        free(x);
    }
    if (s->env.streams)
        stream_pool_free(s->env.streams);
    free(s->env.fields);
    free(s);
}

unsigned server_connections(const struct server *s)
{
    return s->env.connection_count;
}

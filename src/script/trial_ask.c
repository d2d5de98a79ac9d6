// lunette.trial's ask: a request of a test, through the server that a visitor's goes through.
//
// A pair of sockets is a connection: one end is given to the server, as if it had accepted it; the
// other is driven here, by the same loop, while the test's coroutine waits. Both directions go on at
// once, since an answer may come before the whole request is sent.
#include "script/lua_trial.h"

#include "base/buf.h"
#include "http/server.h"
#include "script/co.h"
#include "script/luax.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 64 << 10, SHARE = 16 * PIECE }; // bytes of a read, and of a turn

static const char CLASS[] = "lunette.trial.asking";

struct asking {
    struct co_wait wait; // first: finish and cancel get it back
    struct loop *loop;
    struct watch watch;
    int fd;         // −1: closed
    struct str out; // what is left of the request, whose string is on the stack
    struct buf in;
    const char *wrong; // NULL: the answer is there
};

static struct asking *of_watch(struct watch *w)
{
    return (struct asking *)((char *)w - offsetof(struct asking, watch));
}

static void hang_up(struct asking *a)
{
    if (a->fd < 0)
        return;
    loop_del(a->loop, &a->watch);
    close(a->fd);
    a->fd = -1;
}

static void end(struct asking *a, const char *wrong)
{
    a->wrong = wrong;
    hang_up(a);
    co_wake(&a->wait);
}

// A server that takes no more may have answered already: what it says is read in any case.
static void send_more(struct asking *a)
{
    while (a->out.n) {
        ssize_t n = send(a->fd, a->out.p, a->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        size_t done = n < 0 ? a->out.n : (size_t)n;
        a->out.p += done;
        a->out.n -= done;
    }
    loop_mod(a->loop, &a->watch, EPOLLIN);
}

// False: it is over.
static bool receive_more(struct asking *a)
{
    for (size_t share = 0; share < SHARE;) {
        char *room = buf_room(&a->in, PIECE);
        if (!room) {
            end(a, "the answer is larger than 64 MiB");
            return false;
        }
        ssize_t n = recv(a->fd, room, PIECE, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) { // a reset is an end, too
            end(a, NULL);
            return false;
        }
        buf_added(&a->in, (size_t)n);
        share += (size_t)n;
    }
    return true;
}

static void on_events(struct watch *w, uint32_t events)
{
    struct asking *a = of_watch(w);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !receive_more(a))
        return;
    if (events & EPOLLOUT)
        send_more(a);
}

static int answered(lua_State *L, struct co_wait *w)
{
    struct asking *a = (struct asking *)w;
    if (a->wrong) {
        luaL_pushfail(L);
        lua_pushstring(L, a->wrong);
        return 2;
    }
    luax_push(L, buf_str(&a->in));
    buf_fini(&a->in);
    return 1;
}

static void cancelled(struct co_wait *w)
{
    hang_up((struct asking *)w);
}

static int asking_gc(lua_State *L)
{
    struct asking *a = lua_touserdata(L, 1);
    hang_up(a);
    buf_fini(&a->in);
    return 0;
}

static struct asking *push_asking(lua_State *L, const struct trial *t)
{
    struct asking *a = lua_newuserdatauv(L, sizeof *a, 0);
    *a = (struct asking){.wait = {.finish = answered, .cancel = cancelled},
                         .loop = t->loop,
                         .watch = {.fd = -1},
                         .fd = -1};
    buf_init(&a->in, TRIAL_ANSWER_MAX + PIECE);
    if (luaL_newmetatable(L, CLASS)) {
        lua_pushcfunction(L, asking_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return a;
}

// 0 or −errno. The server's visitor is 127.0.0.1.
static int connect_to(struct asking *a, struct server *server)
{
    struct addr peer = {.len = sizeof peer.v4};
    int pair[2];
    peer.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    int rc = loop_add(a->loop, &a->watch, pair[0], EPOLLIN | EPOLLOUT, on_events);
    if (rc < 0) {
        close(pair[0]);
        close(pair[1]);
        return rc;
    }
    a->fd = pair[0];
    server_adopt(server, pair[1], &peer);
    return 0;
}

int trial_ask(lua_State *L)
{
    const struct trial *t = lua_touserdata(L, lua_upvalueindex(1));
    struct str out = luax_check_str(L, 1);
    lua_settop(L, 1);
    struct asking *a = push_asking(L, t);
    a->out = out;
    int rc = connect_to(a, t->server);
    if (rc < 0)
        return luax_fail(L, -rc);
    return co_wait(L, &a->wait);
}

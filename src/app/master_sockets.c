// The steps of the start that open listening sockets.
//
// A unix socket is a file, and a stale one is removed before it is bound: nobody may have root do
// that where he could not do it himself. Who has named it says with whose rights it is made:
//
//      the command line, or a config.lua of root's    root binds it, and gives it to the site's
//                                                     user. Beneath a descriptor of its folder,
//                                                     where somebody else can change the way there
//      another config.lua                             the site's user, whom the server has become
#include "app/files.h"
#include "app/inherit.h"
#include "app/master_inside.h"
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; // the kernel cuts it to net.core.somaxconn

static unsigned count(const struct config *c)
{
    return c->listen_addrs + c->side_addrs;
}

static bool is_unix(const struct addr *a)
{
    return a->sa.sa_family == AF_UNIX;
}

static bool root_has_named(const struct config *c, unsigned i)
{
    return c->file_is_roots || (i < c->listen_addrs && c->listen_given);
}

static bool is_for_later(const struct config *c, unsigned i)
{
    return c->as_root && is_unix(&c->listen[i]) && !root_has_named(c, i);
}

// The i-th address is that of a socket which the program was started with.
static bool take_inherited(struct master *m, unsigned i)
{
    const struct addr *a = &m->config->listen[i];
    const struct inherited_socket *s = inherit_find(m->inherited, a);
    if (!s)
        return false;
    m->sockets[i] = s->fd;
    master_share_socket(m, i, s->shared || m->inherited->replaces);
    if (is_unix(a))
        files_know_socket(a->un.sun_path, &m->socket_ids[i]);
    return true;
}

// A socket with a name in an open folder: the descriptor or −errno.
static int listen_in(int folder, const char *name)
{
    struct addr a = {.un.sun_family = AF_UNIX, .len = sizeof a.un};
    int n = snprintf(a.un.sun_path, sizeof a.un.sun_path, "/proc/self/fd/%d/%s", folder, name);
    return n < (int)sizeof a.un.sun_path ? listener_open(&a, BACKLOG) : -ENAMETOOLONG;
}

// With root's rights. Where nobody can change the way the socket has the name that it is known by,
// for ss.
static int listen_as_root(const struct addr *a, const struct identity *owner, struct file_id *id)
{
    const char *path = a->un.sun_path, *name;
    int folder = files_open_parent(path, &name);
    if (folder < 0)
        return folder;
    int fd = files_others_may_change(path) ? listen_in(folder, name) : listener_open(a, BACKLOG);
    int rc = fd < 0 ? fd : files_own_socket_in(folder, name, owner, id);
    close(folder);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static int listen_on_file(const struct config *c, const struct addr *a, struct file_id *id)
{
    const struct identity *owner = c->as_root && !c->stays_root ? &c->become : NULL;
    if (geteuid() == 0)
        return listen_as_root(a, owner, id);
    int fd = listener_open(a, BACKLOG);
    int rc = fd < 0 ? fd : files_own_socket(a->un.sun_path, owner, id);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static bool complain(const struct master *m, unsigned i, int err)
{
    const struct config *c = m->config;
    char text[ADDR_TEXT_MAX];
    addr_format(&c->listen[i], text);
    if (err == ELOOP)
        return master_complain(m,
                               "cannot listen on %s: the way to it leads through a link that "
                               "another user could have made",
                               text);
    if (is_for_later(c, i) && (err == EACCES || err == EPERM))
        return master_complain(
            m,
            "cannot listen on %s: %s. The socket is made as %s:%s, since %s, which names it, is "
            "not root's alone: name it with --listen, make root the owner of that file, or give "
            "that user the folder",
            text, strerror(err), c->become.user, c->become.group, c->file);
    return master_complain(m, "cannot listen on %s: %s", text, strerror(err));
}

static bool open_socket(struct master *m, unsigned i)
{
    const struct addr *a = &m->config->listen[i];
    if (take_inherited(m, i))
        return true;
    int fd =
        is_unix(a) ? listen_on_file(m->config, a, &m->socket_ids[i]) : listener_open(a, BACKLOG);
    if (fd < 0)
        return complain(m, i, -fd);
    master_share_socket(m, i, false);
    m->sockets[i] = fd;
    return true;
}

static bool make_room(struct master *m)
{
    unsigned n = count(m->config);
    assert(n <= SOCKETS_MAX); // config_listen.c
    m->sockets = calloc(n, sizeof *m->sockets);
    m->socket_ids = calloc(n, sizeof *m->socket_ids);
    m->socket_shared = calloc(n, sizeof *m->socket_shared);
    void *owns = mmap(NULL, OWNS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->owns_socket = owns == MAP_FAILED ? NULL : owns;
    if (!m->sockets || !m->socket_ids || !m->socket_shared || !m->owns_socket)
        return master_complain(m, "not enough memory for %u sockets", n);
    for (unsigned i = 0; i < n; i++)
        m->sockets[i] = -1;
    m->socket_count = n;
    return true;
}

bool master_open_sockets(struct master *m)
{
    if (!make_room(m))
        return false;
    for (unsigned i = 0; i < m->socket_count; i++)
        if (!is_for_later(m->config, i) && !open_socket(m, i))
            return false;
    return true;
}

bool master_open_late_sockets(struct master *m)
{
    for (unsigned i = 0; i < m->socket_count; i++)
        if (is_for_later(m->config, i) && !open_socket(m, i))
            return false;
    return true;
}

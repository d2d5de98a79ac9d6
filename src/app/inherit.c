// What the program was started with: see the header.
#include "app/inherit.h"

#include "base/log.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 3 }; // sd_listen_fds(3)

static const char SOCKETS[] = "LUNETTE_SOCKETS", HANDOVER[] = "LUNETTE_HANDOVER";

// The number in a variable; 0: there is none.
static unsigned number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t n;
    return text && str_to_u64(str_z(text), &n) && n <= INT32_MAX ? (unsigned)n : 0;
}

static struct inherited_socket *add(struct inherited *in, int fd, bool shared)
{
    int rc = in->n == INHERIT_MAX ? -ENOBUFS : listener_adopt(fd);
    if (rc < 0) {
        log_write(LOG_WARN, "descriptor %d, which the server was started with, is not used: %s", fd,
                  rc == -EINVAL ? "it is no stream socket that listens" : strerror(-rc));
        if (rc != -EBADF)
            close(fd);
        return NULL;
    }
    struct inherited_socket *s = &in->socket[in->n++];
    *s = (struct inherited_socket){.fd = fd, .shared = shared};
    return s;
}

static void name(struct inherited_socket *s)
{
    struct addr a = {.len = sizeof a.storage};
    if (getsockname(s->fd, &a.sa, &a.len) == 0)
        addr_format(&a, s->text);
}

static void read_systemd(struct inherited *in)
{
    unsigned n = number_of("LISTEN_FDS");
    if (number_of("LISTEN_PID") != (unsigned)getpid())
        n = 0; // meant for another process
    for (unsigned i = 0; i < n && i < 2 * INHERIT_MAX; i++) {
        struct inherited_socket *s = add(in, FIRST + (int)i, true);
        if (s)
            name(s);
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
}

bool inherit_note(char *dst, size_t cap, int fd, bool shared, const char *text)
{
    size_t n = strlen(dst);
    int more = n < cap ? snprintf(dst + n, cap - n, "%d=%s%s\n", fd, shared ? "+" : "", text) : -1;
    if (more > 0 && (size_t)more < cap - n)
        return true;
    if (n < cap)
        dst[n] = '\0';
    return false;
}

static void read_predecessor(struct inherited *in)
{
    const char *text = getenv(SOCKETS);
    struct str rest = str_z(text ? text : ""), line;
    in->replaces = text != NULL;
    while (rest.n && str_split(&rest, '\n', &line)) {
        struct str number;
        uint64_t fd;
        str_split(&line, '=', &number);
        bool shared = line.n && line.p[0] == '+';
        struct inherited_socket *s =
            str_to_u64(number, &fd) && fd <= INT32_MAX ? add(in, (int)fd, shared) : NULL;
        if (s) // as it was set: port 0 stays port 0
            snprintf(s->text, sizeof s->text, "%.*s", (int)line.n - shared, line.p + shared);
    }
    unsetenv(SOCKETS);
}

// "line=7 cache=8 first=128 …": numbers, of which descriptors are made our own.
static void read_handover(struct inherited *in)
{
    const struct {
        const char *name;
        int *fd;
    } fds[] = {{"line", &in->line},   {"pid_file", &in->pid_file}, {"control", &in->control},
               {"cache", &in->cache}, {"error", &in->error_log},   {"access", &in->access_log},
               {"out", &in->out},     {"err", &in->err},           {"reaper", &in->reaper}};
    const char *text = getenv(HANDOVER);
    struct str rest = str_z(text ? text : ""), name;
    for (struct str word; rest.n && str_split(&rest, ' ', &word);) {
        uint64_t n;
        str_split(&word, '=', &name);
        if (!str_to_u64(word, &n))
            continue;
        if (str_eq(name, STR("inode")))
            in->control_inode = n;
        else if (str_eq(name, STR("first")) && n < INT32_MAX)
            in->cache_first = (unsigned)n;
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
            if (str_eq(name, str_z(fds[i].name)) && n <= INT32_MAX &&
                fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0)
                *fds[i].fd = (int)n;
    }
    unsetenv(HANDOVER);
}

// The path by which the program was called, so that what lies there later is found; where that was by
// a name alone, the file that the kernel took.
static void find_program(struct inherited *in)
{
    const char *called = in->argv[0];
    char folder[PATH_MAX];
    int n = -1;
    if (called[0] == '/')
        n = snprintf(in->program, sizeof in->program, "%s", called);
    else if (strchr(called, '/') && getcwd(folder, sizeof folder))
        n = snprintf(in->program, sizeof in->program, "%s/%s", folder, called);
    else if ((n = (int)readlink("/proc/self/exe", in->program, sizeof in->program - 1)) >= 0)
        in->program[n] = '\0';
    if (n < 0 || n >= (int)sizeof in->program)
        in->program[0] = '\0';
}

void inherit_read(struct inherited *in, char *const *argv)
{
    *in = (struct inherited){.line = -1,
                             .reaper = -1,
                             .pid_file = -1,
                             .control = -1,
                             .cache = -1,
                             .error_log = -1,
                             .access_log = -1,
                             .out = -1,
                             .err = -1,
                             .argv = argv};
    read_systemd(in);
    read_predecessor(in);
    read_handover(in);
    find_program(in);
}

int inherit_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

const struct inherited_socket *inherit_find(struct inherited *in, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    for (unsigned i = 0; i < in->n; i++) {
        struct inherited_socket *s = &in->socket[i];
        if (s->taken || strcmp(s->text, text) != 0)
            continue;
        s->taken = true;
        return s;
    }
    return NULL;
}

void inherit_close_rest(struct inherited *in)
{
    for (unsigned i = 0; i < in->n; i++) {
        struct inherited_socket *s = &in->socket[i];
        if (s->taken)
            continue;
        s->taken = true;
        close(s->fd);
        if (!in->replaces || s->shared)
            log_write(LOG_WARN,
                      "the server was started with a socket on %s, where no setting has it listen: "
                      "nobody answers there",
                      s->text);
    }
    int *rest[] = {&in->pid_file,   &in->control, &in->cache, &in->error_log,
                   &in->access_log, &in->out,     &in->err};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (*rest[i] >= 0)
            close(inherit_take(rest[i]));
}

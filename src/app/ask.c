// A word to a running server: see the header. What comes back is printed as text, whoever wrote it:
// no control byte of it reaches the terminal.
#include "app/ask.h"

#include "app/config.h"
#include "app/control.h"
#include "app/control_place.h"
#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { END_MS = 10 * 1000 }; // between its last word and its end

static int fail(const char *dir, const char *path, int err)
{
    if (err == ENOENT || err == ECONNREFUSED || err == ENOTDIR)
        fprintf(stderr, "lunette: no server runs for %s: nobody answers on %s\n", dir, path);
    else if (err == EACCES || err == EPERM)
        fprintf(stderr, "lunette: only root and the user of the server may speak to it: %s: %s\n",
                path, strerror(err));
    else
        fprintf(stderr, "lunette: cannot speak to the server of %s: %s: %s\n", dir, path,
                strerror(err));
    return 1;
}

// Everything it says until it closes. 0 or −errno.
static int collect(int fd, struct buf *answer, int *end)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char *room = buf_room(answer, 4096);
        if (!room)
            return -EMSGSIZE;
        poll(&p, 1, -1);
        ssize_t n = recv(fd, room, 4096, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errno == ECONNRESET ? 0 : -errno;
        if (n <= 0)
            continue;
        buf_added(answer, (size_t)n);
        bool line = answer->p[answer->n - 1] == '\n';
        answer->p[answer->n] = '\0'; // buf_room leaves a byte for it
        int pid;
        if (line && *end < 0 && sscanf(answer->p, "stopping %d\n", &pid) == 1)
            *end = pidfd_open(pid, 0);
    }
}

static void print(FILE *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        fputc(control ? '?' : c, out);
    }
}

// Takes the last line off; whether that is "ok".
static bool verdict(struct str *answer, bool *known)
{
    bool ok = answer->n >= 3 && memcmp(answer->p + answer->n - 3, "ok\n", 3) == 0;
    bool failed = answer->n >= 7 && memcmp(answer->p + answer->n - 7, "failed\n", 7) == 0;
    answer->n -= ok ? 3 : failed ? 7 : 0;
    *known = ok || failed;
    return ok;
}

static int tell(const char *word, struct buf *answer)
{
    bool known, stops = strcmp(word, "stop") == 0;
    struct str text = buf_str(answer);
    bool ok = verdict(&text, &known);
    if (stops && (ok || (!known && text.n)))
        return 0; // it has ended, and that is all
    if (!ok)
        fputs("lunette: ", stderr);
    print(ok ? stdout : stderr, text);
    if (!known)
        fputs("the server ended before it had answered\n", stderr);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}

static int speak(int fd, const char *word)
{
    struct buf answer;
    char line[CONTROL_WORD_MAX];
    int end = -1;
    buf_init(&answer, 2 * CONTROL_ANSWER_MAX);
    int n = snprintf(line, sizeof line, "%s\n", word);
    ssize_t sent = send(fd, line, (size_t)n, MSG_NOSIGNAL);
    int rc = sent < 0 && errno != EPIPE ? -errno : 0; // who refuses says why before it closes
    if (rc == 0)
        rc = collect(fd, &answer, &end);
    if (end >= 0)
        poll(&(struct pollfd){.fd = end, .events = POLLIN}, 1, END_MS), close(end);
    int status = 1;
    if (rc < 0)
        fprintf(stderr, "lunette: the server does not answer: %s\n", strerror(-rc));
    else
        status = tell(word, &answer);
    buf_fini(&answer);
    return status;
}

// Where it was looked for, and what came of it.
struct search {
    char tried[CONTROL_PLACES * 1024]; // "/run/lunette/…, /tmp/…"; or the one that matters
    int rc;                            // −ENOENT: nobody answers in any of them
};

// The connected socket, or −1.
static int try_place(struct search *s, const char *path, uid_t uid)
{
    int rc = control_place_check(path, uid);
    int fd = rc < 0 ? rc : control_connect(path);
    if (fd >= 0)
        return fd;
    size_t n = strlen(s->tried);
    if (fd != -ENOENT && fd != -ECONNREFUSED && fd != -ENOTDIR)
        n = 0, s->rc = fd; // somebody is there who does not speak with us
    snprintf(s->tried + n, sizeof s->tried - n, "%s%s", n ? ", " : "", path);
    return -1;
}

// root looks for the servers of the site's user, too.
static int search_places(struct search *s, const char *site, uid_t owner)
{
    char path[PATH_MAX];
    uid_t me = geteuid();
    int fd = -1;
    if (me != 0)
        owner = me;
    for (unsigned i = 0; i < CONTROL_PLACES && fd < 0 && s->rc == -ENOENT; i++)
        if (control_place(i, site, me, path))
            fd = try_place(s, path, i < CONTROL_PLACES_UID ? owner : me);
    for (unsigned i = CONTROL_PLACES_UID; me == 0 && owner != 0; i++) {
        if (i == CONTROL_PLACES || fd >= 0 || s->rc != -ENOENT)
            break;
        if (control_place(i, site, owner, path))
            fd = try_place(s, path, owner);
    }
    return fd;
}

int ask_server(const struct cli *cli)
{
    static char why[CONFIG_WHY_MAX];
    static struct search s = {.rc = -ENOENT};
    char real[PATH_MAX];
    struct stat st;
    struct config c;
    bool loaded = config_load(cli, &c, why);
    if (!realpath(cli->dir, real) || stat(real, &st) != 0) {
        fprintf(stderr, "lunette: %s: %s\n", cli->dir, strerror(errno));
        config_fini(&c);
        return 1;
    }
    // Of settings that fail the running server will tell; and it is where it was.
    int fd = -1;
    if (loaded && c.control) {
        fd = control_connect(c.control);
        s.rc = fd;
        snprintf(s.tried, sizeof s.tried, "%s", c.control);
    } else {
        fd = search_places(&s, real, loaded ? c.become.uid : st.st_uid);
    }
    config_fini(&c);
    if (fd < 0 && !loaded)
        fprintf(stderr, "lunette: %s\n", why);
    if (fd < 0)
        return fail(cli->dir, s.tried, -s.rc);
    int status = speak(fd, cli->name);
    close(fd);
    return status;
}

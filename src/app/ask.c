// A word to a running server: see the header. Here it is found; talk.c speaks with it.
#include "app/ask.h"

#include "app/config.h"
#include "app/control_place.h"
#include "app/talk.h"
#include "base/plain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Paths and words of config.lua are those of who wrote it.
static void say(const char *sentence)
{
    fputs("lunette: ", stderr);
    plain_write(stderr, str_z(sentence));
    fputs("\n", stderr);
}

static int fail(const char *dir, const char *path, int err)
{
    char text[CONTROL_PLACES * 1024 + 2 * PATH_MAX];
    if (err == ENOENT || err == ECONNREFUSED || err == ENOTDIR)
        snprintf(text, sizeof text, "no server runs for %s: nobody answers on %s", dir, path);
    else if (err == EACCES || err == EPERM)
        snprintf(text, sizeof text, "only root and the user of the server may speak to it: %s: %s",
                 path, strerror(err));
    else if (err == EAGAIN)
        snprintf(text, sizeof text,
                 "the server of %s does not answer: the queue of %s stays full. Its master is "
                 "stopped (kill -CONT lets it go on), or stuck",
                 dir, path);
    else
        snprintf(text, sizeof text, "cannot speak to the server of %s: %s: %s", dir, path,
                 strerror(err));
    say(text);
    return 1;
}

// Where it was looked for, and what came of it.
struct search {
    char tried[CONTROL_PLACES * 1024]; // "/run/lunette/…, /tmp/…"; or the one that matters
    char path[PATH_MAX];               // of the one that answers
    int rc;                            // −ENOENT: nobody answers in any of them
    struct talk_trust trust;           // who may listen there
};

static void note(struct search *s, const char *path, const char *more)
{
    size_t n = strlen(s->tried);
    snprintf(s->tried + n, sizeof s->tried - n, "%s%s%s", n ? ", " : "", path, more);
}

// The connected socket, or −1. A place that another user has made hides no other one, nor does a link,
// which no server makes.
static int try_place(struct search *s, const char *path, uid_t uid)
{
    int rc = control_place_check(path, uid);
    int fd = rc < 0 ? rc : talk_connect(path);
    snprintf(s->path, sizeof s->path, "%s", path);
    if (fd >= 0)
        return fd;
    bool somebody =
        rc == 0 && fd != -ENOENT && fd != -ECONNREFUSED && fd != -ENOTDIR && fd != -ELOOP;
    if (somebody)
        s->tried[0] = '\0', s->rc = fd; // who does not speak with us
    note(s, path,
         rc == -EPERM   ? " (where a folder is another user's)"
         : fd == -ELOOP ? " (where a link is)"
                        : "");
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

// At one of the default places: in a folder of root's, ours or the site's user's, one of a server lies,
// whose user alone listens in it. What he puts there instead, of root's for instance, is told nothing.
static int find_default(struct search *s, const char *site, uid_t owner)
{
    uid_t uid;
    int fd = search_places(s, site, owner);
    if (fd >= 0 && control_place_owner(s->path, &uid) == 0)
        talk_trust(&s->trust, uid);
    return fd;
}

// Where config.lua says. A file that root alone has written may name what root has; through another
// one its author must not have root say a word to some other server of root's.
static int find_named(struct search *s, const struct config *c)
{
    int fd = talk_connect(c->control);
    s->rc = fd;
    snprintf(s->path, sizeof s->path, "%s", c->control);
    note(s, c->control, "");
    talk_trust(&s->trust, c->become.uid);
    if (!c->as_root || c->file_is_roots) {
        talk_trust(&s->trust, 0);
        talk_trust(&s->trust, geteuid());
    }
    return fd;
}

// After the end of a server that root had started: it had no right to remove its folder, as root has.
static int ask(int fd, const struct search *s, const char *word, bool named, int64_t *until)
{
    if (*until == 0)
        *until = talk_until(word);
    int status = talk(fd, s->path, &s->trust, word, *until);
    if (status == 0 && !named && strcmp(word, "stop") == 0 && geteuid() == 0 &&
        control_place_check(s->path, 0) == 0)
        control_place_leave(s->path);
    return status;
}

// The exit status; TALK_AGAIN: whoever was found has been replaced. *until: of talk_until; 0 before
// the first was found.
static int find_and_ask(const struct cli *cli, int64_t *until)
{
    static char why[CONFIG_WHY_MAX];
    static struct search s;
    char real[PATH_MAX];
    struct stat st;
    struct config c;
    s = (struct search){.rc = -ENOENT};
    bool loaded = config_load(cli, &c, why);
    if (!realpath(cli->dir, real) || stat(real, &st) != 0) {
        fprintf(stderr, "lunette: %s: %s\n", cli->dir, strerror(errno));
        config_fini(&c);
        return 1;
    }
    // Of settings that fail the running server will tell; and it is where it was.
    bool named = loaded && c.control;
    int fd = named ? find_named(&s, &c) : find_default(&s, real, loaded ? c.become.uid : st.st_uid);
    config_fini(&c);
    if (fd < 0 && !loaded)
        say(why);
    if (fd < 0)
        return fail(cli->dir, s.tried, -s.rc);
    int status = talk_believes(fd, s.path, &s.trust) ? ask(fd, &s, cli->name, named, until) : 1;
    close(fd);
    return status;
}

// Another program that takes over may have its socket elsewhere.
int ask_server(const struct cli *cli)
{
    int64_t until = 0;
    int status;
    do
        status = find_and_ask(cli, &until);
    while (status == TALK_AGAIN);
    return status;
}

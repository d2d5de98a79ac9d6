// A word to a running server: see the header. What comes back goes to the terminal by plain_write
// alone.
#include "app/talk.h"

#include "app/control.h"
#include "base/buf.h"
#include "base/plain.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 20 }; // between two tries to connect

struct talk {
    int fd;
    const char *path;
    const struct talk_trust *trust;
    bool works;       // it may be silent for long
    int64_t deadline; // of the whole
    struct buf answer;
    int end; // a descriptor of the process that stops; −1
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Who listens there ---------------------------------------------------------------------------------

void talk_trust(struct talk_trust *t, uid_t uid)
{
    if (t->n < TALK_UIDS)
        t->uid[t->n++] = uid;
}

// The credentials are those of the call of listen.
static bool is_trusted(int fd, const struct talk_trust *trust, uid_t *uid)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    *uid = (uid_t)-1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
        return false;
    *uid = peer.uid;
    for (unsigned i = 0; i < trust->n; i++)
        if (trust->uid[i] == peer.uid)
            return true;
    return false;
}

static const char *name_of(uid_t uid)
{
    const struct passwd *p = getpwuid(uid);
    return p ? p->pw_name : "?";
}

bool talk_believes(int fd, const char *path, const struct talk_trust *trust)
{
    uid_t uid;
    if (is_trusted(fd, trust, &uid))
        return true;
    fprintf(stderr, "lunette: the user with the id %u (%s) listens on ", (unsigned)uid,
            name_of(uid));
    plain_write(stderr, str_z(path));
    fputs(", who is not believed: the server of this site would be that of", stderr);
    for (unsigned i = 0; i < trust->n; i++) {
        fprintf(stderr, "%s %u", i ? " or" : "", (unsigned)trust->uid[i]);
        fprintf(stderr, " (%s)", name_of(trust->uid[i]));
    }
    fputs(trust->n ? "\n" : " nobody\n", stderr);
    return false;
}

int talk_connect(const char *path)
{
    int64_t until = now_ms() + TALK_ANSWER_MS;
    int fd = control_connect(path);
    while (fd == -EAGAIN && now_ms() < until) {
        poll(NULL, 0, PAUSE_MS);
        fd = control_connect(path);
    }
    return fd;
}

// Waiting -------------------------------------------------------------------------------------------

static int say_word(int fd, const char *word)
{
    char line[CONTROL_WORD_MAX];
    int n = snprintf(line, sizeof line, "%s\n", word);
    ssize_t sent = send(fd, line, (size_t)n, MSG_NOSIGNAL);
    return sent < 0 && errno != EPIPE ? -errno : 0; // who refuses says why before it closes
}

// Until one of them, −1 for none, has something to read, or closes.
static bool is_readable(int fd, int other, int64_t until)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    for (;;) {
        int64_t left = until - now_ms();
        int n = poll(p, 2, left > 0 ? (int)left : 0);
        if (n > 0 || (n == 0 && left <= 0))
            return n > 0;
    }
}

// Another word, to which anything is an answer, as is one to our own meanwhile. Who cannot be found any
// more ends, or is being replaced: its end comes on our own connection.
static bool lives(const struct talk *t)
{
    uid_t uid;
    int64_t until = now_ms() + TALK_ANSWER_MS;
    int fd = talk_connect(t->path);
    if (fd < 0)
        return fd != -EAGAIN;
    bool ok = !is_trusted(fd, t->trust, &uid) || say_word(fd, "status") < 0 ||
              is_readable(fd, t->fd, until);
    close(fd);
    return ok;
}

// Until there is more. 0, or −ETIMEDOUT.
static int await(const struct talk *t)
{
    for (;;) {
        int64_t now = now_ms(), look = now + TALK_LOOK_MS;
        if (now < t->deadline && // also for who says a byte now and then
            is_readable(t->fd, -1, t->works && look < t->deadline ? look : t->deadline))
            return 0;
        if (!t->works || now_ms() >= t->deadline || !lives(t))
            return -ETIMEDOUT;
    }
}

// Everything it says until it closes. 0 or −errno.
static int collect(struct talk *t)
{
    for (;;) {
        char *room = buf_room(&t->answer, 4096);
        int pid, rc = room ? await(t) : -EMSGSIZE;
        if (rc < 0)
            return rc;
        ssize_t n = recv(t->fd, room, 4096, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errno == ECONNRESET ? 0 : -errno;
        if (n <= 0)
            continue;
        buf_added(&t->answer, (size_t)n);
        bool line = t->answer.p[t->answer.n - 1] == '\n';
        t->answer.p[t->answer.n] = '\0'; // buf_room leaves a byte for it
        if (line && t->end < 0 && sscanf(t->answer.p, "stopping %d\n", &pid) == 1)
            t->end = pidfd_open(pid, 0);
    }
}

// The answer ----------------------------------------------------------------------------------------

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
    plain_write(ok ? stdout : stderr, text);
    if (!known)
        fputs("the server ended before it had answered\n", stderr);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}

static int give_up(const struct talk *t, int rc)
{
    if (rc != -ETIMEDOUT)
        fprintf(stderr, "lunette: the server does not answer: %s\n", strerror(-rc));
    else if ((t->works || t->answer.n) && now_ms() >= t->deadline)
        fputs("lunette: the server has not come to an end yet, and is not waited for any longer\n",
              stderr);
    else
        fprintf(stderr,
                "lunette: the server does not answer: nothing has come for %d s. Its master is "
                "stopped (kill -CONT lets it go on), or stuck\n",
                TALK_ANSWER_MS / 1000);
    return 1;
}

// What the answer comes to, which is whole. Who says time and again that it was replaced is asked
// with pauses, and at last believed.
static int conclude(struct talk *t, const char *word)
{
    bool replaced = str_eq(buf_str(&t->answer), STR(CONTROL_REPLACED "\nfailed\n"));
    if (!replaced || now_ms() + PAUSE_MS >= t->deadline)
        return tell(word, &t->answer);
    poll(NULL, 0, PAUSE_MS);
    return TALK_AGAIN;
}

int64_t talk_until(const char *word)
{
    bool reload = strcmp(word, "reload") == 0, stop = strcmp(word, "stop") == 0;
    return now_ms() + (reload ? TALK_RELOAD_MS : stop ? TALK_STOP_MS : TALK_ANSWER_MS);
}

int talk(int fd, const char *path, const struct talk_trust *trust, const char *word, int64_t until)
{
    bool works = strcmp(word, "reload") == 0 || strcmp(word, "stop") == 0;
    struct talk t = {
        .fd = fd, .path = path, .trust = trust, .works = works, .deadline = until, .end = -1};
    buf_init(&t.answer, 2 * CONTROL_ANSWER_MAX);
    int rc = say_word(fd, word);
    if (rc == 0)
        rc = collect(&t);
    if (rc == 0 && t.end >= 0)
        poll(&(struct pollfd){.fd = t.end, .events = POLLIN}, 1, TALK_END_MS);
    if (t.end >= 0)
        close(t.end);
    int status = rc < 0 ? give_up(&t, rc) : conclude(&t, word);
    buf_fini(&t.answer);
    return status;
}

// Process 1 after another master has taken over: see the header.
#include "app/reaper.h"

#include "app/kin.h"
#include "app/signals.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORD_MAX = 32 };

// A master. It may be the child of the one before it, which then takes its end: so only fd is sure
// to name it and no other process.
struct known {
    pid_t pid; // 0: none
    int fd;    // −1: the kernel gives none
};

struct reaper {
    int line, signals;
    struct known now, before; // before: it may finish its requests still
    int status;               // of the last one that ended
    int told;                 // the last signal to stop; 0: none
    sigset_t kept;            // the others that came while there was no master, for the next one
};

int reaper_open(int ends[static 2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

void reaper_tell(int line)
{
    char word[WORD_MAX];
    int n = snprintf(word, sizeof word, "%d", (int)getpid());
    send(line, word, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int reaper_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void forget(struct known *k)
{
    if (k->pid && k->fd >= 0)
        close(k->fd);
    *k = (struct known){0, -1};
}

// False: it has ended. Given to one that is just ending, a signal is lost: see follow and on_end.
static bool give(const struct known *k, int signo)
{
    if (!k->pid)
        return false;
    return (k->fd >= 0 ? pidfd_send_signal(k->fd, signo, NULL, 0) : kill(k->pid, signo)) == 0;
}

// The next one may have opened its logs and read its scripts before it was asked to: so it is
// asked. USR2 comes last, since it begins another one.
static void give_kept(struct reaper *r)
{
    static const int order[] = {SIGUSR1, SIGHUP, SIGUSR2};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (sigismember(&r->kept, order[i]))
            give(&r->now, order[i]);
    sigemptyset(&r->kept);
}

// A master that was alive until then has passed on what it was told, or does so.
static void follow(struct reaper *r, pid_t pid)
{
    bool alone = !r->now.pid;
    if (pid <= 1 || pid == r->now.pid)
        return;
    forget(&r->before);
    r->before = r->now;
    r->now = (struct known){pid, pidfd_open(pid, 0)};
    kin_become_elder(pid);
    if (alone && r->told)
        give(&r->now, r->told);
    give_kept(r);
}

// Asked a second time to stop, the one before is not to finish what it has, either. It writes to
// the same logs; that it passes the signal on, too, has them opened twice, which harms nobody.
static void pass_on(struct reaper *r, int signo)
{
    bool ends = signo == SIGTERM || signo == SIGINT || signo == SIGQUIT;
    bool at_once = signo == SIGQUIT || (ends && r->told);
    if (!give(&r->now, signo)) {
        give(&r->before, at_once ? SIGQUIT : signo);
        sigaddset(&r->kept, signo); // one to stop is in told as well
    } else if (at_once) {
        give(&r->before, SIGQUIT);
    } else if (signo == SIGUSR1) {
        give(&r->before, SIGUSR1);
    }
    if (ends)
        r->told = signo;
}

// False: no master has the line.
static bool hear(struct reaper *r)
{
    char word[WORD_MAX];
    ssize_t n;
    while ((n = recv(r->line, word, sizeof word - 1, MSG_DONTWAIT)) > 0) {
        word[n] = '\0';
        follow(r, (pid_t)strtol(word, NULL, 10));
    }
    return n < 0;
}

// The end of a child: of a master, whose successor has said its word by then, or of one that has
// lost its parent. A master that was killed has passed nothing on.
static void on_end(struct reaper *r, pid_t pid, int status)
{
    hear(r);
    struct known *k = pid == r->now.pid ? &r->now : pid == r->before.pid ? &r->before : NULL;
    if (!k)
        return;
    r->status = reaper_status(status);
    forget(k);
    if (k == &r->before && WIFSIGNALED(status) && r->told)
        give(&r->now, r->told);
}

static void reap(struct reaper *r)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
        if (pid > 0)
            on_end(r, pid, status);
}

// Behind every signal that was read: a child that ends now has a SIGCHLD of its own. And before one
// is passed on: who has ended takes none.
static void on_signals(struct reaper *r)
{
    struct signalfd_siginfo info;
    while (read(r->signals, &info, sizeof info) == sizeof info) {
        reap(r);
        if (info.ssi_signo != SIGCHLD)
            pass_on(r, (int)info.ssi_signo);
    }
}

// A process closes what it has before its parent may know of its end.
static void wait_for_last(struct reaper *r)
{
    struct known *last[] = {&r->before, &r->now};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        int status;
        pid_t pid = last[i]->pid, ended = -1;
        while (pid && (ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
            continue;
        if (pid && ended == pid)
            on_end(r, pid, status);
    }
}

int reaper_run(int line, pid_t master, int status)
{
    sigset_t set;
    struct reaper r = {
        .line = io_keep_alone(line), .before = {0, -1}, .now = {0, -1}, .status = status};
    sigemptyset(&r.kept);
    signals_block(&set);
    r.signals = signals_open(&set);
    follow(&r, master);
    struct pollfd p[] = {{.fd = r.line, .events = POLLIN}, {.fd = r.signals, .events = POLLIN}};
    reap(&r);          // who has ended meanwhile
    while (hear(&r)) { // first, so that a signal finds the master that serves
        on_signals(&r);
        poll(p, 2, -1);
    }
    wait_for_last(&r);
    close(r.line);
    close(r.signals);
    return r.status;
}

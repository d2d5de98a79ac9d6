// `lunette test --watch`: see the header.
//
// A run is told to end by TERM, and removes its folder before it does; so every run is waited for.
#include "app/trial_watch.h"

#include "app/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SETTLE_MS = 50, FOLDERS = 3 };

static const char *const folders[FOLDERS] = {"scripts", "site", "tests"};

struct watching {
    struct cli *cli;
    int (*run)(struct cli *cli);
    struct watch_tree *tree[FOLDERS]; // NULL: the folder is not there
    int signals;
    sigset_t before;
    pid_t child; // 0: none
    int status;  // of the last run
    bool ended;  // a signal came
};

static bool watch_folders(struct watching *w)
{
    char path[PATH_MAX];
    for (int i = 0; i < FOLDERS; i++) {
        if (snprintf(path, sizeof path, "%s/%s", w->cli->dir, folders[i]) >= PATH_MAX)
            return false;
        w->tree[i] = watch_new(path);
        if (!w->tree[i])
            return false;
    }
    return true;
}

static bool take_signals(struct watching *w)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &w->before);
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return w->signals >= 0;
}

static void begin(struct watching *w)
{
    pid_t parent = getpid();
    w->child = fork();
    if (w->child < 0) {
        fprintf(stderr, "lunette: cannot start a process: %s\n", strerror(errno));
        w->child = 0;
    }
    if (w->child != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigprocmask(SIG_SETMASK, &w->before, NULL);
    exit(getppid() == parent ? w->run(w->cli) : 1);
}

static void reap(struct watching *w, int flags)
{
    int status;
    if (!w->child || waitpid(w->child, &status, flags) != w->child)
        return;
    w->child = 0;
    w->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (!w->ended)
        fputs("\nwaiting for something to be saved (Ctrl-C ends)\n", stderr);
}

static void stop(struct watching *w)
{
    if (w->child)
        kill(w->child, SIGTERM);
    reap(w, 0);
}

static void read_signals(struct watching *w)
{
    struct signalfd_siginfo info;
    while (read(w->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(w, WNOHANG);
        else
            w->ended = true;
    }
}

// Waits for a signal or, up to ms milliseconds, a change.
static bool wait_for_change(struct watching *w, int ms)
{
    struct pollfd fd[1 + FOLDERS] = {{.fd = w->signals, .events = POLLIN}};
    bool changed = false;
    for (int i = 0; i < FOLDERS; i++)
        fd[1 + i] = (struct pollfd){.fd = watch_fd(w->tree[i]), .events = POLLIN};
    poll(fd, 1 + FOLDERS, ms);
    read_signals(w);
    for (int i = 0; i < FOLDERS; i++)
        changed |= watch_changed(w->tree[i]);
    return changed;
}

static void watch(struct watching *w)
{
    while (!w->ended) {
        begin(w);
        while (!w->ended && !wait_for_change(w, -1)) {
        }
        while (!w->ended && wait_for_change(w, SETTLE_MS)) {
        }
        stop(w);
    }
}

int trial_watch(struct cli *cli, int (*run)(struct cli *cli))
{
    struct watching w = {.cli = cli, .run = run, .signals = -1, .status = 1};
    if (watch_folders(&w) && take_signals(&w))
        watch(&w);
    else
        fprintf(stderr, "lunette: %s cannot be watched: %s\n", cli->dir, strerror(errno));
    for (int i = 0; i < FOLDERS; i++)
        watch_free(w.tree[i]);
    if (w.signals >= 0)
        close(w.signals);
    return w.status;
}

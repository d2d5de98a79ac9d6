// `lunette test --watch`: see the header.
//
// A run is told to end by TERM, and removes its folder before it does; so every run is waited for. The
// site's own folder is watched for the coming and going of the three that count, and for nothing else.
#include "app/trial_watch.h"

#include "app/complain.h"
#include "app/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SETTLE_MS = 50, FOLDERS = 3, SOURCES = FOLDERS + 2 };

static const char *const folders[FOLDERS] = {"scripts", "site", "tests"};

struct watching {
    struct cli *cli;
    int (*run)(struct cli *cli);
    struct watch_tree *tree[FOLDERS];
    int top; // inotify, of the folder that these are in
    int signals;
    sigset_t before;
    pid_t child; // 0: none
    int status;  // of the last run
    bool ended;  // a signal came
};

// One that is not there has no events.
static bool watch_folder(struct watching *w, int i)
{
    char path[PATH_MAX];
    watch_free(w->tree[i]);
    w->tree[i] = NULL;
    errno = ENAMETOOLONG;
    if (snprintf(path, sizeof path, "%s/%s", w->cli->dir, folders[i]) < PATH_MAX)
        w->tree[i] = watch_new(path);
    return w->tree[i] != NULL;
}

static bool watch_folders(struct watching *w)
{
    const uint32_t comings = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR;
    w->top = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->top < 0 || inotify_add_watch(w->top, w->cli->dir, comings) < 0)
        return false;
    for (int i = 0; i < FOLDERS; i++)
        if (!watch_folder(w, i))
            return false;
    return true;
}

// Whether one of the folders came or went; it is then watched anew.
static bool folders_changed(struct watching *w)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false;
    ssize_t n;
    while ((n = read(w->top, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(events + at);
            for (int i = 0; i < FOLDERS; i++)
                if (e->len && strcmp(e->name, folders[i]) == 0)
                    changed |= watch_folder(w, i);
            at += (ssize_t)sizeof *e + e->len;
        }
    }
    return changed;
}

static bool take_signals(struct watching *w)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, &w->before);
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return w->signals >= 0;
}

static void begin(struct watching *w)
{
    pid_t parent = getpid();
    w->child = fork();
    if (w->child < 0) {
        complain("cannot start a process: %s", strerror(errno));
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
    struct pollfd fd[SOURCES] = {{.fd = w->signals, .events = POLLIN},
                                 {.fd = w->top, .events = POLLIN}};
    for (int i = 0; i < FOLDERS; i++)
        fd[2 + i] = (struct pollfd){.fd = w->tree[i] ? watch_fd(w->tree[i]) : -1, .events = POLLIN};
    poll(fd, SOURCES, ms);
    read_signals(w);
    bool changed = folders_changed(w);
    for (int i = 0; i < FOLDERS; i++)
        changed |= w->tree[i] && watch_changed(w->tree[i], NULL, NULL);
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
    struct watching w = {.cli = cli, .run = run, .top = -1, .signals = -1, .status = 1};
    if (watch_folders(&w) && take_signals(&w))
        watch(&w);
    else
        complain("%s cannot be watched: %s", cli->dir, strerror(errno));
    for (int i = 0; i < FOLDERS; i++)
        watch_free(w.tree[i]);
    if (w.top >= 0)
        close(w.top);
    if (w.signals >= 0)
        close(w.signals);
    return w.status;
}

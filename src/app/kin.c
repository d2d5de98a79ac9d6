// Which processes come from which: see the header. /proc tells the parent of each.
#include "app/kin.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char ELDER[] = "lunette>"; // with a pid of 7 digits 15 bytes, as a name may have

// The beginning of a file of a process; "" where it cannot be read.
static void read_of(pid_t pid, const char *name, size_t cap, char *text)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
}

// 0: it has none that can be seen from here; −1: not to be told.
static pid_t parent_of(pid_t pid)
{
    char text[4096]; // the line stands among the first ones
    read_of(pid, "status", sizeof text, text);
    const char *line = strstr(text, "\nPPid:\t");
    return line ? (pid_t)strtol(line + 7, NULL, 10) : -1;
}

// One walk up. A step counts only if the child has that parent still when the parent's own is known: it
// was alive then, and its number no other's. −1: it was not, which takes another walk.
static int walk(pid_t pid, pid_t of)
{
    pid_t parent = parent_of(pid);
    for (int i = 0; i < KIN_MAX; i++) {
        if (parent < 0 || parent == of)
            return true;
        if (parent <= 1)
            return false; // 1 is nobody's child
        pid_t above = parent_of(parent);
        if (parent_of(pid) != parent)
            return -1;
        pid = parent;
        parent = above;
    }
    return true;
}

bool kin_descends(pid_t pid, pid_t of)
{
    int found = -1;
    for (int i = 0; i < KIN_TRIES && found < 0; i++)
        found = walk(pid, of);
    return found != 0;
}

// Elders --------------------------------------------------------------------------------------------

void kin_become_elder(pid_t heir)
{
    char name[32];
    snprintf(name, sizeof name, "%s%d", ELDER, (int)heir);
    prctl(PR_SET_NAME, name);
}

// Whose elder a process is; 0: it is none.
static pid_t heir_of(pid_t pid)
{
    char name[32];
    read_of(pid, "comm", sizeof name, name);
    return strncmp(name, ELDER, sizeof ELDER - 1) == 0
               ? (pid_t)strtol(name + sizeof ELDER - 1, NULL, 10)
               : 0;
}

pid_t kin_elder(void)
{
    pid_t found = 0, pid = getppid();
    for (int i = 0; i < KIN_MAX && pid > 0; i++) {
        if (heir_of(pid))
            found = pid;
        pid = parent_of(pid);
    }
    return found;
}

// Children do not go before they are waited for: one that was there when this began is seen.
static bool has_child_but(pid_t heir)
{
    DIR *all = opendir("/proc");
    struct dirent *e;
    bool found = false;
    while (all && !found && (e = readdir(all))) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;
        found = pid && pid != heir && parent_of(pid) == getpid();
    }
    if (all)
        closedir(all);
    return found;
}

static void choose_signals(sigset_t *heard)
{
    static const int ignored[] = {SIGHUP, SIGUSR1, SIGUSR2};
    static const int named[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(heard);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        sigaddset(heard, named[i]);
    sigprocmask(SIG_BLOCK, heard, NULL);
}

// Who is the heir then.
static pid_t bury(pid_t heir)
{
    siginfo_t end = {0};
    while (waitid(P_ALL, 0, &end, WEXITED | WNOWAIT | WNOHANG) == 0 && end.si_pid) {
        if (end.si_pid == heir)
            heir = heir_of(heir); // which is our child now
        waitid(P_PID, (id_t)end.si_pid, &end, WEXITED);
        end.si_pid = 0;
    }
    return heir;
}

void kin_outlast(pid_t heir)
{
    sigset_t heard;
    int signo = SIGCHLD;
    choose_signals(&heard);
    close_range(STDERR_FILENO + 1, ~0u, 0);
    while ((signo == SIGCHLD || signo < 0) && (heir = bury(heir)) && has_child_but(heir))
        signo = sigwaitinfo(&heard, NULL);
}

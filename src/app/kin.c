// Which processes come from which: see the header. /proc tells the parent of each.
#include "app/kin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// 0: it has none that can be seen from here; −1: not to be told.
static pid_t parent_of(pid_t pid)
{
    char path[48], text[4096]; // the line stands among the first ones
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "\nPPid:\t");
    return line ? (pid_t)strtol(line + 7, NULL, 10) : -1;
}

bool kin_descends(pid_t pid, pid_t of)
{
    for (int i = 0; i < KIN_MAX; i++) {
        pid = parent_of(pid);
        if (pid < 0 || pid == of)
            return true;
        if (pid <= 1)
            return false; // 1 is nobody's child
    }
    return true;
}

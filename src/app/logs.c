// The log files: see the header.
#include "app/logs.h"

#include "app/files.h"
#include "base/log.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The path of a log beneath a descriptor of its folder, so that nobody can put a link in the way.
static int pin(const char *target, int *folder, char dst[static PATH_MAX])
{
    const char *name;
    *folder = -1;
    snprintf(dst, PATH_MAX, "%s", target);
    if (target[0] != '/')
        return 0;
    *folder = files_open_parent(target, &name);
    if (*folder < 0)
        return *folder;
    snprintf(dst, PATH_MAX, "/proc/self/fd/%d/%s", *folder, name);
    return 0;
}

static void unpin(int folder)
{
    if (folder >= 0)
        close(folder);
}

bool logs_open(const struct config *c, const char **failed, int *err)
{
    char error[PATH_MAX], access[PATH_MAX];
    int error_folder = -1, access_folder = -1;
    struct log_options o = {.error = error, .access = access};
    int level = log_level_parse(str_z(c->log.level));
    assert(level >= 0); // the schema has only names that the log knows
    o.level = (enum log_level)level;
    *failed = c->log.error;
    int rc = pin(c->log.error, &error_folder, error);
    if (rc == 0) {
        *failed = c->log.access;
        rc = pin(c->log.access, &access_folder, access);
    }
    if (rc == 0) {
        rc = log_open(&o, failed);
        *failed = *failed == error ? c->log.error : c->log.access;
    }
    unpin(error_folder);
    unpin(access_folder);
    *err = -rc;
    return rc == 0;
}

// The descriptor; −1, said in the log, when it cannot be opened.
static int reopen(const struct config *c, const char *target)
{
    char pinned[PATH_MAX];
    int folder;
    if (target[0] != '/')
        return -1;
    int rc = pin(target, &folder, pinned);
    int fd = rc < 0 ? rc : log_open_file(pinned);
    unpin(folder);
    if (fd >= 0)
        return fd;
    log_write(LOG_ERROR,
              "cannot open the log %s again: %s. Its lines still go to the file that was open "
              "before. Let %s:%s write in its folder, or make the new file theirs (logrotate: "
              "create 0640 %s %s), or rotate it with copytruncate",
              target, strerror(-fd), c->become.user, c->become.group, c->become.user,
              c->become.group);
    return -1;
}

void logs_reopen(const struct config *c, int *error_fd, int *access_fd)
{
    *error_fd = reopen(c, c->log.error);
    *access_fd = reopen(c, c->log.access);
}

// A data folder for once: see the header. The sandbox would not let the process that loads the site
// remove its own data folder; so that is a child, and this one waits.
#include "app/scratch.h"

#include "app/attend.h"
#include "app/complain.h"
#include "base/folder.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct look {
    const struct config *config;
    const struct solo_job *job;
    const char *data;
};

static int load_there(void *arg)
{
    struct look *look = arg;
    struct config own = *look->config;
    struct solo_job job = *look->job;
    struct stat st;
    if (stat(own.data, &st) == 0)
        job.unused_data = own.data;
    own.data = look->data;
    return solo_run(&own, &job);
}

// The child's end as an exit status, as a shell says it.
static int status_of(const struct attend *a, int status)
{
    if (status < 0)
        return !complain("a process for the site cannot be made: %s", strerror(-status));
    if (a->signal)
        return 128 + a->signal;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int scratch_run(const struct config *c, const struct solo_job *job)
{
    char folder[PATH_MAX];
    struct attend attend;
    attend_begin(&attend);
    int fd = folder_make_temporary("lunette", folder);
    if (fd < 0)
        return !complain("%s, a folder for what the site writes, cannot be made: %s", folder,
                         strerror(-fd));
    close(fd);
    struct look look = {c, job, folder};
    int status = status_of(&attend, attend_run(&attend, load_there, &look));
    int rc = folder_remove(folder);
    if (rc < 0)
        complain("%s is left: %s", folder, strerror(-rc));
    return status;
}

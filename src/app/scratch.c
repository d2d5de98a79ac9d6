// A data folder for once: see the header. The sandbox would not let the process that loads the site
// remove its own data folder; so that is a child, and this one waits.
#include "app/scratch.h"

#include "base/folder.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "lunette: %s: %s\n", what, strerror(errno));
    return 1;
}

static bool make_folder(char path[static PATH_MAX])
{
    const char *parent = getenv("TMPDIR");
    int n = snprintf(path, PATH_MAX, "%s/lunette-XXXXXX", parent && *parent ? parent : "/tmp");
    return n < PATH_MAX && mkdtemp(path);
}

// The child's end as an exit status, as a shell says it.
static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return fail("waiting for the process that loads the site");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static volatile pid_t loading; // the child; 0: none yet

static void pass_on(int number)
{
    if (loading > 0)
        kill(loading, number);
}

static int load_there(const struct config *c, const struct solo_job *job, const char *data)
{
    struct config own = *c;
    own.data = data;
    return solo_run(&own, job);
}

int scratch_run(const struct config *c, const struct solo_job *job)
{
    char folder[PATH_MAX];
    if (!make_folder(folder))
        return fail("a folder for what the site writes cannot be made");
    // Control-C reaches the child by itself; what it leaves is ours to remove in any case.
    void (*on_int)(int) = signal(SIGINT, SIG_IGN), (*on_term)(int) = signal(SIGTERM, pass_on);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        signal(SIGINT, on_int);
        signal(SIGTERM, on_term);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        exit(getppid() == parent ? load_there(c, job, folder) : 1);
    }
    loading = child;
    int status = child < 0 ? fail("a process for the site cannot be made") : wait_for(child);
    int rc = folder_remove(folder);
    if (rc < 0)
        fprintf(stderr, "lunette: %s: %s\n", folder, strerror(-rc));
    return status;
}

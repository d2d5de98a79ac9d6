// Preloaded by test_new.py: the owner of the folder in which a site is made, who is as quick as can be.
// The temporary folder is renamed to "stolen", and a link to $THIEF_VICTIM gets its name: as soon as it
// is made ($THIEF_WHEN is "made"), or when the first folder is made in it ("filled").
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int parent;
static char made[256];

static void steal(void)
{
    if (renameat(parent, made, parent, "stolen") != 0 ||
        symlinkat(getenv("THIEF_VICTIM"), parent, made) != 0)
        abort();
    made[0] = '\0';
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    const char *when = getenv("THIEF_WHEN");
    if (made[0] && !strcmp(when, "filled"))
        steal();
    int rc = (int)syscall(SYS_mkdirat, folder, name, mode), err = errno;
    if (rc == 0 && strstr(name, ".lunette-")) {
        parent = folder;
        snprintf(made, sizeof made, "%s", name);
        if (!strcmp(when, "made"))
            steal();
    }
    errno = err;
    return rc;
}

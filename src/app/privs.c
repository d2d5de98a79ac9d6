// Rights: see the header. privs_become is the one place where root is given up; it reads from top
// to bottom.
#include "app/privs.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static bool parse_id(const char *text, unsigned *id)
{
    uint64_t n;
    if (!str_to_u64(str_z(text), &n) ||
        n >= UINT32_MAX) // the last one means "unchanged" to setresuid
        return false;
    *id = (unsigned)n;
    return true;
}

static void name_user(struct identity *id)
{
    const struct passwd *p = getpwuid(id->uid);
    if (p)
        snprintf(id->user, sizeof id->user, "%s", p->pw_name);
    else
        snprintf(id->user, sizeof id->user, "%u", id->uid);
}

static void name_group(struct identity *id)
{
    const struct group *g = getgrgid(id->gid);
    if (g)
        snprintf(id->group, sizeof id->group, "%s", g->gr_name);
    else
        snprintf(id->group, sizeof id->group, "%u", id->gid);
}

// The primary group of the user, or nogroup for one without an entry.
static bool choose_user(const char *user, struct identity *id, char why[static PRIVS_WHY_MAX])
{
    unsigned number = 0;
    const struct passwd *p = getpwnam(user);
    if (!p && parse_id(user, &number))
        p = getpwuid(number);
    else if (!p) {
        snprintf(why, PRIVS_WHY_MAX, "there is no user '%.64s' on this machine", user);
        return false;
    }
    id->uid = p ? p->pw_uid : number;
    id->gid = p ? p->pw_gid : NOBODY;
    return true;
}

static bool choose_owner(const char *site, struct identity *id, char why[static PRIVS_WHY_MAX])
{
    struct stat st;
    if (stat(site, &st) != 0) {
        snprintf(why, PRIVS_WHY_MAX, "%.300s: %s", site, strerror(errno));
        return false;
    }
    *id = (struct identity){.uid = NOBODY, .gid = NOBODY};
    if (st.st_uid == 0)
        return true;
    const struct passwd *p = getpwuid(st.st_uid);
    id->uid = st.st_uid;
    id->gid = p ? p->pw_gid : st.st_gid;
    if (id->gid == 0) // nobody asked for root's group
        id->gid = NOBODY;
    return true;
}

static bool choose_group(const char *group, struct identity *id, char why[static PRIVS_WHY_MAX])
{
    unsigned number;
    const struct group *g = getgrnam(group);
    if (!g && !parse_id(group, &number)) {
        snprintf(why, PRIVS_WHY_MAX, "there is no group '%.64s' on this machine", group);
        return false;
    }
    id->gid = g ? g->gr_gid : number;
    return true;
}

bool privs_choose(const char *user, const char *group, const char *site, struct identity *out,
                  char why[static PRIVS_WHY_MAX])
{
    *out = (struct identity){0};
    if (user ? !choose_user(user, out, why) : !choose_owner(site, out, why))
        return false;
    if (group && !choose_group(group, out, why))
        return false;
    name_user(out);
    name_group(out);
    if (out->uid == 0 || out->gid == 0) {
        snprintf(why, PRIVS_WHY_MAX,
                 "lunette never serves as root, and %s '%s' is root: name another one",
                 out->uid == 0 ? "user" : "group", out->uid == 0 ? out->user : out->group);
        return false;
    }
    return true;
}

void privs_current(struct identity *out)
{
    *out = (struct identity){.uid = geteuid(), .gid = getegid()};
    name_user(out);
    name_group(out);
}

// The bounding set, as far as there is the right to, and what a program would inherit.
static void forget_capabilities(void)
{
    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

bool privs_become(const struct identity *id, char why[static PRIVS_WHY_MAX])
{
    const char *failed = NULL;
    uid_t r, e, s;
    int at_parents_death = 0;
    prctl(PR_GET_PDEATHSIG, &at_parents_death); // which the kernel forgets with the ids
    forget_capabilities();
    if (id->uid == 0 || id->gid == 0)
        failed = "the target is root";
    else if (setgroups(0, NULL) != 0)
        failed = "setgroups";
    else if (setresgid(id->gid, id->gid, id->gid) != 0)
        failed = "setresgid";
    else if (setresuid(id->uid, id->uid, id->uid) != 0)
        failed = "setresuid";
    else if (getresuid(&r, &e, &s) != 0 || r != id->uid || e != id->uid || s != id->uid)
        failed = "the user ids did not change";
    else if (getresgid(&r, &e, &s) != 0 || r != id->gid || e != id->gid || s != id->gid)
        failed = "the group ids did not change";
    else if (getgroups(0, NULL) != 0)
        failed = "groups are left";
    else if (setuid(0) == 0 || setgid(0) == 0)
        failed = "there is a way back to root";
    if (failed) {
        snprintf(why, PRIVS_WHY_MAX, "cannot become %s:%s: %s", id->user, id->group, failed);
        return false;
    }
    prctl(PR_SET_PDEATHSIG, at_parents_death);
    umask(007);
    return true;
}

bool privs_drop_capabilities(char why[static PRIVS_WHY_MAX])
{
    struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    forget_capabilities();
    // Without the first, a program that root executes would have them all again.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &self, none) == 0)
        return true;
    snprintf(why, PRIVS_WHY_MAX, "cannot give up the capabilities of root: %s", strerror(errno));
    return false;
}

bool privs_blocked(const char *path, int mode, char blocked[static PATH_MAX])
{
    size_t n = strlen(path);
    if (n >= PATH_MAX)
        return false;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/')
            continue;
        memcpy(blocked, path, i);
        blocked[i] = '\0';
        if (faccessat(AT_FDCWD, blocked, i < n ? X_OK : mode, AT_EACCESS) == 0)
            continue;
        return errno == EACCES;
    }
    return false;
}

bool privs_would_reach(const struct identity *id, const char *path)
{
    char why[PRIVS_WHY_MAX], blocked[PATH_MAX];
    int status;
    pid_t got, child = fork();
    if (child == 0)
        _exit(!privs_become(id, why) || privs_blocked(path, R_OK | X_OK, blocked));
    if (child < 0)
        return false;
    do
        got = waitpid(child, &status, 0);
    while (got < 0 && errno == EINTR);
    return got == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

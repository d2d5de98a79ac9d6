// Whom root becomes: what the command line, config.lua and the owner of the site's folder say of
// it.
//
//      serve         becomes the user named, or the owner of the folder; never root
//      serve --dev   becomes the user named, or the owner of the folder, where that can be: it
//                    stays root where the folder is root's own, or its owner has no way to it (a
//                    checkout in root's home)
//      solo          the same, and there a file of root's may name the user
#include "app/config_inside.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Whether the process has become that user before: when it replaces a server that root had started.
static bool is_already(const struct config *c, const char *user)
{
    char why[PRIVS_WHY_MAX];
    struct identity id;
    return privs_choose(user, NULL, c->site, &id, why) && id.uid == c->become.uid;
}

// For --dev and commands: root becomes that one, or remains what it was to be.
static void become_if_possible(struct config *c, const char *user, const char *group)
{
    char why[PRIVS_WHY_MAX];
    struct identity id;
    if (!privs_choose(user, group, c->site, &id, why) || !privs_would_reach(&id, c->site))
        return;
    c->become = id;
    c->stays_root = false;
}

bool config_choose_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX])
{
    struct stat st;
    c->as_root = geteuid() == 0;
    c->listen_given = cli->listen_count > 0;
    c->stays_root = c->as_root && (c->dev || c->solo) && !cli->user;
    privs_current(&c->become);
    if (cli->user && !c->as_root && !is_already(c, cli->user))
        return config_fail(why, "--user needs root: only root can become another user");
    if (c->as_root && !c->stays_root)
        return privs_choose(cli->user, NULL, c->site, &c->become, why);
    if (c->stays_root && stat(c->site, &st) == 0 && st.st_uid != 0)
        become_if_possible(c, NULL, NULL);
    return true;
}

bool config_settle_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX])
{
    char place[128];
    if (!c->as_root || (!c->group && (!c->user || cli->user)))
        return true;
    if (c->solo && c->file_is_roots)
        become_if_possible(c, c->user, c->group);
    if (c->dev || c->solo)
        return true;
    struct identity before = c->become;
    const char *user = cli->user ? cli->user : c->user;
    if (!privs_choose(user, c->group, c->site, &c->become, why)) {
        char sentence[PRIVS_WHY_MAX];
        snprintf(sentence, sizeof sentence, "%s", why);
        const char *setting = c->user && !cli->user ? "user" : "group";
        return config_fail(why, "%s: %s", config_place(c, setting, place), sentence);
    }
    bool same = before.uid == c->become.uid && before.gid == c->become.gid;
    if (!same && !c->file_is_roots)
        return config_fail(
            why,
            "%s: only a file that root alone can write may name another user or group than "
            "%s:%s: give --user, or make root the owner of the file",
            config_place(c, c->user && !cli->user ? "user" : "group", place), before.user,
            before.group);
    return true;
}

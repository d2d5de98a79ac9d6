// Where the settings say that things are. Relative paths are relative to the site's folder,
// wherever the server was started.
#include "app/config.h"
#include "app/config_inside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// NULL: no memory.
static const char *absolute(struct config *c, const char *path)
{
    char whole[2 * PATH_MAX];
    if (path[0] == '/')
        return path;
    snprintf(whole, sizeof whole, "%s/%.4000s", c->site, path);
    return arena_dup(&c->arena, str_z(whole)).p;
}

// A path that need not be set. False: no memory.
static bool settle_path(struct config *c, const char **path)
{
    return !*path || (*path = absolute(c, *path));
}

static bool settle_log(struct config *c, const char **target)
{
    bool word = strcmp(*target, "stdout") == 0 || strcmp(*target, "stderr") == 0 ||
                strcmp(*target, "off") == 0;
    return word || settle_path(c, target);
}

// Makes the paths absolute. What is not there is most likely a slip, and could not be allowed.
static bool settle_list(struct config *c, const char *setting, struct config_list *list,
                        char why[static CONFIG_WHY_MAX])
{
    char place[128];
    struct stat st;
    const char **items = config_new_list(c, list->n);
    if (!items)
        return config_fail(why, "not enough memory");
    for (unsigned i = 0; i < list->n; i++) {
        if (!list->item[i][0])
            return config_fail(why, "%s: %s: a path is empty", config_place(c, setting, place),
                               setting);
        items[i] = absolute(c, list->item[i]);
        if (!items[i])
            return config_fail(why, "not enough memory");
        if (stat(items[i], &st) != 0)
            return config_fail(why, "%s: %s names %.1000s: %s", config_place(c, setting, place),
                               setting, items[i], strerror(errno));
    }
    list->item = items;
    return true;
}

bool config_settle_paths(struct config *c, char why[static CONFIG_WHY_MAX])
{
    if (!settle_path(c, &c->data) || !settle_path(c, &c->temp) || !settle_path(c, &c->control) ||
        !settle_log(c, &c->log.access) || !settle_log(c, &c->log.error))
        return config_fail(why, "not enough memory");
    return settle_list(c, "sandbox.read", &c->sandbox.read, why) &&
           settle_list(c, "sandbox.write", &c->sandbox.write, why) &&
           settle_list(c, "sandbox.exec", &c->sandbox.exec, why);
}

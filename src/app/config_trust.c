// What the server believes: texts that one of the secrets has signed, and what trusted proxies say
// of a client. Both may change while it runs.
#include "app/config.h"
#include "app/config_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { DEV_SECRET = 32 }; // random bytes of the secret that --dev makes

static bool parse_trusted(struct config *c, char why[static CONFIG_WHY_MAX])
{
    char place[128], reason[CIDR_WHY_MAX];
    unsigned n = c->trusted_proxies.n;
    struct cidr *list = arena_alloc(&c->arena, n * sizeof *list);
    if (!list)
        return config_fail(why, "not enough memory");
    for (unsigned i = 0; i < n; i++)
        if (!cidr_parse(str_z(c->trusted_proxies.item[i]), &list[i], reason))
            return config_fail(why, "%s: trusted_proxies cannot have '%.100s': %s",
                               config_place(c, "trusted_proxies", place),
                               c->trusted_proxies.item[i], reason);
    c->trusted = list;
    return true;
}

// What is short can be found by trying. --dev makes a secret that lasts until the server ends.
static bool settle_secrets(struct config *c, char why[static CONFIG_WHY_MAX])
{
    char place[128];
    for (unsigned i = 0; i < c->secrets.n; i++)
        if (c->secrets.item[i].n < CONFIG_SECRET_MIN)
            return config_fail(why,
                               "%s: a secret has at least %d bytes, and this one has %zu; "
                               "`openssl rand -hex 32` makes a good one",
                               config_place(c, "secret", place), CONFIG_SECRET_MIN,
                               c->secrets.item[i].n);
    if (c->secrets.n > 0 || !c->dev)
        return true;
    struct str *item = arena_alloc(&c->arena, sizeof *item);
    char *bytes = arena_alloc(&c->arena, DEV_SECRET);
    if (!item || !bytes)
        return config_fail(why, "not enough memory");
    if (getrandom(bytes, DEV_SECRET, 0) != DEV_SECRET)
        return config_fail(why, "cannot make a secret: %s", strerror(errno));
    *item = str_of(bytes, DEV_SECRET);
    c->secrets = (struct config_secrets){item, 1};
    c->secret_is_made = true;
    return true;
}

bool config_settle_changing(struct config *c, char why[static CONFIG_WHY_MAX])
{
    return settle_secrets(c, why) && parse_trusted(c, why);
}

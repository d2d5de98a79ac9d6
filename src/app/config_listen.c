// Where the site listens: the command line, or else sockets that were handed over, or else
// config.lua; with --dev on loopback.
#include "app/config.h"
#include "app/config_inside.h"

#include <string.h>

// False: no memory.
static bool choose_texts(struct config *c, const struct cli *cli)
{
    bool made = config_is_made(c, "listen");
    unsigned n = cli->listen_count ? cli->listen_count : made ? 0 : cli->inherited_count;
    if (n == 0)
        return true;
    const char **items = config_new_list(c, n);
    if (!items)
        return false;
    memcpy(items, cli->listen_count ? cli->listen : cli->inherited, n * sizeof *items);
    c->listen_texts = (struct config_list){items, n};
    config_mark(c, "listen", CONFIG_FROM_COMMAND_LINE);
    return true;
}

// --dev: loopback only unless the command line says otherwise, and for root in any case.
static bool check_address(const struct config *c, const struct cli *cli, const struct addr *a,
                          char why[static CONFIG_WHY_MAX])
{
    char text[ADDR_TEXT_MAX], place[128];
    if (!c->dev || c->solo || addr_is_loopback(a) || (cli->listen_count && !c->as_root))
        return true;
    addr_format(a, text);
    if (c->as_root)
        return config_fail(
            why,
            "--dev as root listens on loopback addresses only, and %s says %s: start it as "
            "another user, or without --dev",
            config_place(c, "listen", place), text);
    return config_fail(
        why,
        "--dev listens on loopback addresses only, and %s says %s: give --listen with an "
        "address to have it all the same",
        config_place(c, "listen", place), text);
}

// The site's addresses, of the texts that were chosen, into list.
static bool parse(const struct config *c, const struct cli *cli, struct addr *list,
                  char why[static CONFIG_WHY_MAX])
{
    char place[128];
    for (unsigned i = 0; i < c->listen_texts.n; i++) {
        const char *reason = "";
        if (addr_parse(str_z(c->listen_texts.item[i]), &list[i], &reason) < 0)
            return config_fail(why, "%s: cannot listen on '%.100s': %s",
                               config_place(c, "listen", place), c->listen_texts.item[i], reason);
        if (!check_address(c, cli, &list[i], why))
            return false;
    }
    return true;
}

bool config_settle_listen(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX])
{
    char place[128];
    if (!choose_texts(c, cli))
        return config_fail(why, "not enough memory");
    unsigned n = c->listen_texts.n;
    if (n > CLI_LISTEN_MAX)
        return config_fail(why, "%s: %d addresses at most", config_place(c, "listen", place),
                           CLI_LISTEN_MAX);
    struct addr *list = arena_alloc(&c->arena, (n + CONFIG_SIDES) * sizeof *list);
    if (!list)
        return config_fail(why, "not enough memory");
    if (!parse(c, cli, list, why))
        return false;
    c->listen = list;
    c->listen_addrs = n;
    return config_settle_sides(c, list, why);
}

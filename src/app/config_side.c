// metrics and health of the configuration: each a path on the site's listeners, or an address of its
// own.
#include "app/config.h"
#include "app/config_inside.h"
#include "http/uri.h"

#include <stdio.h>
#include <string.h>

// Whether a request can be for that path, as it is compared: decoded and normalised.
static bool is_path(const char *text)
{
    char decoded[PATH_MAX];
    struct uri_path path;
    const char *why;
    struct str s = str_z(text);
    if (s.n >= sizeof decoded || str_find(s, '?') >= 0 || str_find(s, '#') >= 0 ||
        str_find(s, '%') >= 0 || !uri_normalise(s, decoded, &path, &why))
        return false;
    return str_eq(path.path, s);
}

static bool same_addr(const struct addr *a, const struct addr *b)
{
    char one[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];
    return strcmp(addr_format(a, one), addr_format(b, other)) == 0 &&
           (a->sa.sa_family == AF_UNIX || addr_port(a) != 0);
}

// The address behind those of the site, or the one of the other setting.
static bool add_address(struct config *c, struct config_side *side, const char *setting,
                        struct addr *list, char why[static CONFIG_WHY_MAX])
{
    char place[128], text[ADDR_TEXT_MAX];
    const char *reason = "";
    struct addr *a = &list[c->listen_addrs + c->side_addrs];
    config_place(c, setting, place);
    if (addr_parse(str_z(side->text), a, &reason) < 0)
        return config_fail(why,
                           "%s: %s is a path that begins with '/', or an address to listen on, and "
                           "'%.100s' is neither: %s",
                           place, setting, side->text, reason);
    addr_format(a, text);
    if (c->dev && !c->solo && !addr_is_loopback(a))
        return config_fail(why, "--dev listens on loopback addresses only, and %s says %s", place,
                           text);
    for (unsigned i = 0; i < c->listen_addrs + c->side_addrs; i++) {
        if (!same_addr(a, &list[i]))
            continue;
        if (i < c->listen_addrs)
            return config_fail(why,
                               "%s: the site itself listens on %s: give %s a path there, like "
                               "\"/%s\", or another address",
                               place, text, setting, setting);
        side->listen = (int)i;
        return true;
    }
    side->listen = (int)(c->listen_addrs + c->side_addrs++);
    return true;
}

static bool settle(struct config *c, struct config_side *side, const char *setting,
                   struct addr *list, char why[static CONFIG_WHY_MAX])
{
    char place[128];
    side->listen = -1;
    if (!side->text)
        return true;
    if (side->text[0] != '/')
        return add_address(c, side, setting, list, why);
    if (!is_path(side->text))
        return config_fail(why,
                           "%s: %s cannot be at '%.100s': a path is compared as it is decoded and "
                           "normalised, without '%%', '?', '#', \"//\" and \"..\"",
                           config_place(c, setting, place), setting, side->text);
    side->path = side->text;
    return true;
}

bool config_settle_sides(struct config *c, struct addr *list, char why[static CONFIG_WHY_MAX])
{
    char place[128];
    if (!settle(c, &c->metrics, "metrics", list, why) ||
        !settle(c, &c->health, "health", list, why))
        return false;
    if (c->metrics.path && c->health.path && strcmp(c->metrics.path, c->health.path) == 0)
        return config_fail(why, "%s: metrics and health cannot both be at %.100s",
                           config_place(c, "health", place), c->health.path);
    return true;
}

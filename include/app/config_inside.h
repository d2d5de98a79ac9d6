// Private to config*.c.
#ifndef LUNETTE_APP_CONFIG_INSIDE_H
#define LUNETTE_APP_CONFIG_INSIDE_H

#include "app/config.h"

// config_side.c: metrics and health from texts to what they mean. list holds the site's addresses,
// c->listen_addrs of them, and has room for CONFIG_SIDES more.
bool config_settle_sides(struct config *c, struct addr *list, char why[static CONFIG_WHY_MAX]);

#endif

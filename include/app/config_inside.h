// Private to config*.c.
#ifndef LUNETTE_APP_CONFIG_INSIDE_H
#define LUNETTE_APP_CONFIG_INSIDE_H

#include "app/cli.h"
#include "app/config.h"
#include "base/buf.h"

#include <sys/stat.h>

// A sentence for whoever reads why. Gives false.
bool config_fail(char why[static CONFIG_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// config_eval.c
struct config_evaluation {
    const struct config *config;
    const char *path;          // of config.lua
    const struct identity *as; // whom to become first; NULL: nobody else
    const struct stat *file;   // as the parent saw it; NULL: there was none
};
// Evaluates in a child; result, whose bound is CONFIG_SETTINGS_MAX, holds its settings as
// script/lua_config.h writes them.
bool config_evaluate(const struct config_evaluation *e, struct buf *result,
                     char why[static CONFIG_WHY_MAX]);

// config.c
void config_init(struct config *c); // the defaults
// Settings into the struct, as they are written.
bool config_apply(struct config *c, struct str settings, char why[static CONFIG_WHY_MAX]);
// What may change while the server runs, from texts to what they mean.
bool config_settle_changing(struct config *c, char why[static CONFIG_WHY_MAX]);

// config_identity.c: as_root, stays_root and become, of the command line; then, when config.lua is
// known, what its user and group make of them.
bool config_choose_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX]);
bool config_settle_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX]);

// config_side.c: metrics and health from texts to what they mean. list holds the site's addresses,
// c->listen_addrs of them, and has room for CONFIG_SIDES more.
bool config_settle_sides(struct config *c, struct addr *list, char why[static CONFIG_WHY_MAX]);

#endif

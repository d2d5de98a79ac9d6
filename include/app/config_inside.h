// Private to config*.c: the parts that a configuration is made of, and what of the struct each
// fills.
//
//      config.c           ─ the defaults; site, path, file, workers; the order of all that follows
//       ├ config_identity ─ as_root, stays_root, become
//       ├ config_eval     ─ nothing: config.lua, in a child, to a list of settings
//       ├ config_setting  ─ the settings of API.md as they are written, and lines
//       ├ config_paths    ─ data, temp, control, log.access, log.error, sandbox: made absolute
//       ├ config_listen   ─ listen_texts, listen, listen_addrs
//       │  └ config_side  ─ metrics, health, side_addrs
//       └ config_trust    ─ secrets, trusted
//      config_again.c     ─ the same once more while the server runs, where that can be
//
// All of them call config_setting for their messages, and none calls what stands above it. They
// fill what is theirs and leave the rest alone. A bool is true, or false with whole sentences in
// why; what was allocated until then is in the arena, for config_fini.
#ifndef LUNETTE_APP_CONFIG_INSIDE_H
#define LUNETTE_APP_CONFIG_INSIDE_H

#include "app/cli.h"
#include "app/config.h"
#include "base/buf.h"

#include <sys/stat.h>

// config.c
void config_init(struct config *c); // the defaults, and an arena

// config_setting.c: settings by their names in API.md. A name that is none is a bug.

// A sentence for whoever reads why. Gives false.
bool config_fail(char why[static CONFIG_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Settings, as config_evaluate gives them, into the struct, as they are written. Their bytes are
// copied, and need not be trusted.
bool config_apply(struct config *c, struct str settings, char why[static CONFIG_WHY_MAX]);
// Who has made a setting when it is not config.lua: for config_place and config_number.
enum config_origin {
    CONFIG_FROM_COMMAND_LINE = UINT32_MAX,
    CONFIG_FROM_DEV = UINT32_MAX - 1, // what --dev implies
};
void config_mark(struct config *c, const char *setting, enum config_origin origin);
// Whether anybody has made it: else it is the default.
bool config_is_made(const struct config *c, const char *setting);
// Room for n texts, with a NULL behind them, in the arena. NULL: no memory.
const char **config_new_list(struct config *c, unsigned n);

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

// config_identity.c: as_root, stays_root and become, of the command line; then, when config.lua is
// known, what its user and group make of them.
bool config_choose_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX]);
bool config_settle_identity(struct config *c, const struct cli *cli,
                            char why[static CONFIG_WHY_MAX]);

// config_paths.c: what may be anything is made absolute; what the sandbox lets through must be
// there. c->site is known.
bool config_settle_paths(struct config *c, char why[static CONFIG_WHY_MAX]);

// config_listen.c: the site's addresses, and those of metrics and health behind them. Settings are
// applied, and who the process is is known.
bool config_settle_listen(struct config *c, const struct cli *cli, char why[static CONFIG_WHY_MAX]);

// config_side.c: metrics and health from texts to what they mean. list holds the site's addresses,
// c->listen_addrs of them, and has room for CONFIG_SIDES more.
bool config_settle_sides(struct config *c, struct addr *list, char why[static CONFIG_WHY_MAX]);

// config_trust.c: what may change while the server runs, from texts to what they mean. With --dev
// there is a secret in any case: one is made where the settings have none.
bool config_settle_changing(struct config *c, char why[static CONFIG_WHY_MAX]);

#endif

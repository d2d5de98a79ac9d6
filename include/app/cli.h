// The command line: argv → what was asked for, or the one line that says what is wrong with it.
// Pure.
#ifndef LUNETTE_APP_CLI_H
#define LUNETTE_APP_CLI_H

#include <stdbool.h>
#include <stdint.h>

#define LUNETTE_VERSION "0.1.0"

enum { CLI_LISTEN_MAX = 64, CLI_WHY_MAX = 256, CLI_WORDS_MAX = 2 };

enum cli_command {
    CLI_SERVE,
    CLI_LIMITS,
    CLI_NEW,
    CLI_SOLO, // a command that loads the site in a process of its own (app/solo.h): name says which
    CLI_STATUS,
    CLI_RELOAD,
    CLI_STOP,
    CLI_HELP,        // the page about all commands
    CLI_SERVE_HELP,  // the page about serve
    CLI_LIMITS_HELP, // the page about limits
    CLI_NEW_HELP,
    CLI_STATUS_HELP,
    CLI_RELOAD_HELP,
    CLI_STOP_HELP,
    CLI_CHECK_HELP,
    CLI_ROUTES_HELP,
    CLI_WHY_HELP,
    CLI_TEST_HELP,
    CLI_REPL_HELP,
    CLI_VERSION,
};

// Strings point into argv.
struct cli {
    enum cli_command command;
    const char *name; // the command's name; NULL when none was given
    const char *dir;  // "." by default
    const char *listen[CLI_LISTEN_MAX];
    unsigned listen_count;
    unsigned workers; // 0: not given
    // Not of the command line: where sockets listen that the program was started with. It listens there
    // when neither the command line nor config.lua says where.
    const char *inherited[CLI_LISTEN_MAX];
    unsigned inherited_count;
    bool dev, quiet;
    bool tap, watch;                     // of test
    const char *word[CLI_WORDS_MAX + 1]; // what a command has before DIR; NULL at the end
    unsigned words;
    const char *user, *config, *pid_file; // NULL: not given
};

// False, with a line without line feed in why, for an unknown option, a missing or bad value, a
// second folder. argv[0] is skipped.
bool cli_parse(int argc, char *const argv[], struct cli *out, char why[static CLI_WHY_MAX]);

// The text of a help page, static.
const char *cli_help(enum cli_command which);

// The one of names (NULL at the end) that is most like word, if any is: for "did you mean".
const char *cli_nearest(const char *word, const char *const *names);
// The command whose name is most like word, or NULL.
const char *cli_nearest_command(const char *word);

#endif

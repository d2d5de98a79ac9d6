// The command line: see the header. Options may stand anywhere, as --name VALUE or --name=VALUE;
// the first word that is no option is a command if it is the name of one, else the folder to serve.
#include "app/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 64, WORKERS_MAX = 256 };

static const char *const commands[] = {"serve",  "new",  "check", "routes", "why",
                                       "limits", "test", "repl",  "reload", "stop",
                                       "status", "help", NULL};

enum option { LISTEN, WORKERS, DEV, USER, CONFIG, PID_FILE, QUIET, TAP, WATCH, HELP, VERSION };
static const char *const options[] = {
    [LISTEN] = "--listen", [WORKERS] = "--workers",   [DEV] = "--dev",     [USER] = "--user",
    [CONFIG] = "--config", [PID_FILE] = "--pid-file", [QUIET] = "--quiet", [TAP] = "--tap",
    [WATCH] = "--watch",   [HELP] = "--help",         [VERSION] = "--version", NULL,
};

static const char help[] =
    "lunette " LUNETTE_VERSION ": a web server that is programmed in Lua\n"
    "\n"
    "  lunette [serve] [DIR] [OPTION…]   serve the site in DIR (default: this folder)\n"
    "  lunette new DIR                   make a small site that works, with a test\n"
    "  lunette check [DIR]               load everything, and say what is wrong with it\n"
    "  lunette routes [DIR]              the table of routes\n"
    "  lunette why METHOD PATH [DIR]     which route answers a request, and why not the others\n"
    "  lunette test [DIR]                run the site's own tests, tests/*.lua\n"
    "  lunette repl [DIR]                a prompt inside the loaded site\n"
    "  lunette limits [DIR] [OPTION…]    every limit and timeout in force, and where it was set\n"
    "  lunette status [DIR]              how the running server is\n"
    "  lunette reload [DIR]              have it take new scripts and settings into use\n"
    "  lunette stop [DIR]                have it finish what it has, and end\n"
    "  lunette COMMAND --help            the options of a command\n"
    "  lunette --version                 print the version\n"
    "\n"
    "A site is a folder with scripts/main.lua (routes, in Lua), site/ (files, served as they\n"
    "are), or both. Settings are in scripts/config.lua.\n";

static const char serve_help[] =
    "lunette [serve] [DIR] [OPTION…]\n"
    "\n"
    "Serves the site in DIR, by default this folder, until it is told to stop.\n"
    "\n"
    "  --listen ADDR     where to listen, in place of config.lua's addresses; may be repeated:\n"
    "                    8080, :8080 (both on 127.0.0.1), host:port, [v6]:port, unix:/path\n"
    "  --workers N       how many worker processes (default: one for each processor)\n"
    "  --dev             for developing: one worker, loopback addresses only unless --listen\n"
    "                    names others, tracebacks shown in the browser; restart after changes,\n"
    "                    for now\n"
    "  --user U          the user to become when started as root (default: the owner of DIR, or\n"
    "                    nobody where that is root)\n"
    "  --config FILE     the settings, in place of DIR/scripts/config.lua\n"
    "  --pid-file F      write the master's process id to F\n"
    "  --quiet           no line on start\n"
    "\n"
    "Signals to the master: TERM and INT finish the requests under way, at most timeouts.stop,\n"
    "then end; a second one, or QUIT, ends at once. HUP reloads scripts and settings. USR1 opens\n"
    "the log files again, after they were renamed. USR2 replaces the program without losing a\n"
    "connection.\n";

static const char limits_help[] =
    "lunette limits [DIR] [OPTION…]\n"
    "\n"
    "Prints every limit and timeout that the site in DIR would be served with, and where each was\n"
    "set: a line of config.lua, an option, or nowhere (default). What is fixed cannot be set.\n"
    "The site is not loaded. Options are those of serve: --config, --workers, --dev and --user\n"
    "make a difference.\n";

static const char new_help[] =
    "lunette new DIR\n"
    "\n"
    "Makes a small site that works: a page with a form that keeps notes, the same as JSON, settings,\n"
    "a test. DIR is made; one that is there must be empty.\n";

#define WHERE                                                                                         \
    "It is found by its control socket: config.lua's `control`, by default .control in data/. Only\n" \
    "root and the user of the server are heard there. --config FILE: the settings, in place of\n"     \
    "DIR/scripts/config.lua. The exit status is 0, 1 when it failed or no server runs, 2 for a\n"     \
    "command line that cannot be understood.\n"

static const char status_help[] =
    "lunette status [DIR] [--config FILE]\n"
    "\n"
    "Prints how the server of the site in DIR is: where it listens, its workers, its last reload.\n" WHERE;

static const char reload_help[] =
    "lunette reload [DIR] [--config FILE]\n"
    "\n"
    "Has the server of the site in DIR take new scripts and settings into use, and waits until it\n"
    "has. When they fail, what ran before goes on, the error is printed with file and line, and the\n"
    "exit status is 1.\n" WHERE;

static const char stop_help[] =
    "lunette stop [DIR] [--config FILE]\n"
    "\n"
    "Has the server of the site in DIR finish the requests under way, at most timeouts.stop, and\n"
    "waits until it has ended.\n" WHERE;

#define SOLO                                                                                        \
    "The site is loaded in a process of its own, as `serve --dev` would: no server need run, and one\n" \
    "that runs is left alone. --config FILE: the settings, in place of DIR/scripts/config.lua. The\n"   \
    "exit status is 0, 1 when something is wrong with the site, 2 for a command line that cannot be\n" \
    "understood.\n"

static const char check_help[] =
    "lunette check [DIR] [--config FILE]\n"
    "\n"
    "Loads every script and view of the site in DIR and prints what is wrong with them, with file\n"
    "and line: errors, undeclared globals, routes that nothing can reach or that are ambiguous.\n" SOLO;

static const char routes_help[] =
    "lunette routes [DIR] [--config FILE]\n"
    "\n"
    "Prints the table of routes: method, pattern, name, middleware and where the handler is.\n" SOLO;

static const char why_help[] =
    "lunette why METHOD PATH [DIR] [--config FILE]\n"
    "\n"
    "Says which route or file would answer METHOD PATH (a path, with host and query if they matter:\n"
    "http://api.example.com/x?y=1), with which middleware, and why the others would not.\n" SOLO;

static const char test_help[] =
    "lunette test [DIR] [--tap] [--watch] [--config FILE]\n"
    "\n"
    "Runs the site's own tests, DIR/tests/*.lua, without a socket.\n"
    "\n"
    "Each file with the site freshly loaded; each test with data/ and the cache empty: data/ is a\n"
    "temporary folder, beneath TMPDIR or /tmp. What the site logs is printed for tests that fail.\n"
    "\n"
    "  --tap    print the results in the Test Anything Protocol\n"
    "  --watch  run them again whenever something beneath scripts/, site/ or tests/ is saved\n"
    "\n" SOLO;

static const char repl_help[] =
    "lunette repl [DIR] [--config FILE]\n"
    "\n"
    "A prompt for Lua inside the loaded site. What is typed may wait, as a handler may. Control-D\n"
    "ends it.\n" SOLO;

const char *cli_help(enum cli_command which)
{
    switch (which) {
    case CLI_SERVE_HELP:
        return serve_help;
    case CLI_LIMITS_HELP:
        return limits_help;
    case CLI_NEW_HELP:
        return new_help;
    case CLI_STATUS_HELP:
        return status_help;
    case CLI_RELOAD_HELP:
        return reload_help;
    case CLI_STOP_HELP:
        return stop_help;
    case CLI_CHECK_HELP:
        return check_help;
    case CLI_ROUTES_HELP:
        return routes_help;
    case CLI_WHY_HELP:
        return why_help;
    case CLI_TEST_HELP:
        return test_help;
    case CLI_REPL_HELP:
        return repl_help;
    default:
        return help;
    }
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

// Letters to insert, remove, change or swap with the next to make b of a; both at most WORD_MAX.
static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= bn; j++)
        last[j] = j;
    for (size_t i = 1; i <= an; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= bn; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[bn];
}

const char *cli_nearest(const char *word, const char *const *names)
{
    size_t n = strlen(word);
    const char *best = NULL;
    unsigned limit = n / 2 > 1 ? (unsigned)(n / 2) : 1; // more changes than that: not alike
    if (n > WORD_MAX)
        return NULL;
    for (; *names; names++) {
        size_t known = strlen(*names);
        unsigned d = known > WORD_MAX ? limit + 1 : distance(word, n, *names, known);
        if (d > limit || (best && d == limit))
            continue;
        best = *names;
        limit = d;
    }
    return best;
}

const char *cli_nearest_command(const char *word)
{
    return cli_nearest(word, commands);
}

static bool fail_unknown(struct str option, char why[static CLI_WHY_MAX])
{
    char word[WORD_MAX + 1];
    snprintf(word, sizeof word, "%.*s", STR_ARG(option));
    const char *near = cli_nearest(word, options);
    if (near)
        snprintf(why, CLI_WHY_MAX, "there is no option %s (did you mean %s?)", word, near);
    else
        snprintf(why, CLI_WHY_MAX, "there is no option %s (see lunette serve --help)", word);
    return false;
}

static bool set_workers(struct cli *c, const char *value, char why[static CLI_WHY_MAX])
{
    uint64_t n;
    if (!str_to_u64(str_z(value), &n) || n < 1 || n > WORKERS_MAX) {
        snprintf(why, CLI_WHY_MAX, "--workers takes a number from 1 to %d, not '%.64s'",
                 WORKERS_MAX, value);
        return false;
    }
    c->workers = (unsigned)n;
    return true;
}

static bool add_listen(struct cli *c, const char *value, char why[static CLI_WHY_MAX])
{
    if (c->listen_count == CLI_LISTEN_MAX) {
        snprintf(why, CLI_WHY_MAX, "--listen may be given %d times at most", CLI_LISTEN_MAX);
        return false;
    }
    c->listen[c->listen_count++] = value;
    return true;
}

static bool takes_value(enum option o)
{
    return o == LISTEN || o == WORKERS || o == USER || o == CONFIG || o == PID_FILE;
}

static bool set_option(struct cli *c, enum option o, const char *value,
                       char why[static CLI_WHY_MAX])
{
    switch (o) {
    case LISTEN:
        return add_listen(c, value, why);
    case WORKERS:
        return set_workers(c, value, why);
    case USER:
        c->user = value;
        return true;
    case CONFIG:
        c->config = value;
        return true;
    case PID_FILE:
        c->pid_file = value;
        return true;
    case DEV:
        c->dev = true;
        return true;
    case QUIET:
        c->quiet = true;
        return true;
    case TAP:
        c->tap = true;
        return true;
    case WATCH:
        c->watch = true;
        return true;
    case HELP:
        c->command = CLI_HELP;
        return true;
    case VERSION:
        c->command = CLI_VERSION;
        return true;
    }
    return false;
}

// argv[*i], which begins with "--", and its value, which may be the next argument.
static bool parse_option(struct cli *c, char *const argv[], int argc, int *i,
                         char why[static CLI_WHY_MAX])
{
    struct str rest = str_z(argv[*i]), name;
    str_split(&rest, '=', &name);
    const char *value = rest.p; // behind the '=', up to the end of the argument
    unsigned o = 0;
    while (options[o] && !str_eq(name, str_z(options[o])))
        o++;
    if (!options[o])
        return fail_unknown(name, why);
    if (!takes_value(o) && value) {
        snprintf(why, CLI_WHY_MAX, "%s takes no value", options[o]);
        return false;
    }
    if (takes_value(o) && !value && *i + 1 < argc)
        value = argv[++*i];
    if (takes_value(o) && (!value || !*value)) {
        snprintf(why, CLI_WHY_MAX, "%s takes a value", options[o]);
        return false;
    }
    return set_option(c, o, value, why);
}

static bool is_command(const char *word)
{
    for (const char *const *name = commands; *name; name++)
        if (strcmp(word, *name) == 0)
            return true;
    return false;
}

// The commands that are here, their pages, and how many words they have before DIR.
static const struct {
    const char *name;
    enum cli_command command, page;
    unsigned words;
} known[] = {
    {"new", CLI_NEW, CLI_NEW_HELP, 0},
    {"serve", CLI_SERVE, CLI_SERVE_HELP, 0},    {"limits", CLI_LIMITS, CLI_LIMITS_HELP, 0},
    {"status", CLI_STATUS, CLI_STATUS_HELP, 0}, {"reload", CLI_RELOAD, CLI_RELOAD_HELP, 0},
    {"stop", CLI_STOP, CLI_STOP_HELP, 0},       {"check", CLI_SOLO, CLI_CHECK_HELP, 0},
    {"routes", CLI_SOLO, CLI_ROUTES_HELP, 0},   {"why", CLI_SOLO, CLI_WHY_HELP, 2},
    {"test", CLI_SOLO, CLI_TEST_HELP, 0},       {"repl", CLI_SOLO, CLI_REPL_HELP, 0},
};

static int find_known(const char *name)
{
    for (int i = 0; name && i < (int)(sizeof known / sizeof *known); i++)
        if (strcmp(name, known[i].name) == 0)
            return i;
    return -1;
}

static bool add_word(struct cli *c, const char *word, bool first, char why[static CLI_WHY_MAX])
{
    if (first && is_command(word)) {
        c->name = word;
        return true;
    }
    int i = find_known(c->name);
    if (i >= 0 && c->words < known[i].words) {
        c->word[c->words++] = word;
        return true;
    }
    if (c->dir) {
        snprintf(why, CLI_WHY_MAX, "one folder is enough: both '%.64s' and '%.64s' were given",
                 c->dir, word);
        return false;
    }
    c->dir = word;
    return true;
}

// What the words and options come to.
static bool settle(struct cli *c, char why[static CLI_WHY_MAX])
{
    if (c->name && strcmp(c->name, "help") == 0) {
        c->command = CLI_HELP;
        c->name = NULL;
    }
    int i = find_known(c->name);
    if (c->name && i < 0)
        c->command = CLI_LATER;
    else if (i >= 0 && c->command == CLI_HELP)
        c->command = known[i].page;
    else if (i >= 0 && c->command == CLI_SERVE)
        c->command = known[i].command;
    if (c->command == CLI_NEW && !c->dir) {
        snprintf(why, CLI_WHY_MAX, "new takes the folder that is to be made: lunette new DIR");
        return false;
    }
    if (!c->dir)
        c->dir = ".";
    if (i < 0 || c->command != known[i].command || c->words == known[i].words)
        return true;
    snprintf(why, CLI_WHY_MAX, "%s takes %u words (see lunette %s --help)", known[i].name,
             known[i].words, known[i].name);
    return false;
}

bool cli_parse(int argc, char *const argv[], struct cli *out, char why[static CLI_WHY_MAX])
{
    struct cli c = {.command = CLI_SERVE};
    bool words_only = false, first = true;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool later = c.name && find_known(c.name) < 0;
        if (!words_only && strcmp(a, "--") == 0) {
            words_only = true;
        } else if (later) {
            continue; // the arguments of a command that is not here yet
        } else if (!words_only && a[0] == '-' && a[1]) {
            if (strcmp(a, "-h") == 0)
                c.command = CLI_HELP;
            else if (strcmp(a, "-v") == 0 || strcmp(a, "-V") == 0)
                c.command = CLI_VERSION;
            else if (!parse_option(&c, argv, argc, &i, why))
                return false;
        } else {
            if (!add_word(&c, a, first && !words_only, why))
                return false;
            first = false;
        }
    }
    if (!settle(&c, why))
        return false;
    *out = c;
    return true;
}

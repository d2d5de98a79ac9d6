// The command line: see the header. Options may stand anywhere, as --name VALUE or --name=VALUE;
// the first word that is no option is a command if it is the name of one, else the folder to serve.
#include "app/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 64, WORKERS_MAX = 256, OPTIONS = 11 };

enum option { LISTEN, WORKERS, DEV, USER, CONFIG, PID_FILE, QUIET, TAP, WATCH, HELP, VERSION };
static const char *const options[] = {
    [LISTEN] = "--listen", [WORKERS] = "--workers",   [DEV] = "--dev",         [USER] = "--user",
    [CONFIG] = "--config", [PID_FILE] = "--pid-file", [QUIET] = "--quiet",     [TAP] = "--tap",
    [WATCH] = "--watch",   [HELP] = "--help",         [VERSION] = "--version", NULL,
};
_Static_assert(sizeof options / sizeof *options == OPTIONS + 1, "a name for each option");

// The options that a command takes, as bits; every one takes --help and --version.
enum {
    ALWAYS = 1u << HELP | 1u << VERSION,
    OF_SITE = 1u << CONFIG | ALWAYS,
    OF_TEST = 1u << TAP | 1u << WATCH | OF_SITE,
    OF_SERVE = 1u << LISTEN | 1u << WORKERS | 1u << DEV | 1u << USER | 1u << PID_FILE |
               1u << QUIET | OF_SITE,
};

// The commands that are here, their pages, how many words they have before DIR, and their options.
static const struct known {
    const char *name;
    enum cli_command command, page;
    unsigned words, options;
} known[] = {
    {"serve", CLI_SERVE, CLI_SERVE_HELP, 0, OF_SERVE},
    {"new", CLI_NEW, CLI_NEW_HELP, 0, ALWAYS},
    {"limits", CLI_LIMITS, CLI_LIMITS_HELP, 0, OF_SERVE},
    {"status", CLI_STATUS, CLI_STATUS_HELP, 0, OF_SITE},
    {"reload", CLI_RELOAD, CLI_RELOAD_HELP, 0, OF_SITE},
    {"stop", CLI_STOP, CLI_STOP_HELP, 0, OF_SITE},
    {"check", CLI_SOLO, CLI_CHECK_HELP, 0, OF_SITE},
    {"routes", CLI_SOLO, CLI_ROUTES_HELP, 0, OF_SITE},
    {"why", CLI_SOLO, CLI_WHY_HELP, 2, OF_SITE},
    {"test", CLI_SOLO, CLI_TEST_HELP, 0, OF_TEST},
    {"repl", CLI_SOLO, CLI_REPL_HELP, 0, OF_SITE},
    {"help", CLI_HELP, CLI_HELP, 0, ALWAYS},
};

enum { COMMANDS = sizeof known / sizeof *known };

static const struct known *find_known(const char *name)
{
    for (size_t i = 0; name && i < COMMANDS; i++)
        if (strcmp(name, known[i].name) == 0)
            return &known[i];
    return NULL;
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
        size_t length = strlen(*names);
        unsigned d = length > WORD_MAX ? limit + 1 : distance(word, n, *names, length);
        if (d > limit || (best && d == limit))
            continue;
        best = *names;
        limit = d;
    }
    return best;
}

const char *cli_nearest_command(const char *word)
{
    const char *names[COMMANDS + 1];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = known[i].name;
    names[COMMANDS] = NULL;
    return cli_nearest(word, names);
}

// The command that the options are of, as far as is known.
static const struct known *known_of(const struct cli *c)
{
    return find_known(c->name ? c->name : "serve");
}

static bool fail_unknown(const struct cli *c, struct str option, char why[static CLI_WHY_MAX])
{
    const struct known *command = known_of(c);
    const char *taken[OPTIONS + 1];
    char word[WORD_MAX + 1];
    unsigned n = 0;
    for (unsigned o = 0; o < OPTIONS; o++)
        if (command->options & 1u << o)
            taken[n++] = options[o];
    taken[n] = NULL;
    snprintf(word, sizeof word, "%.*s", STR_ARG(option));
    const char *near = cli_nearest(word, taken);
    if (near)
        snprintf(why, CLI_WHY_MAX, "there is no option %s (did you mean %s?)", word, near);
    else
        snprintf(why, CLI_WHY_MAX, "there is no option %s (see lunette %s --help)", word,
                 command->name);
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

// argv[*i], which begins with "-", and its value, which may be the next argument. Its bit is added
// to *given.
static bool parse_option(struct cli *c, char *const argv[], int argc, int *i, unsigned *given,
                         char why[static CLI_WHY_MAX])
{
    struct str rest = str_z(argv[*i]), name;
    str_split(&rest, '=', &name);
    const char *value = rest.p; // behind the '=', up to the end of the argument
    unsigned o = 0;
    while (options[o] && !str_eq(name, str_z(options[o])))
        o++;
    if (!options[o])
        return fail_unknown(c, name, why);
    *given |= 1u << o;
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

static bool fail_command(const char *word, const char *near, char why[static CLI_WHY_MAX])
{
    if (near)
        snprintf(why, CLI_WHY_MAX, "there is no command '%.64s' (did you mean '%s'?)", word, near);
    else
        snprintf(why, CLI_WHY_MAX, "there is no command '%.64s' (see lunette --help)", word);
    return false;
}

static bool add_word(struct cli *c, const char *word, bool first, char why[static CLI_WHY_MAX])
{
    if (first && find_known(word)) {
        c->name = word;
        return true;
    }
    const struct known *command = find_known(c->name);
    if (command && c->words < command->words) {
        c->word[c->words++] = word;
        return true;
    }
    if (!c->dir) {
        c->dir = word;
        return true;
    }
    const char *near = c->name ? NULL : cli_nearest_command(c->dir);
    if (near)
        return fail_command(c->dir, near, why);
    snprintf(why, CLI_WHY_MAX, "one folder is enough: both '%.64s' and '%.64s' were given", c->dir,
             word);
    return false;
}

// `lunette help`, or `lunette help COMMAND`: the word behind it was taken for a folder.
static bool settle_help(struct cli *c, char why[static CLI_WHY_MAX])
{
    const char *topic = c->dir;
    const struct known *about = find_known(topic);
    c->dir = ".";
    c->name = NULL;
    c->command = about ? about->page : CLI_HELP;
    return !topic || about || fail_command(topic, cli_nearest_command(topic), why);
}

static bool check_options(const struct known *command, unsigned given, char why[static CLI_WHY_MAX])
{
    for (unsigned o = 0; o < OPTIONS; o++) {
        if (!(given & ~command->options & 1u << o))
            continue;
        snprintf(why, CLI_WHY_MAX, "lunette %s takes no %s (see lunette %s --help)", command->name,
                 options[o], command->name);
        return false;
    }
    return true;
}

// What the words and options come to; given: the options, as bits.
static bool settle(struct cli *c, unsigned given, char why[static CLI_WHY_MAX])
{
    const struct known *command = find_known(c->name);
    if (command && command->command == CLI_HELP)
        return settle_help(c, why);
    if (command && c->command == CLI_HELP)
        c->command = command->page;
    else if (command && c->command == CLI_SERVE)
        c->command = command->command;
    if (c->command == CLI_NEW && !c->dir) {
        snprintf(why, CLI_WHY_MAX, "new takes the folder that is to be made: lunette new DIR");
        return false;
    }
    if (!c->dir)
        c->dir = ".";
    if (c->command != known_of(c)->command)
        return true;
    if (!check_options(known_of(c), given, why))
        return false;
    if (!command || c->words == command->words)
        return true;
    snprintf(why, CLI_WHY_MAX, "%s takes %u words (see lunette %s --help)", command->name,
             command->words, command->name);
    return false;
}

bool cli_parse(int argc, char *const argv[], struct cli *out, char why[static CLI_WHY_MAX])
{
    struct cli c = {.command = CLI_SERVE};
    bool words_only = false, first = true;
    unsigned given = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!words_only && strcmp(a, "--") == 0) {
            words_only = true;
        } else if (!words_only && a[0] == '-' && a[1]) {
            if (strcmp(a, "-h") == 0)
                c.command = CLI_HELP;
            else if (strcmp(a, "-v") == 0 || strcmp(a, "-V") == 0)
                c.command = CLI_VERSION;
            else if (!parse_option(&c, argv, argc, &i, &given, why))
                return false;
        } else {
            if (!add_word(&c, a, first && !words_only, why))
                return false;
            first = false;
        }
    }
    if (!settle(&c, given, why))
        return false;
    *out = c;
    return true;
}

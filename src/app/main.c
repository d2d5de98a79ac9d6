// lunette: the commands. What they do is in the other files of this layer; the exit status is 0, 1
// for what went wrong with a site, 2 for a command line that cannot be understood.
#include "app/ask.h"
#include "app/cli.h"
#include "app/complain.h"
#include "app/config.h"
#include "app/inherit.h"
#include "app/limits.h"
#include "app/master.h"
#include "app/new.h"
#include "app/replace.h"
#include "app/scratch.h"
#include "app/signals.h"
#include "app/solo.h"
#include "app/trial.h"
#include "script/lua_console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int wrong_usage(const char *why)
{
    complain("%s", why);
    return 2;
}

// A word that is neither command nor folder was most likely meant as a command.
static int unknown_word(const char *word)
{
    const char *near = cli_nearest_command(word);
    if (near)
        complain("there is no command or folder '%s' (did you mean '%s'?)", word, near);
    else
        complain("there is no command or folder '%s' (see lunette --help)", word);
    return 2;
}

static bool is_unknown_word(const struct cli *cli)
{
    struct stat st;
    return !cli->name && !strchr(cli->dir, '/') && stat(cli->dir, &st) != 0;
}

static int serve(struct cli *cli, char *const *argv)
{
    char why[CONFIG_WHY_MAX];
    static struct inherited in;
    struct config c;
    int status = 1;
    signals_hold();
    inherit_read(&in, argv);
    for (unsigned i = 0; i < in.n && i < CLI_LISTEN_MAX; i++)
        if (in.socket[i].shared) // systemd's
            cli->inherited[cli->inherited_count++] = in.socket[i].text;
    if (config_load(cli, &c, why))
        status = master_run(&c, &in);
    else
        replace_fail_start(&in, why);
    config_fini(&c);
    return status;
}

static int limits(const struct cli *cli)
{
    char why[CONFIG_WHY_MAX];
    struct config c;
    int status = 1;
    if (!config_load(cli, &c, why))
        complain("%s", why);
    else if (!limits_print(&c, stdout, console_wants_colours()))
        complain("cannot write the table: %s", strerror(errno));
    else
        status = 0;
    config_fini(&c);
    return status;
}

// Whether a command only looks at the site, and so must not touch its data: an empty folder does for
// what the scripts open, migrate and write while they load.
static bool only_looks(const char *command)
{
    return strcmp(command, "check") == 0 || strcmp(command, "routes") == 0 ||
           strcmp(command, "why") == 0;
}

// What is wrong with the settings, as lunette check words everything. False: it is no place in them.
static bool report_setting(const struct config *c, const char *why)
{
    size_t n = strlen(c->file);
    if (strncmp(why, c->file, n) != 0 || why[n] != ':')
        return false;
    size_t line = strspn(why + n + 1, "0123456789");
    if (line > 0 && why[n + 1 + line] == ':')
        n += 1 + line;
    printf("%.*s: error:%s\n1 error, 0 warnings\n", (int)n, why, why + n + 1);
    return true;
}

// A command that loads the site, as --dev would.
static int solo(struct cli *cli)
{
    char why[CONFIG_WHY_MAX], module[64];
    struct config c;
    int status = 1;
    cli->dev = true;
    snprintf(module, sizeof module, "lunette.command.%s", cli->name);
    struct solo_job job = {
        .module = module, .word = cli->word, .tap = cli->tap, .watch = cli->watch};
    if (!config_load(cli, &c, why)) {
        if (strcmp(cli->name, "check") != 0 || !report_setting(&c, why))
            complain("%s", why);
    } else if (solo_become(&c)) {
        job.secret_is_made = c.secret_is_made;
        status = only_looks(cli->name) ? scratch_run(&c, &job) : solo_run(&c, &job);
    }
    config_fini(&c);
    return status;
}

// What every command relies on, whoever started it: descriptors 0 to 2 are open, or the first socket
// would be taken for the log; and the ends of children are told.
static void settle_process(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    signal(SIGCHLD, SIG_DFL);
}

int main(int argc, char *argv[])
{
    char why[CLI_WHY_MAX];
    struct cli cli;
    settle_process();
    if (!cli_parse(argc, argv, &cli, why))
        return wrong_usage(why);
    switch (cli.command) {
    case CLI_HELP:
    case CLI_SERVE_HELP:
    case CLI_LIMITS_HELP:
    case CLI_NEW_HELP:
    case CLI_STATUS_HELP:
    case CLI_RELOAD_HELP:
    case CLI_STOP_HELP:
    case CLI_CHECK_HELP:
    case CLI_ROUTES_HELP:
    case CLI_WHY_HELP:
    case CLI_TEST_HELP:
    case CLI_REPL_HELP:
        fputs(cli_help(cli.command), stdout);
        return 0;
    case CLI_VERSION:
        puts("lunette " LUNETTE_VERSION);
        return 0;
    case CLI_NEW:
        return new_run(cli.dir);
    case CLI_LIMITS:
        return limits(&cli);
    case CLI_SOLO:
        return strcmp(cli.name, "test") == 0 ? trial_run(&cli) : solo(&cli);
    case CLI_STATUS:
    case CLI_RELOAD:
    case CLI_STOP:
        return ask_server(&cli);
    case CLI_SERVE:
        break;
    }
    return is_unknown_word(&cli) ? unknown_word(cli.dir) : serve(&cli, argv);
}

// The help pages of the command line, one for each command.
#include "app/cli.h"

#include <stddef.h>

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
    "  lunette help COMMAND              what a command does, and its options\n"
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
    "                    names others; what is saved is live at once, open pages refresh, and\n"
    "                    errors are shown in the browser\n"
    "  --user U          the user to become when started as root (default: the owner of DIR, or\n"
    "                    nobody where that is root; with --dev it stays root there)\n"
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

#define WHERE                                                                                        \
    "It is found by its control socket: config.lua's `control`, or else in $RUNTIME_DIRECTORY,\n"    \
    "/run/lunette, $XDG_RUNTIME_DIR/lunette, /run/user/UID/lunette or /tmp/lunette-UID. Only root\n" \
    "and the user of the server are heard there. --config FILE: the settings, in place of\n"         \
    "DIR/scripts/config.lua. The exit status is 0, 1 when it failed or no server runs, 2 for a\n"    \
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

#define SOLO                                                                                            \
    "The site is loaded in a process of its own, as `serve --dev` would: no server need run, and one\n" \
    "that runs is left alone. --config FILE: the settings, in place of DIR/scripts/config.lua. The\n"   \
    "exit status is 0, 1 when something is wrong with the site, 2 for a command line that cannot be\n"  \
    "understood. Root becomes the owner of DIR, as `serve` does, where that is another who can read it.\n"

#define LOOKS                                                                                           \
    "DIR/data is left alone: scripts have in its place (app.data) an empty temporary folder, beneath\n" \
    "TMPDIR or /tmp, and what they make or migrate there while they load is gone afterwards.\n"         \
    "\n" SOLO

static const char check_help[] =
    "lunette check [DIR] [--config FILE]\n"
    "\n"
    "Loads the site in DIR and prints what is wrong with it, one line each:\n"
    "\n"
    "    scripts/main.lua:12: error: undeclared global 'coutner' is read (did you mean …)\n"
    "\n"
    "Errors are what a script raises while it loads, scripts and views that do not compile (those\n"
    "too that nothing has loaded), globals that nobody declared, and a missing secret.\n"
    "Warnings are routes that nothing can reach, pairs of routes that match the same path with\n"
    "nothing but their order to decide between them, and a secret that this environment lacks. The\n"
    "last line counts. With warnings alone the exit status is 0.\n"
    "\n" LOOKS;

static const char routes_help[] =
    "lunette routes [DIR] [--config FILE]\n"
    "\n"
    "Prints the routes of the site in DIR: methods, host, pattern, name, middleware (outermost first)\n"
    "and where it was declared, options, and where the handler is; then folders of files and pages\n"
    "for errors.\n"
    "\n" LOOKS;

static const char why_help[] =
    "lunette why METHOD PATH [DIR] [--config FILE]\n"
    "\n"
    "Says which route or file would answer METHOD PATH, with which middleware and parameters, and\n"
    "why routes that are like it would not. PATH may be a whole URL where the host matters:\n"
    "\n"
    "    lunette why GET 'http://api.example.com/users/7?full=1' mysite\n"
    "\n"
    "No handler and no middleware is called. The exit status is 0 for a 404, too.\n"
    "\n" LOOKS;

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
    "A prompt for Lua inside the loaded site. The value of an expression is printed; what is not\n"
    "complete goes on in the next line. Waits work, as in a handler. At hand are app, the modules of\n"
    "lunette by their last name (json is lunette.json), and whatever is assigned without local.\n"
    "\n"
    "Control-C drops the line, or ends what runs, and the whole prompt where code goes on all the\n"
    "same; Control-D ends the prompt. Lines are edited as the terminal does it, without a history;\n"
    "rlwrap lunette repl has one.\n"
    "\n"
    "When the input is no terminal there is no prompt, and the exit status is 1 if the last piece of\n"
    "code failed.\n"
    "\n" SOLO;

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

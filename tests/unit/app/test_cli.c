// The command line: every option, and every way to get one wrong.
#include "app/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
// after the above
#include <cmocka.h>

enum { WORDS = 200 };

static char text[1024];
static char *words[WORDS];

// Splits line at its spaces and parses it.
static bool parse(const char *line, struct cli *out, char why[static CLI_WHY_MAX])
{
    int n = 0;
    snprintf(text, sizeof text, "lunette %s", line);
    for (char *w = strtok(text, " "); w && n < WORDS; w = strtok(NULL, " "))
        words[n++] = w;
    return cli_parse(n, words, out, why);
}

static void test_defaults(void **state)
{
    (void)state;
    struct cli c;
    char why[CLI_WHY_MAX];
    assert_true(parse("", &c, why));
    assert_int_equal(c.command, CLI_SERVE);
    assert_null(c.name);
    assert_string_equal(c.dir, ".");
    assert_int_equal(c.listen_count, 0);
    assert_int_equal(c.workers, 0);
    assert_false(c.dev || c.quiet);
    assert_true(!c.user && !c.config && !c.pid_file);
}

static void test_every_option(void **state)
{
    (void)state;
    struct cli c;
    char why[CLI_WHY_MAX];
    assert_true(parse("--dev serve --listen 8080 --listen=unix:/a=b mysite --workers=3 --user www "
                      "--config c.lua --pid-file=/run/x --quiet",
                      &c, why));
    assert_int_equal(c.command, CLI_SERVE);
    assert_string_equal(c.name, "serve");
    assert_string_equal(c.dir, "mysite");
    assert_int_equal(c.listen_count, 2);
    assert_string_equal(c.listen[0], "8080");
    assert_string_equal(c.listen[1], "unix:/a=b");
    assert_int_equal(c.workers, 3);
    assert_true(c.dev && c.quiet);
    assert_string_equal(c.user, "www");
    assert_string_equal(c.config, "c.lua");
    assert_string_equal(c.pid_file, "/run/x");
}

static void test_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum cli_command command;
        const char *dir;
    } rows[] = {
        {"serve", CLI_SERVE, "."},
        {"serve serve", CLI_SERVE, "serve"},
        {"-- --dev", CLI_SERVE, "--dev"},
        {"-- check", CLI_SERVE, "check"},
        {"./check", CLI_SERVE, "./check"},
        {"--version", CLI_VERSION, "."},
        {"--help", CLI_HELP, "."},
        {"-h", CLI_HELP, "."},
        {"help", CLI_HELP, "."},
        {"-v", CLI_VERSION, "."},
        {"serve --help", CLI_SERVE_HELP, "."},
        {"limits", CLI_LIMITS, "."},
        {"limits x --workers 3", CLI_LIMITS, "x"},
        {"limits --help", CLI_LIMITS_HELP, "."},
        {"status", CLI_STATUS, "."},
        {"reload mysite --config c.lua", CLI_RELOAD, "mysite"},
        {"stop mysite", CLI_STOP, "mysite"},
        {"stop --help", CLI_STOP_HELP, "."},
        {"reload x --help", CLI_RELOAD_HELP, "x"},
        {"--help status", CLI_STATUS_HELP, "."},
        {"help limits", CLI_LIMITS_HELP, "."},
        {"help serve", CLI_SERVE_HELP, "."},
        {"help why", CLI_WHY_HELP, "."},
        {"help help", CLI_HELP, "."},
        {"help --help", CLI_HELP, "."},
        {"repl --help", CLI_REPL_HELP, "."},
        {"routes --tap --help", CLI_ROUTES_HELP, "."},
        {"routes --tap --version", CLI_VERSION, "."},
        {"limits --version", CLI_VERSION, "."},
        {"new x", CLI_NEW, "x"},
        {"new --help", CLI_NEW_HELP, "."},
        {"check x", CLI_SOLO, "x"},
        {"check x --help", CLI_CHECK_HELP, "x"},
        {"why GET /x", CLI_SOLO, "."},
        {"why GET /x --config c.lua site", CLI_SOLO, "site"},
        {"why --help", CLI_WHY_HELP, "."},
        {"test --tap --watch", CLI_SOLO, "."},
        {"-", CLI_SERVE, "-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cli c;
        char why[CLI_WHY_MAX] = "";
        if (!parse(rows[i].line, &c, why))
            fail_msg("%s: %s", rows[i].line, why);
        assert_int_equal(c.command, rows[i].command);
        assert_string_equal(c.dir, rows[i].dir);
    }
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } rows[] = {
        {"--lisen 8080", "there is no option --lisen (did you mean --listen?)"},
        {"--wrokers=2", "there is no option --wrokers (did you mean --workers?)"},
        {"--zzzzzzzzz", "there is no option --zzzzzzzzz (see lunette serve --help)"},
        {"-x", "there is no option -x (see lunette serve --help)"},
        {"--workers", "--workers takes a value"},
        {"--workers=", "--workers takes a value"},
        {"--workers 0", "--workers takes a number from 1 to 256, not '0'"},
        {"--workers 257", "--workers takes a number from 1 to 256, not '257'"},
        {"--workers two", "--workers takes a number from 1 to 256, not 'two'"},
        {"--dev=yes", "--dev takes no value"},
        {"new", "new takes the folder that is to be made: lunette new DIR"},
        {"new a b", "one folder is enough: both 'a' and 'b' were given"},
        {"why GET", "why takes 2 words (see lunette why --help)"},
        {"why GET / a b", "one folder is enough: both 'a' and 'b' were given"},
        {"a b", "one folder is enough: both 'a' and 'b' were given"},
        {"chekc mysite", "there is no command 'chekc' (did you mean 'check'?)"},
        {"rotues a b", "there is no command 'rotues' (did you mean 'routes'?)"},
        {"help rotues", "there is no command 'rotues' (did you mean 'routes'?)"},
        {"help zzzzzzzzz", "there is no command 'zzzzzzzzz' (see lunette --help)"},
        {"routes --tap", "lunette routes takes no --tap (see lunette routes --help)"},
        {"--dev check", "lunette check takes no --dev (see lunette check --help)"},
        {"why GET / --workers 2", "lunette why takes no --workers (see lunette why --help)"},
        {"repl x --listen=1", "lunette repl takes no --listen (see lunette repl --help)"},
        {"stop --watch", "lunette stop takes no --watch (see lunette stop --help)"},
        {"--tap", "lunette serve takes no --tap (see lunette serve --help)"},
        {"mysite --watch", "lunette serve takes no --watch (see lunette serve --help)"},
        {"check --confg=x", "there is no option --confg (did you mean --config?)"},
        {"check --lisen=x", "there is no option --lisen (see lunette check --help)"},
        {"test --wacth", "there is no option --wacth (did you mean --watch?)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cli c;
        char why[CLI_WHY_MAX] = "";
        assert_false(parse(rows[i].line, &c, why));
        assert_string_equal(why, rows[i].why);
    }
}

static void test_too_many_addresses(void **state)
{
    (void)state;
    char line[1024] = "", why[CLI_WHY_MAX];
    struct cli c;
    for (int i = 0; i < CLI_LISTEN_MAX; i++)
        strcat(line, "--listen=1 ");
    assert_true(parse(line, &c, why));
    assert_int_equal(c.listen_count, CLI_LISTEN_MAX);
    strcat(line, "--listen=1");
    assert_false(parse(line, &c, why));
}

static void test_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *word, *near;
    } rows[] = {
        {"chekc", "check"}, {"serv", "serve"}, {"relaod", "reload"}, {"statsu", "status"},
        {"mysite", NULL},   {"", NULL},        {"tests", "test"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *near = cli_nearest_command(rows[i].word);
        if (!rows[i].near)
            assert_null(near);
        else
            assert_string_equal(near ? near : "none", rows[i].near);
    }
    char longer[300];
    memset(longer, 'a', sizeof longer);
    longer[299] = '\0';
    assert_null(cli_nearest_command(longer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),           cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_commands),           cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_too_many_addresses), cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

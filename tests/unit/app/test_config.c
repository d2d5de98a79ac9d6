// The configuration of a whole site, through the child that evaluates it.
#include "app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char folder[] = "/tmp/test_config_XXXXXX";
static char why[CONFIG_WHY_MAX];
static struct config config;

static void write_file(const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    fclose(f);
    chmod(path, 0644);
}

static int setup(void **state)
{
    (void)state;
    char path[PATH_MAX];
    strcpy(folder, "/tmp/test_config_XXXXXX");
    if (!mkdtemp(folder) || chmod(folder, 0755) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/scripts", folder);
    return mkdir(path, 0755);
}

static int teardown(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

// Loads the site with a config.lua of that text (NULL: none).
static bool load(struct cli *cli, const char *text)
{
    cli->dir = folder;
    why[0] = '\0';
    if (text)
        write_file("scripts/config.lua", text);
    return config_load(cli, &config, why);
}

static void expect(bool ok, const char *what)
{
    if (!ok)
        fail_msg("%s: %s", what, why);
}

static void test_defaults(void **state)
{
    (void)state;
    char text[ADDR_TEXT_MAX];
    expect(load(&(struct cli){0}, NULL), "no config.lua");
    assert_int_equal(config.listen_addrs, 1);
    assert_string_equal(addr_format(&config.listen[0], text), "127.0.0.1:8080");
    assert_true(config.workers >= 1);
    assert_int_equal(config.limits.header_bytes, 16384);
    assert_int_equal(config.timeouts.linger, 5000);
    assert_string_equal(config.static_files.index.item[0], "index.html");
    assert_null(config.static_files.index.item[1]);
    assert_string_equal(config.data + strlen(config.site), "/data");
    assert_true(config.become.uid != 0);
    config_fini(&config);
    expect(load(&(struct cli){.dev = true}, NULL), "dev");
    assert_int_equal(config.workers, 1);
    config_fini(&config);
}

static void test_dev_makes_a_secret(void **state)
{
    (void)state;
    char first[64];
    expect(load(&(struct cli){.dev = true}, "return {}"), "a secret is made");
    assert_int_equal(config.secrets.n, 1);
    assert_true(config.secrets.item[0].n >= CONFIG_SECRET_MIN);
    memcpy(first, config.secrets.item[0].p, config.secrets.item[0].n);
    config_fini(&config);
    expect(load(&(struct cli){.dev = true}, "return { secret = {} }"), "and another one");
    assert_int_equal(config.secrets.n, 1);
    assert_memory_not_equal(config.secrets.item[0].p, first, config.secrets.item[0].n);
    config_fini(&config);
    expect(load(&(struct cli){.dev = true}, "return { secret = ('z'):rep(20) }"), "none is made");
    assert_true(str_eq(config.secrets.item[0], STR("zzzzzzzzzzzzzzzzzzzz")));
    config_fini(&config);
    expect(load(&(struct cli){0}, "return {}"), "none without --dev");
    assert_int_equal(config.secrets.n, 0);
    config_fini(&config);
}

static void test_settings(void **state)
{
    (void)state;
    char place[128], text[ADDR_TEXT_MAX];
    write_file("scripts/extra.lua", "return '1d'");
    expect(load(&(struct cli){0},
                "return {\n"
                "  listen = { ':9001', 'unix:/tmp/x.sock' },\n"
                "  workers = 3, temp = '/var/tmp',\n"
                "  limits = { body_bytes = '20M', connections_per_ip = 7 },\n"
                "  timeouts = { header = 0.25, stop = '1m' },\n"
                "  static = { max_age = require 'extra', index = { 'a', 'b' } },\n"
                "  log = { access = 'off', error = 'logs/e', level = 'debug' },\n"
                "  gzip = { level = 1 }, sandbox = { read = { '/etc', 'scripts' } },\n"
                "  secret = { 'sixteen \\0 bytes..', ('y'):rep(40) }, site = { title = 'T' },\n"
                "}\n"),
           "settings");
    assert_int_equal(config.listen_addrs, 2);
    assert_string_equal(addr_format(&config.listen[1], text), "unix:/tmp/x.sock");
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.limits.body_bytes, 20 << 20);
    assert_int_equal(config.limits.connections_per_ip, 7);
    assert_int_equal(config.timeouts.header, 250);
    assert_int_equal(config.timeouts.stop, 60000);
    assert_int_equal(config.static_files.max_age, 86400);
    assert_string_equal(config.static_files.index.item[1], "b");
    assert_string_equal(config.temp, "/var/tmp");
    assert_string_equal(config.log.access, "off");
    assert_string_equal(config.log.error + strlen(config.site), "/logs/e");
    assert_true(config.sandbox.on);
    assert_int_equal(config.sandbox.read.n, 2);
    assert_string_equal(config.sandbox.read.item[0], "/etc");
    assert_string_equal(config.sandbox.read.item[1] + strlen(config.site), "/scripts");
    assert_null(config.sandbox.read.item[2]);
    assert_int_equal(config.sandbox.exec.n, 0);
    assert_true(config.settings.n > 0);
    assert_int_equal(config.secrets.n, 2);
    assert_true(str_eq(config.secrets.item[0], STR("sixteen \0 bytes..")));
    assert_int_equal(config.secrets.item[1].n, 40);
    assert_string_equal(config_place(&config, "timeouts.stop", place), "scripts/config.lua:5");
    config_fini(&config);

    struct cli cli = {.listen = {"9009"}, .listen_count = 1, .workers = 2};
    expect(load(&cli, NULL), "the command line wins");
    assert_int_equal(config.listen_addrs, 1);
    assert_string_equal(addr_format(&config.listen[0], text), "127.0.0.1:9009");
    assert_int_equal(config.workers, 2);
    assert_string_equal(config_place(&config, "listen", place), "the command line");
    config_fini(&config);
}

static void test_paths_are_relative_to_the_site(void **state)
{
    (void)state;
    expect(load(&(struct cli){0}, "return { data = 'd', temp = 't', control = 'run/c',\n"
                                  "  log = { access = 'a.log', error = 'stdout' } }"),
           "relative paths");
    size_t n = strlen(config.site);
    const char *paths[][2] = {{config.data, "/d"},
                              {config.temp, "/t"},
                              {config.control, "/run/c"},
                              {config.log.access, "/a.log"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_memory_equal(paths[i][0], config.site, n);
        assert_string_equal(paths[i][0] + n, paths[i][1]);
    }
    assert_string_equal(config.log.error, "stdout"); // a word
    config_fini(&config);
    expect(load(&(struct cli){0}, "return { data = '/d' }"), "what is not set");
    assert_string_equal(config.data, "/d");
    assert_null(config.temp);
    assert_null(config.control);
    config_fini(&config);
}

static void test_the_sandbox_is_on_unless_told_otherwise(void **state)
{
    (void)state;
    expect(load(&(struct cli){0}, "return {}"), "nothing said");
    assert_true(config.sandbox.on);
    config_fini(&config);
    expect(load(&(struct cli){0}, "return { sandbox = true }"), "true");
    assert_true(config.sandbox.on);
    config_fini(&config);
    expect(load(&(struct cli){0}, "return { sandbox = false }"), "false");
    assert_false(config.sandbox.on);
    config_fini(&config);
}

static void test_metrics_and_health(void **state)
{
    (void)state;
    expect(load(&(struct cli){0}, "return { metrics = '/m', health = ':9000' }"), "true");
    assert_string_equal(config.metrics.path, "/m");
    assert_int_equal(config.metrics.listen, -1);
    assert_null(config.health.path);
    assert_int_equal(config.health.listen, 1); // behind the site's own
    assert_int_equal(config.side_addrs, 1);
    assert_int_equal(addr_port(&config.listen[1]), 9000);
    config_fini(&config);
    load(&(struct cli){0}, "return { metrics = '9000', health = '127.0.0.1:9000' }");
    assert_int_equal(config.metrics.listen, 1);
    assert_int_equal(config.health.listen, 1); // one address for both
    assert_int_equal(config.side_addrs, 1);
    config_fini(&config);
}

static void test_origins(void **state)
{
    (void)state;
    struct config_number n;
    unsigned i = 0, found = 0;
    load(&(struct cli){.workers = 2}, "return {\n limits = { headers = 7 } }");
    for (; config_number(&config, i, &n); i++) {
        const char *origin = strcmp(n.name, "limits.headers") == 0 ? "scripts/config.lua:2"
                             : strcmp(n.name, "workers") == 0      ? "--workers"
                                                                   : "default";
        assert_string_equal(n.origin, origin);
        found += strcmp(n.name, "limits.headers") == 0 && n.value == 7;
    }
    assert_int_equal(found, 1);
    assert_true(i > 20);
    config_fini(&config);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"return {\n secret = { ('x'):rep(16), 'short' } }",
         "scripts/config.lua:2: a secret has at least 16 bytes, and this one has 5; "},
        {"return { secret = '' }",
         "scripts/config.lua:1: a secret has at least 16 bytes, and this one has 0; "},
        {"return {\n\n\n  tiemouts = { header = 5 },\n}",
         "scripts/config.lua:4: unknown key 'tiemouts' (did you mean 'timeouts'?)"},
        {"return { listen = {\n 'nowhere' } }",
         "scripts/config.lua:1: cannot listen on 'nowhere': "},
        {"return {", "scripts/config.lua:1: unexpected symbol"},
        {"return { site = { f = print } }",
         "scripts/config.lua:1: site.f: a function cannot be kept"},
        {"return { site = { t = ('x'):rep(2^20) } }",
         "scripts/config.lua:1: site.t: too much to be kept"},
        {"os.exit(0)", "scripts/config.lua ended the process instead of returning a table"},
        {"os.exit(3)", "scripts/config.lua ended the process instead of returning a table"},
        {"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(2^20) .. i end",
         "scripts/config.lua: not enough memory"},
        {"local f = assert(io.open('/tmp/test_config_escape', 'w')) f:setvbuf 'no'\n"
         "assert(f:write 'x')",
         "scripts/config.lua:2: File too large"},
        {"return { health = '/a/../b' }", "scripts/config.lua:1: health cannot be at '/a/../b': "},
        {"return { metrics = '127.0.0.1:8080' }",
         "scripts/config.lua:1: the site itself listens on 127.0.0.1:8080: "},
        {"return {\n listen = { '127.0.0.1:0', tls = {} } }",
         "scripts/config.lua:2: tls is not in this version of lunette yet"},
        {"return {\n sandbox = { read = { 'scripts', '/no/such/path' } } }",
         "scripts/config.lua:2: sandbox.read names /no/such/path: No such file or directory"},
        {"return { sandbox = { exec = { '' } } }",
         "scripts/config.lua:1: sandbox.exec: a path is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
#if defined(__SANITIZE_ADDRESS__)
        if (strstr(rows[i].why, "not enough memory")) // the limit is off: ASan's shadow needs more
            continue;
#endif
        assert_false(load(&(struct cli){0}, rows[i].text));
        if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("got \"%s\", expected \"%s\"", why, rows[i].why);
        config_fini(&config);
    }
    unlink("/tmp/test_config_escape");
}

static void test_endless_loop(void **state)
{
    (void)state;
    assert_false(load(&(struct cli){0}, "while true do end"));
    assert_string_equal(why, "scripts/config.lua used more than 5 seconds of processor time");
    config_fini(&config);
}

static void test_folders(void **state)
{
    (void)state;
    struct cli cli = {.dir = "/nonexistent/site"};
    assert_false(config_load(&cli, &config, why));
    assert_string_equal(why, "cannot serve /nonexistent/site: No such file or directory");
    config_fini(&config);
    cli.dir = "/dev/null";
    assert_false(config_load(&cli, &config, why));
    assert_string_equal(why, "cannot serve /dev/null: it is not a folder");
    config_fini(&config);
    cli.dir = "/dev";
    assert_false(config_load(&cli, &config, why));
    assert_non_null(strstr(why, "/dev is not a site: it has neither"));
    config_fini(&config);
    cli = (struct cli){.config = "/nonexistent.lua"};
    assert_false(load(&cli, NULL));
    assert_string_equal(why, "/nonexistent.lua: No such file or directory");
    config_fini(&config);
}

static void test_dev_is_for_loopback(void **state)
{
    (void)state;
    struct cli cli = {.dev = true};
    assert_false(load(&cli, "return { listen = { '0.0.0.0:8080' } }"));
    assert_non_null(strstr(why, "scripts/config.lua:1 says 0.0.0.0:8080"));
    config_fini(&config);
    cli = (struct cli){.dev = true, .listen = {"0.0.0.0:8080"}, .listen_count = 1};
    bool ok = load(&cli, "return {}");
    assert_int_equal(ok, geteuid() != 0); // root may not even when told
    config_fini(&config);
}

// What only root can ask for, and what it gets.
static void test_users(void **state)
{
    (void)state;
    char path[PATH_MAX];
    if (geteuid() != 0) {
        assert_false(load(&(struct cli){.user = "nobody"}, NULL));
        assert_string_equal(why, "--user needs root: only root can become another user");
        config_fini(&config);
        return;
    }
    expect(load(&(struct cli){0}, "return { user = 4321, group = 'nogroup' }"), "root's file");
    assert_int_equal(config.become.uid, 4321);
    config_fini(&config);
    assert_false(load(&(struct cli){0}, "return {\n user = 'root' }"));
    assert_non_null(strstr(why, "scripts/config.lua:2: lunette never serves as root"));
    config_fini(&config);
    expect(load(&(struct cli){.user = "4444"}, "assert(io.popen('id -u'):read 'l' == '4444')\n"
                                               "return { user = 'root' }"),
           "--user wins");
    assert_int_equal(config.become.uid, 4444);
    config_fini(&config);
    snprintf(path, sizeof path, "%s/scripts/config.lua", folder);
    write_file("scripts/config.lua", "return { user = 4321 }");
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_false(load(&(struct cli){0}, NULL));
    assert_non_null(strstr(why, "only a file that root alone can write may name another user"));
    config_fini(&config);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_false(load(&(struct cli){0}, NULL));
    assert_non_null(strstr(why, folder));
    assert_non_null(strstr(why, "Give --user"));
    config_fini(&config);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_settings),
        TEST(test_paths_are_relative_to_the_site),
        TEST(test_the_sandbox_is_on_unless_told_otherwise),
        TEST(test_defaults),
        TEST(test_settings),
        TEST(test_metrics_and_health),
        TEST(test_origins),
        TEST(test_mistakes),
        TEST(test_folders),
        TEST(test_endless_loop),
        TEST(test_dev_is_for_loopback),
        TEST(test_users),
        TEST(test_dev_makes_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What is told of refusals. No kernel refuses anything here: functions that judge the path before
// the call tell all the same, and the shell is refused by the wrapper itself. The rest is in
// tests/integration/test_sandbox.py.
#include "script_test.h"

#include "base/log.h"
#include "base/reach.h"
#include "script/lua_guard.h"

static char log_path[128];
static struct reach reach;

static int setup_guard(void **state)
{
    int rc = setup(state);
    if (rc != 0)
        return rc;
    struct fixture *f = *state;
    char data[128];
    const char *failed;
    snprintf(log_path, sizeof log_path, "%s/log", f->site);
    snprintf(data, sizeof data, "%s/data", f->site);
    struct log_options o = {.error = log_path, .access = "off", .level = LOG_INFO};
    reach_init(&reach);
    if (mkdir(data, 0700) != 0 || log_open(&o, &failed) != 0 ||
        reach_add(&reach, f->site, REACH_READ) != 0 ||
        reach_add(&reach, data, REACH_READ | REACH_WRITE) != 0)
        return -1;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.reach = &reach, .no_programs = true});
    return 0;
}

static int teardown_guard(void **state)
{
    int rc = teardown(state);
    log_close();
    reach_fini(&reach);
    return rc;
}

// The log so far, from its nth occurrence of "warn" on; "" when there are fewer.
static const char *nth_record(unsigned n)
{
    static char text[64 * 1024];
    FILE *f = fopen(log_path, "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof text - 1, f);
    text[length] = '\0';
    fclose(f);
    const char *at = strstr(text, " warn ");
    while (at && n--)
        at = strstr(at + 1, " warn ");
    return at ? at : "";
}

static void expect_record(unsigned n, const char *part)
{
    const char *record = nth_record(n);
    size_t length = strcspn(record, "\n");
    const char *found = strstr(record, part);
    if (!found || found > record + length)
        fail_msg("record %u is \"%.*s\", without \"%s\"", n, (int)length, record, part);
}

static void the_line_and_the_setting_are_told(void **state)
{
    struct fixture *f = *state;
    write_file(f, "own.lua", "return 'own'");
    expect(f, "local ok = pcall(dofile, '/no/such/file') return ok", "false"); // is not there
    assert_string_equal(nth_record(0), "");
    expect(f, "return type(loadfile '/etc/passwd')", "nil");
    expect_record(0, ":1: the sandbox refused loadfile(\"/etc/passwd\"): /etc/passwd is not in "
                     "sandbox.read of config.lua");
    expect(f, "\nos.remove(os.tmpname())", "");
    expect_record(1, ":2: the sandbox refused os.tmpname(): /tmp is not in sandbox.write of ");
    assert_string_equal(nth_record(2), "");
}

static void no_shell_is_started(void **state)
{
    struct fixture *f = *state;
    expect(f, "return os.execute 'exit 3'", "nil,Operation not permitted,1");
    expect_record(0, "the sandbox refused os.execute(\"exit 3\"): sandbox.exec of config.lua names "
                     "no program");
    expect(f, "return io.popen 'echo'", "nil,echo: Operation not permitted,1");
    expect_record(1, "the sandbox refused io.popen(\"echo\"): ");
}

static void arguments_that_are_wrong_are_not_told(void **state)
{
    struct fixture *f = *state;
    expect(f, "return (select(2, pcall(os.execute, {})))",
           "bad argument #1 to 'os.execute' (string expected, got table)");
    expect(f, "return (select(2, pcall(io.open)))",
           "bad argument #1 to 'io.open' (string expected, got no value)");
    expect(f, "return pcall(io.lines, {})",
           "false,bad argument #1 to 'io.lines' (string expected, got table)");
    assert_string_equal(nth_record(0), "");
}

static void one_line_is_told_a_few_times(void **state)
{
    struct fixture *f = *state;
    expect(f, "for i = 1, 1000 do os.execute 'a' end", "");
    expect_record(0, "os.execute(\"a\")");
    assert_string_equal(nth_record(1), "");
    expect(f, "\nfor i = 1, 1000 do os.execute('b' .. i) end", "");
    expect_record(8, "os.execute(\"b8\")");
    assert_string_equal(nth_record(9), "");
    // Many lines: the table of those seen is full, and turns over.
    for (int i = 0; i < 2 * GUARD_SEEN; i++) {
        char script[256] = "";
        memset(script, '\n', (size_t)i + 5);
        strcat(script, "os.execute 'c'");
        expect(f, script, "");
    }
    expect_record(8 + 2 * GUARD_SEEN, "os.execute(\"c\")");
}

static void what_cannot_be_shown_whole_is_cut(void **state)
{
    struct fixture *f = *state;
    expect(f, "return os.execute(('x'):rep(100000), ('y'):rep(100000))",
           "nil,Operation not permitted,1");
    expect_record(0, "xxx\", \"yyy");
    expect(f, "return os.execute('a\\nb\\27[m')", "nil,Operation not permitted,1");
    expect_record(1, "os.execute(\"a");
    assert_null(strchr(nth_record(1), '\x1b'));
    expect(f, "return io.popen(('x'):rep(100000)) == nil", "true");
}

static void libraries_are_not_loaded_from_where_the_site_writes(void **state)
{
    struct fixture *f = *state;
    char script[512], want[256];
    write_file(f, "data/m.so", "no library");
    snprintf(script, sizeof script, "return package.loadlib('%s/data/m.so', '*')", f->site);
    snprintf(want, sizeof want, "nil,%s/data/m.so is in a folder that the site may write,open",
             f->site);
    expect(f, script, want);
    expect_record(0, "the sandbox refused package.loadlib(");
    for (int part = 0; part < 2; part++) {
        snprintf(script, sizeof script,
                 "package.cpath = '%s/data/?.so' return select(2, pcall(require, 'm%s')):match "
                 "'module .- is not loaded'",
                 f->site, part ? ".part" : "");
        expect(f, script, part ? "module 'm.part' is not loaded" : "module 'm' is not loaded");
    }
    write_file(f, "m.so", "no library either");
    snprintf(script, sizeof script, "return select(3, package.loadlib('%s/m.so', '*'))", f->site);
    expect(f, script, "open"); // tried, since it may only be read
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_guard, teardown_guard)
    const struct CMUnitTest tests[] = {
        TEST(the_line_and_the_setting_are_told),
        TEST(no_shell_is_started),
        TEST(arguments_that_are_wrong_are_not_told),
        TEST(one_line_is_told_a_few_times),
        TEST(what_cannot_be_shown_whole_is_cut),
        TEST(libraries_are_not_loaded_from_where_the_site_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

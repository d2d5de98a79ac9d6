// Calls of io and os that keep the worker, told with --dev.
#include "script_test.h"

#include <stdbool.h>

static void expect_logged(struct fixture *f, const char *chunk, const char *result,
                          const char *text)
{
    static char log[8192];
    logged(f, chunk, log, sizeof log);
    assert_string_equal(f->result, result);
    if (!strstr(log, text))
        fail_msg("%s\nlogged %s", chunk, log);
}

static void calls_that_take_long(void **state)
{
    static const struct {
        const char *chunk, *result, *log;
    } cases[] = {
        {"return os.execute 'sleep 0.05'", "true,exit,0", " warn ["},
        {"return os.execute 'sleep 0.05'", "true,exit,0",
         "] t:1: os.execute blocked the worker for "},
        {"\nreturn (io.popen 'sleep 0.05; echo x'):read 'l'", "x", "] t:2: file:read blocked"},
        {"return (io.popen 'sleep 0.05'):close()", "true,exit,0", "] t:1: file:close blocked"},
        {"do local p <close> = io.popen 'sleep 0.05' end return 1", "1",
         "] t:1: file:close blocked"},
        {"local s = '' for l, m in (io.popen 'sleep 0.05; echo ab; echo c'):lines(1, 'l') do\n"
         "s = s .. l .. '|' .. tostring(m) end return s",
         "a|bc|", "] t:1: file:lines blocked"},
        {"io.input(io.popen 'sleep 0.05; echo x') return io.read()", "x", "] t:1: io.read blocked"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_logged(f, cases[i].chunk, cases[i].result, cases[i].log);
}

// They behave as the originals do.
static void messages_are_the_same(void **state)
{
    static const struct story stories[] = {
        {"return io.open '/none/x'", "nil,/none/x: No such file or directory,2"},
        {"io.open({})", "error: t:1: bad argument #1 to 'open' (string expected, got table)"},
        {"io.lines '/none/x'",
         "error: t:1: cannot open file '/none/x' (No such file or directory)"},
        {"local f = io.tmpfile() f:write('a\\nb\\n', 5) f:seek 'set' local s = '' for l in f:lines() do "
         "s = s .. l .. '|' end return s, f:close(), io.type(f)",
         "a|b|5|,true,closed file"},
        {"local f = io.tmpfile() f:close() f:read()", "error: t:1: attempt to use a closed file"},
        {"local f = io.tmpfile() f:read 'x'",
         "error: t:1: bad argument #1 to 'read' (invalid format)"},
        {"local f = io.tmpfile() f.read()",
         "error: t:1: bad argument #1 to 'read' (FILE* expected, got no value)"},
        {"for l in io.lines('/proc/self/comm') do return #l > 0 end", "true"},
        {"local f = io.tmpfile() local it = f:lines() f:close() it()",
         "error: t:1: file is already closed"},
        {"local n = 0 for a, b, c in io.lines('/proc/self/comm', 1, 0, 'l') do n = n + #a end return n",
         "1"},
    };
    tell(*state, stories);
}

static int setup_without_dev(void **state)
{
    setup(state);
    struct fixture *f = *state;
    vm_free(f->vm);
    open_vm(f, (struct vm_options){.memory = 64 << 20});
    return 0;
}

static void nothing_without_dev(void **state)
{
    struct fixture *f = *state;
    static char log[8192];
    logged(f, "return os.execute 'sleep 0.05'", log, sizeof log);
    assert_string_equal(f->result, "true,exit,0");
    assert_string_equal(log, "");
    expect(f, "return debug.getupvalue(os.execute, 1), (debug.getupvalue(io.open, 1))", "nil,nil");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_that_take_long, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_are_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_are_the_same, setup_without_dev, teardown),
        cmocka_unit_test_setup_teardown(nothing_without_dev, setup_without_dev, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// lunette.mime: what Lua sees of it; the types themselves are tested in content/.
#include "script_test.h"

#define M "local m = require 'lunette.mime' "

static void types(void **state)
{
    static const struct story stories[] = {
        {M "return m.by_name 'a.PNG', m.by_name 'x'", "image/png,application/octet-stream"},
        {M "return m.by_content '%PDF-1.7\\n', m.by_content ''",
         "application/pdf,application/octet-stream"},
        {M "return m.by_content('GIF89a\\1\\0\\1\\0\\0\\0\\0;' .. ('x'):rep(1000000))",
         "image/gif"},
        {M "return table.concat(m.extensions 'image/jpeg', ' '), #m.extensions 'x/y'",
         "jpg jfif jpeg,0"},
        {M "return m.extensions(m.by_content '%PDF-1.7\\n')[1]", "pdf"},
        // where nobody can wait it is asked on the spot
        {M "return ('a'):gsub('a', function() return m.by_content '%PDF-1.7\\n' end)",
         "application/pdf,1"},
        {M "m.by_content()",
         "error: t:1: bad argument #1 to 'by_content' (string expected, got no value)"},
        {M "m.extensions {}",
         "error: t:1: bad argument #1 to 'extensions' (string expected, got table)"},
    };
    tell(*state, stories);
}

static void without_a_pool_it_is_asked_on_the_spot(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    pool_free(f->pool);
    f->pool = NULL;
    open_vm(f, (struct vm_options){.memory = 64 << 20});
    expect(f, M "return m.by_content '%PDF-1.7\\n'", "application/pdf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(types, setup, teardown),
        cmocka_unit_test_setup_teardown(types, setup_collecting, teardown),
        cmocka_unit_test_setup_teardown(without_a_pool_it_is_asked_on_the_spot, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

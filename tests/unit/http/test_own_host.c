// Which hosts a browser cannot be led here by through somebody else's DNS.
#include "http/own_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char names[] = "api.example.com\n*.dev.example\n";

static const struct {
    const char *authority;
    bool own;
} hosts[] = {
    {"localhost", true},
    {"LocalHost:8080", true},
    {"localhost.", true},
    {"a.b.localhost:1", true},
    {"127.0.0.1:8080", true},
    {"127.9.8.7", true},
    {"192.168.1.20:80", true}, // an address has no name that could lead elsewhere
    {"[::1]:8080", true},
    {"[2001:db8::1]", true},
    {"[::ffff:127.0.0.1]", true},
    {"api.example.com", true},
    {"API.Example.com.:99", true},
    {"x.dev.example", true},
    {"x.y.dev.example", true},
    {"", false},
    {":8080", false},
    {".", false},
    {"evil.example", false},
    {"evil.example:8080", false},
    {"localhost.evil.example", false},
    {"evillocalhost", false},
    {".localhost", false},
    {"127.0.0.1.evil.example", false},
    {"127.0.0.1.nip.io", false},
    {"0x7f.1", false},
    {"127.1", false},
    {"[evil.example]", false},
    {"[]", false},
    {"[", false},
    {"[::1", false},
    {"x.api.example.com", false},
    {"example.com", false},
    {"dev.example", false},
    {"xdev.example", false},
    {"*.dev.example", true}, // no browser asks for it, and it is beneath
};

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++)
        if (own_host(str_z(hosts[i].authority), STR(names)) != hosts[i].own)
            fail_msg("%s", hosts[i].authority);
}

static void test_without_names(void **state)
{
    (void)state;
    assert_true(own_host(STR("localhost"), STR("")));
    assert_false(own_host(STR("api.example.com"), STR("")));
    assert_false(own_host(str_of("127.0.0.1\0.evil", 15), STR("")));
}

static void test_a_long_name_is_none(void **state)
{
    char text[300];
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 10, ".localhost", 10);
    assert_false(own_host(str_of(text, sizeof text), STR("")));
    assert_true(own_host(str_of(text + 47, sizeof text - 47), STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_without_names),
        cmocka_unit_test(test_a_long_name_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

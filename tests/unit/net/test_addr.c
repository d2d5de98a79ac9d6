// Addresses: tables of text and meaning.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "net/addr.h"

#define PATH_107                                                            \
    "/23456789012345678901234567890123456789012345678901234567890123456789" \
    "01234567890123456789012345678901234567"

static void good_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text, *format, *host;
        unsigned port;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1", 8080, true},
        {"127.9.8.7:1", "127.9.8.7:1", "127.9.8.7", 1, true},
        {"0.0.0.0:65535", "0.0.0.0:65535", "0.0.0.0", 65535, false},
        {"128.0.0.1:80", "128.0.0.1:80", "128.0.0.1", 80, false},
        {"8080", "127.0.0.1:8080", "127.0.0.1", 8080, true},
        {":8080", "127.0.0.1:8080", "127.0.0.1", 8080, true},
        {"localhost:0", "127.0.0.1:0", "127.0.0.1", 0, true},
        {"[::]:80", "[::]:80", "::", 80, false},
        {"[::1]:80", "[::1]:80", "::1", 80, true},
        {"[2001:DB8:0::1]:443", "[2001:db8::1]:443", "2001:db8::1", 443, false},
        {"[::ffff:127.0.0.2]:9", "[::ffff:127.0.0.2]:9", "127.0.0.2", 9, true},
        {"[::ffff:10.0.0.2]:9", "[::ffff:10.0.0.2]:9", "10.0.0.2", 9, false},
        {"unix:/run/site.sock", "unix:/run/site.sock", "unix:", 0, true},
        {"unix:/a b~\xc3\xa4", "unix:/a b~\xc3\xa4", "unix:", 0, true},
        {"unix:" PATH_107, "unix:" PATH_107, "unix:", 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr a;
        const char *why = NULL;
        char text[ADDR_TEXT_MAX];
        assert_int_equal(addr_parse(str_z(rows[i].text), &a, &why), 0);
        assert_string_equal(addr_format(&a, text), rows[i].format);
        assert_string_equal(addr_host(&a, text), rows[i].host);
        assert_int_equal(addr_port(&a), rows[i].port);
        assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
    }
}

static void bad_ones(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *why; // a word of it
    } rows[] = {
        {STR(""), "empty"},
        {STR(":"), "port"},
        {STR("65536"), "port"},
        {STR("-1"), "port"},
        {STR("127.0.0.1"), "port"},
        {STR("127.0.0.1:"), "port"},
        {STR("127.0.0.1:http"), "port"},
        {STR("127.0.0.1: 80"), "port"},
        {STR("127.1:80"), "host"},
        {STR("example.org:80"), "host"},
        {STR("127.0.0.1\0x:80"), "host"},
        {STR("123456789012345678901234567890123456789012345678901234567890:80"), "host"},
        {STR("::1:80"), "brackets"},
        {STR("[::1"), "closed"},
        {STR("[::1]"), "port"},
        {STR("[::1]80"), "port"},
        {STR("[::1]:x"), "port"},
        {STR("[]:80"), "IPv6"},
        {STR("[127.0.0.1]:80"), "IPv6"},
        {STR("[fe80::1%lo]:80"), "IPv6"},
        {STR("unix:"), "slash"},
        {STR("unix:site.sock"), "slash"},
        {STR("unix:/a\0b"), "NUL"},
        {STR("unix:/a\nb"), "control byte"},
        {STR("unix:/a\x1b[2Jb"), "control byte"},
        {STR("unix:/\x01"), "control byte"},
        {STR("unix:/a\x1f"), "control byte"},
        {STR("unix:/a\x7f"), "control byte"},
        {STR("unix:" PATH_107 "8"), "107"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr a;
        const char *why = "";
        assert_int_equal(addr_parse(rows[i].text, &a, &why), -EINVAL);
        if (!strstr(why, rows[i].why))
            fail_msg("%.*s: %s", STR_ARG(rows[i].text), why);
    }
}

// What accept gives for unix peers: no name, an abstract name, a path without its NUL.
static void unix_peers(void **state)
{
    (void)state;
    struct addr a = {.len = sizeof(sa_family_t)};
    char text[ADDR_TEXT_MAX];
    a.un.sun_family = AF_UNIX;
    memset(a.un.sun_path, 'x', sizeof a.un.sun_path); // beyond len: not to be looked at
    assert_string_equal(addr_format(&a, text), "unix:");
    assert_int_equal(addr_port(&a), 0);

    a.len = sizeof(sa_family_t) + 5;
    a.un.sun_path[0] = '\0';
    assert_string_equal(addr_format(&a, text), "unix:");

    a.len = sizeof a.un;
    memset(a.un.sun_path, 'y', sizeof a.un.sun_path);
    assert_int_equal(strlen(addr_format(&a, text)), 5 + sizeof a.un.sun_path);
    a.len = sizeof a.storage;
    assert_int_equal(strlen(addr_format(&a, text)), 5 + sizeof a.un.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(unix_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

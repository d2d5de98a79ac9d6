// Networks: what is read, what is refused and how, what is in them.
#include "net/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void holds(void **state)
{
    static const struct {
        const char *network, *address;
        bool want;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/31", "192.0.2.1", true},
        {"192.0.2.0/31", "192.0.2.2", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"::/0", "::ffff:10.0.0.1", false},
        {"::1", "::1", true},
        {"::1", "0:0:0:0:0:0:0:1", true},
        {"::1", "::2", false},
        {"2001:db8::/32", "2001:DB8:ffff::", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true}, // mapped is the IPv4 address
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"::ffff:0:0/96", "11.1.2.3", true},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        {"10.0.0.0/8", "10.1.2.3:80", false},
        {"10.0.0.0/8", "10.1.2", false},
        {"10.0.0.0/8", "", false},
        {"10.0.0.0/8", "unix", false},
        {"unix", "unix", false}, // no text is a unix socket
        {"::/0", "[::1]", false},
        {"::/0", "fe80::1%lo", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[CIDR_WHY_MAX];
        struct cidr c;
        struct cidr_list list = {&c, 1};
        if (!cidr_parse(str_z(cases[i].network), &c, why))
            fail_msg("%s: %s", cases[i].network, why);
        if (cidr_has_text(&list, str_z(cases[i].address)) != cases[i].want)
            fail_msg("%s and %s", cases[i].network, cases[i].address);
    }
}

static void refuses(void **state)
{
#define NO_ADDRESS "it must be a numeric address, a network like 10.0.0.0/8, or unix"
#define NO_PREFIX(n) "the prefix must be a number from 0 to " n
    static const struct {
        struct str text;
        const char *why;
    } cases[] = {
        {STR("10.1.2.3/8"), "its last bits are set: the network is 10.0.0.0/8"},
        {STR("192.0.2.3/31"), "its last bits are set: the network is 192.0.2.2/31"},
        {STR("1.2.3.4/0"), "its last bits are set: the network is 0.0.0.0/0"},
        {STR("2001:db8::1/32"), "its last bits are set: the network is 2001:db8::/32"},
        {STR("::ffff:10.1.2.3/104"), "its last bits are set: the network is ::ffff:10.0.0.0/104"},
        {STR("10.0.0.0/33"), NO_PREFIX("32")},
        {STR("10.0.0.0/"), NO_PREFIX("32")},
        {STR("10.0.0.0/-1"), NO_PREFIX("32")},
        {STR("10.0.0.0/8/8"), NO_PREFIX("32")},
        {STR("10.0.0.0/255.0.0.0"), NO_PREFIX("32")},
        {STR("::/129"), NO_PREFIX("128")},
        {STR("::/99999999999999999999"), NO_PREFIX("128")},
        {STR(""), NO_ADDRESS},
        {STR("/8"), NO_ADDRESS},
        {STR("10.0.0/8"), NO_ADDRESS},
        {STR("localhost"), NO_ADDRESS},
        {STR("unix:"), NO_ADDRESS},
        {STR("unix/8"), NO_ADDRESS},
        {STR("[::1]"), NO_ADDRESS},
        {STR("10.0.0.1 "), NO_ADDRESS},
        {STR("10.0.0.1\0"), NO_ADDRESS},
        {STR("1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234"), NO_ADDRESS},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[CIDR_WHY_MAX] = "";
        struct cidr c;
        if (cidr_parse(cases[i].text, &c, why))
            fail_msg("%.*s was taken", STR_ARG(cases[i].text));
        assert_string_equal(why, cases[i].why);
    }
}

static struct cidr parsed(const char *text)
{
    char why[CIDR_WHY_MAX];
    struct cidr c;
    assert_true(cidr_parse(str_z(text), &c, why));
    return c;
}

static void knows_peers(void **state)
{
    struct cidr items[] = {parsed("10.0.0.0/8"), parsed("::1"), parsed("unix")};
    struct cidr_list all = {items, 3}, no_unix = {items, 2}, none = {NULL, 0};
    struct addr v4 = {.v4.sin_family = AF_INET}, v6 = {.v6.sin6_family = AF_INET6},
                un = {.un.sun_family = AF_UNIX};
    (void)state;
    v4.v4.sin_addr.s_addr = htonl(0x0a010203);
    v6.v6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    assert_true(cidr_has(&all, &v4) && cidr_has(&all, &v6) && cidr_has(&all, &un));
    assert_true(cidr_has(&no_unix, &v4) && !cidr_has(&no_unix, &un));
    assert_false(cidr_has(&none, &v4) || cidr_has(&none, &v6) || cidr_has(&none, &un));
    v4.v4.sin_addr.s_addr = htonl(0x0b010203);
    assert_false(cidr_has(&all, &v4));

    v6.v6.sin6_addr = (struct in6_addr){0}; // ::ffff:10.1.2.3
    memcpy(v6.v6.sin6_addr.s6_addr + 10, "\xff\xff\x0a\x01\x02\x03", 6);
    assert_true(cidr_has(&all, &v6));
    v6.v6.sin6_addr.s6_addr[12] = 11;
    assert_false(cidr_has(&all, &v6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds),
        cmocka_unit_test(refuses),
        cmocka_unit_test(knows_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

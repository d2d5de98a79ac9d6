// Whom proxies speak for: each case with 10.0.0.0/8-like addresses ("10.…") and fd00:: trusted.
#include "http/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool is_ours(void *arg, struct str address)
{
    (void)arg;
    return str_starts(address, STR("10.")) || str_starts(address, STR("fd00::"));
}

// "addr:port scheme host:host_port", with "-" for what is not told.
static const char *told(const struct forwarded *f)
{
    static char text[512];
    snprintf(text, sizeof text, "%s %u %.*s %.*s %u", f->addr[0] ? f->addr : "-", f->port,
             f->scheme.n ? (int)f->scheme.n : 1, f->scheme.n ? f->scheme.p : "-",
             f->host.n ? (int)f->host.n : 1, f->host.n ? f->host.p : "-", f->host_port);
    return text;
}

static void reads_forwarded(void **state)
{
    static const struct {
        const char *field, *want;
    } cases[] = {
        {"for=192.0.2.60", "192.0.2.60 0 - - 0"},
        {"For=192.0.2.60;PROTO=https;by=203.0.113.43", "192.0.2.60 0 https - 0"},
        {"for=\"192.0.2.60:47011\"", "192.0.2.60 47011 - - 0"},
        {"for=192.0.2.60:47011", "192.0.2.60 47011 - - 0"},
        {"for=\"[2001:DB8:CAFE::17]:4711\"", "2001:db8:cafe::17 4711 - - 0"},
        {"for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17 0 - - 0"},
        {"for=[2001:db8:cafe::17]", "2001:db8:cafe::17 0 - - 0"},
        {"for=\"[::ffff:192.0.2.1]:5\"", "192.0.2.1 5 - - 0"},
        {"for=\"192.0.2.60:_secret\"", "192.0.2.60 0 - - 0"},
        {"for=192.0.2.60 ; proto=http ;host=\"example.com:8443\"",
         "192.0.2.60 0 http example.com:8443 0"},
        {"host=example.com:8443;for=192.0.2.60", "192.0.2.60 0 - example.com:8443 0"},
        {";for=192.0.2.60;;proto=wss;", "192.0.2.60 0 https - 0"},
        {"for=192.0.2.60;proto=ws;x=\"a,b;c\"", "192.0.2.60 0 http - 0"},
        {"for=192.0.2.60;proto=ftp;host=a/b", "- 0 - - 0"}, // "/" is in no token
        {"for=192.0.2.60;proto=ftp;host=\"a/b\"", "192.0.2.60 0 - - 0"},
        {"for=192.0.2.60;host=\"\"", "192.0.2.60 0 - - 0"},
        {"proto=https;host=example.com", "- 0 https example.com 0"},
        {"for=unknown;proto=https", "- 0 https - 0"},
        {"for=_hidden;proto=https", "- 0 https - 0"},
        // from the end, as far as trust goes
        {"for=1.1.1.1, for=192.0.2.60", "192.0.2.60 0 - - 0"},
        {"for=1.1.1.1;proto=https, for=192.0.2.60;proto=http", "192.0.2.60 0 http - 0"},
        {"for=1.1.1.1;proto=https, for=192.0.2.60", "192.0.2.60 0 - - 0"},
        {"for=1.1.1.1, for=192.0.2.60;proto=https;host=a, for=10.0.0.2;proto=http;host=b",
         "192.0.2.60 0 https a 0"},
        {"for=192.0.2.60,for=10.0.0.3 ,for=\"[fd00::1]:1\"", "192.0.2.60 0 - - 0"},
        {"for=10.0.0.3;host=a, for=\"10.0.0.2:7\";host=b", "10.0.0.3 0 - a 0"},
        {"for=unknown;proto=https, for=\"10.0.0.2:7\"", "10.0.0.2 7 https - 0"},
        {"proto=https, for=10.0.0.2", "10.0.0.2 0 https - 0"},
        {"for=1.1.1.1, for=unknown, for=10.0.0.2", "10.0.0.2 0 - - 0"},
        // malformed: it and what is before it are not believed
        {"for=1.1.1.1, junk, for=10.0.0.2;proto=https", "10.0.0.2 0 https - 0"},
        {"for=1.1.1.1, for=example.com, for=10.0.0.2", "10.0.0.2 0 - - 0"},
        {"for=192.0.2.60;for=1.1.1.1", "- 0 - - 0"},
        {"for=192.0.2.60;proto=http;proto=https", "- 0 - - 0"},
        {"for=192.0.2.60 proto=https", "- 0 - - 0"},
        {"for =192.0.2.60", "- 0 - - 0"},
        {"for= 192.0.2.60", "- 0 - - 0"},
        {"for=", "- 0 - - 0"},
        {"for=\"\"", "- 0 - - 0"},
        {"for", "- 0 - - 0"},
        {"for=192.0.2.60,", "- 0 - - 0"},
        {"", "- 0 - - 0"},
        {",", "- 0 - - 0"},
        {"for=192.0.2.256", "- 0 - - 0"},
        {"for=192.0.2.60:0", "- 0 - - 0"},
        {"for=192.0.2.60:65536", "- 0 - - 0"},
        {"for=192.0.2.60:", "- 0 - - 0"},
        {"for=\"[192.0.2.60]\"", "- 0 - - 0"},
        {"for=\"[2001:db8::1\"", "- 0 - - 0"},
        {"for=\"[2001:db8::1]x\"", "- 0 - - 0"},
        {"for=\"[2001:db8::1%eth0]\"", "- 0 - - 0"},
        {"for=\"192.0.2\\.60\"", "- 0 - - 0"},
        {"for=\"192.0.2.60", "- 0 - - 0"},
        // a client's open quote does not reach what the proxy added
        {"for=\"1.1.1.1, for=192.0.2.60;proto=http", "192.0.2.60 0 http - 0"},
        {"x=\", for=\"192.0.2.60:80\"", "192.0.2.60 80 - - 0"},
        {"for=1.1.1.1;x=\", for=\"10.0.0.2:80\"", "10.0.0.2 80 - - 0"},
        {"for=1.1.1.1;x=\"\\\", for=192.0.2.60", "192.0.2.60 0 - - 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct forwarded got;
        struct forwarded_fields f = {.forwarded = str_z(cases[i].field),
                                     .x_proto = STR("https"),
                                     .x_host = STR("x"),
                                     .x_port = STR("1")};
        assert_true(forwarded_read(&f, is_ours, NULL, &got));
        if (strcmp(told(&got), cases[i].want) != 0)
            fail_msg("%s\n  gave %s\n  want %s", cases[i].field, told(&got), cases[i].want);
    }
}

static void reads_x_forwarded(void **state)
{
    static const struct {
        const char *x_for, *proto, *host, *port, *want;
    } cases[] = {
        {"192.0.2.60", NULL, NULL, NULL, "192.0.2.60 0 - - 0"},
        {"192.0.2.60:5000", "https", "example.com", "8443",
         "192.0.2.60 5000 https example.com 8443"},
        {"2001:DB8::1", "HTTPS", "[2001:db8::2]:80", NULL,
         "2001:db8::1 0 https [2001:db8::2]:80 0"},
        {"[2001:db8::1]", NULL, NULL, NULL, "2001:db8::1 0 - - 0"},
        {"[2001:db8::1]:77", NULL, NULL, NULL, "2001:db8::1 77 - - 0"},
        {NULL, "https", "example.com", "443", "- 0 https example.com 443"},
        // what the client sent stands in front of what the proxy added
        {"1.1.1.1, 192.0.2.60", "https, http", "evil, good", "1, 2", "192.0.2.60 0 http good 2"},
        {"192.0.2.60", "https, http", "evil, good", "1, 2", "192.0.2.60 0 http good 2"},
        {"1.1.1.1,2.2.2.2,192.0.2.60", "http", "good", "2", "192.0.2.60 0 http good 2"},
        {"1.1.1.1, 192.0.2.60", "https,", NULL, NULL, "192.0.2.60 0 - - 0"},
        // two proxies of ours, 10.0.0.2 the first
        {"192.0.2.60, 10.0.0.2", "https, http", "a, b", NULL, "192.0.2.60 0 https a 0"},
        {"1.1.1.1, 192.0.2.60, 10.0.0.2", "https, http", "a, b", NULL, "192.0.2.60 0 https a 0"},
        {"192.0.2.60, 10.0.0.2", "wss, https, http", "evil, a, b", NULL, "192.0.2.60 0 https a 0"},
        {"192.0.2.60, 10.0.0.2", "https", "a", "443", "192.0.2.60 0 https a 443"},
        {"10.0.0.3, 10.0.0.2", "https, http", "a, b", NULL, "10.0.0.3 0 https a 0"},
        {"1.1.1.1, junk, 10.0.0.2", "https, wss, http", NULL, NULL, "10.0.0.2 0 http - 0"},
        {"1.1.1.1, , 10.0.0.2", NULL, NULL, NULL, "10.0.0.2 0 - - 0"},
        {"1.1.1.1, unknown", "https", NULL, NULL, "- 0 https - 0"},
        {"1.1.1.1, _hidden", NULL, NULL, NULL, "- 0 - - 0"},
        {"\"1.1.1.1, 192.0.2.60", NULL, NULL, NULL, "192.0.2.60 0 - - 0"},
        {"1.1.1.1\", \"192.0.2.60", NULL, NULL, NULL, "- 0 - - 0"},
        {"1.1.1.1 192.0.2.60", NULL, NULL, NULL, "- 0 - - 0"},
        {"", "", "", "", "- 0 - - 0"},
        {"192.0.2.60", "gopher", "a b", "0", "192.0.2.60 0 - - 0"},
        {"192.0.2.60", "http/1.1", "evil/?x", "65536", "192.0.2.60 0 - - 0"},
        {"192.0.2.60", NULL, "user@evil", "80x", "192.0.2.60 0 - - 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct forwarded got;
        struct forwarded_fields f = {.x_for = str_z(cases[i].x_for),
                                     .x_proto = str_z(cases[i].proto),
                                     .x_host = str_z(cases[i].host),
                                     .x_port = str_z(cases[i].port)};
        assert_true(forwarded_read(&f, is_ours, NULL, &got));
        if (strcmp(told(&got), cases[i].want) != 0)
            fail_msg("%s\n  gave %s\n  want %s", cases[i].x_for, told(&got), cases[i].want);
    }
}

static void both_must_agree(void **state)
{
    static const struct {
        const char *forwarded, *x_for, *want; // NULL: disputed
    } cases[] = {
        {"for=192.0.2.60;proto=https;host=a", "192.0.2.60", "192.0.2.60 0 https a 0"},
        {"for=\"[2001:DB8::1]:9\"", "2001:db8:0::1", "2001:db8::1 9 - - 0"},
        {"for=192.0.2.60, for=10.0.0.2", "1.1.1.1, 192.0.2.60", "192.0.2.60 0 - - 0"},
        {"for=1.1.1.1", "192.0.2.60", NULL},
        {"junk", "192.0.2.60", NULL},
        {"proto=https", "192.0.2.60", NULL},
        {"for=unknown", "192.0.2.60", NULL},
        {"for=192.0.2.60", "unknown", NULL},
        {"for=unknown;proto=https", "unknown", "- 0 https - 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct forwarded got;
        struct forwarded_fields f = {.forwarded = str_z(cases[i].forwarded),
                                     .x_for = str_z(cases[i].x_for),
                                     .x_proto = STR("http"),
                                     .x_host = STR("x")};
        bool agreed = forwarded_read(&f, is_ours, NULL, &got);
        if (agreed != !!cases[i].want || (agreed && strcmp(told(&got), cases[i].want) != 0))
            fail_msg("%s and %s: %s", cases[i].forwarded, cases[i].x_for, told(&got));
    }
}

static void nothing_is_told(void **state)
{
    struct forwarded got;
    struct forwarded_fields none = {.forwarded = {NULL, 0}};
    (void)state;
    assert_true(forwarded_read(&none, is_ours, NULL, &got));
    assert_string_equal(told(&got), "- 0 - - 0");
}

static void knows_ids(void **state)
{
    static const struct {
        struct str s;
        bool want;
    } cases[] = {
        {STR("a"), true},
        {STR("550e8400-e29b-41d4-a716-446655440000"), true},
        {STR("Root=1-67891233-abcdef012345678912345678"), true},
        {STR("a/b+c=.:_@"), true},
        {STR(""), false},
        {STR("a b"), false},
        {STR("a, b"), false},
        {STR("a\"b"), false},
        {STR("a\0b"), false},
        {STR("<b>"), false},
        {STR("a~"), false},
        {STR("\xc3\xa9"), false},
    };
    char longest[FORWARDED_ID_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (forwarded_is_id(cases[i].s) != cases[i].want)
            fail_msg("%.*s", STR_ARG(cases[i].s));
    memset(longest, 'x', sizeof longest);
    assert_true(forwarded_is_id(str_of(longest, FORWARDED_ID_MAX)));
    assert_false(forwarded_is_id(str_of(longest, FORWARDED_ID_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_forwarded), cmocka_unit_test(reads_x_forwarded),
        cmocka_unit_test(both_must_agree), cmocka_unit_test(nothing_is_told),
        cmocka_unit_test(knows_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

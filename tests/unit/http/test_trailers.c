// Trailers: which names may be one, and which clients want them.
#include "http/trailers.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void what_is_needed_before_the_body_is_forbidden(void **state)
{
    static const struct str forbidden[] = {
        STR("Content-Length"),
        STR("transfer-encoding"),
        STR("TRAILER"),
        STR("Host"),
        STR("If-Match"),
        STR("if-none-match"),
        STR("Authorization"),
        STR("Set-Cookie"),
        STR("Cache-Control"),
        STR("Content-Type"),
        STR("Content-Range"),
        STR("Connection"),
        STR("TE"),
        STR("Range"),
        STR("Vary"),
        STR("Location"),
    };
    static const struct str allowed[] = {
        STR("Server-Timing"), STR("Content-Digest"), STR("ETag"), STR("X-Sum"),
        STR("Digest"),        STR("Host-Name"),      STR("if-"),  STR(""),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(forbidden); i++)
        if (!trailers_forbid(forbidden[i]))
            fail_msg("%.*s is allowed", STR_ARG(forbidden[i]));
    for (size_t i = 0; i < COUNT(allowed); i++)
        if (trailers_forbid(allowed[i]))
            fail_msg("%.*s is forbidden", STR_ARG(allowed[i]));
}

static void clients_ask_for_them_by_te(void **state)
{
    static const struct {
        struct str name, value;
        bool wanted;
    } rows[] = {
        {STR("TE"), STR("trailers"), true},
        {STR("te"), STR(" Trailers "), true},
        {STR("TE"), STR("deflate;q=0.5, trailers"), true},
        {STR("TE"), STR("trailers,gzip"), true},
        {STR("TE"), STR("trailers;q=1"), true},
        {STR("TE"), STR(""), false},
        {STR("TE"), STR(","), false},
        {STR("TE"), STR("deflate"), false},
        {STR("TE"), STR("trailersx"), false},
        {STR("TE"), STR("x;trailers"), false},
        {STR("Trailer"), STR("trailers"), false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_field fields[] = {{STR("Host"), STR("trailers")},
                                      {rows[i].name, rows[i].value}};
        struct http_request r = {.fields = fields, .field_count = 2};
        if (trailers_wanted(&r) != rows[i].wanted)
            fail_msg("%.*s: %.*s", STR_ARG(rows[i].name), STR_ARG(rows[i].value));
        r.field_count = 1;
        assert_false(trailers_wanted(&r));
    }
}

static void a_second_field_counts(void **state)
{
    struct http_field fields[] = {{STR("TE"), STR("gzip")}, {STR("TE"), STR("trailers")}};
    struct http_request r = {.fields = fields, .field_count = 2};
    (void)state;
    assert_true(trailers_wanted(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_before_the_body_is_forbidden),
        cmocka_unit_test(clients_ask_for_them_by_te),
        cmocka_unit_test(a_second_field_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

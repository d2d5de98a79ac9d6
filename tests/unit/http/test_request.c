// Looking up request fields: any case, the first, all of them joined.
#include "http/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct http_field fields[] = {
    {STR("Host"), STR("example.com")}, {STR("Accept"), STR("text/html")},
    {STR("X-Empty"), {NULL, 0}},       {STR("ACCEPT"), STR("")},
    {STR("Cookie"), STR("a=1")},       {STR("accept"), STR("*/*;q=0.1")},
};
static const struct http_request request = {.fields = fields, .field_count = 6};

static void expect(struct str got, const char *want)
{
    if (!want) {
        assert_null(got.p);
        return;
    }
    assert_non_null(got.p);
    assert_int_equal(got.n, strlen(want));
    assert_memory_equal(got.p, want, got.n);
}

static void first_of_a_name(void **state)
{
    (void)state;
    expect(request_field(&request, STR("host")), "example.com");
    expect(request_field(&request, STR("aCCept")), "text/html");
    expect(request_field(&request, STR("x-empty")), "");
    expect(request_field(&request, STR("Accep")), NULL);
    expect(request_field(&request, STR("")), NULL);
    struct http_request none = {.field_count = 0};
    expect(request_field(&none, STR("host")), NULL);
}

static void all_of_a_name(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 4096);
    expect(request_fields(&request, STR("Accept"), &a), "text/html, , */*;q=0.1");
    size_t used = a.used;
    struct str host = request_fields(&request, STR("HOST"), &a);
    expect(host, "example.com");
    assert_ptr_equal(host.p, fields[0].value.p); // one field is not copied
    expect(request_fields(&request, STR("X-Empty"), &a), "");
    expect(request_fields(&request, STR("Range"), &a), NULL);
    assert_int_equal(a.used, used);
    arena_fini(&a);
}

static void no_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 8);
    expect(request_fields(&request, STR("Accept"), &a), NULL);
    expect(request_fields(&request, STR("Cookie"), &a), "a=1");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_of_a_name),
        cmocka_unit_test(all_of_a_name),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

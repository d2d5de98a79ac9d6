// Byte ranges: grammar, clamping, and what is too much.
#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

// The verdict as text: "none", "unsatisfiable" or the ranges, "0-9 20-29".
static const char *verdict(struct str field, uint64_t size, char text[static 1024])
{
    struct byte_range out[RANGES_MAX];
    unsigned n = 99;
    size_t used = 0;
    enum range_verdict v = range_parse(field, size, out, &n);
    if (v != RANGE_SOME) {
        assert_int_equal(n, 0);
        return v == RANGE_NONE ? "none" : "unsatisfiable";
    }
    assert_in_range(n, 1, RANGES_MAX);
    for (unsigned i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, 1024 - used, "%s%llu-%llu", i ? " " : "",
                                 (unsigned long long)out[i].first, (unsigned long long)out[i].last);
    return text;
}

static void check(struct str field, uint64_t size, const char *want)
{
    char text[1024];
    const char *got = verdict(field, size, text);
    if (strcmp(got, want) != 0)
        fail_msg("%.*s: %s, not %s", STR_ARG(field), got, want);
}

static void reads_ranges_of_a_thousand_bytes(void **state)
{
    static const struct {
        struct str field;
        const char *want;
    } cases[] = {
        {STR("bytes=0-0"), "0-0"},
        {STR("bytes=0-999"), "0-999"},
        {STR("bytes=500-5000"), "500-999"},
        {STR("bytes=999-"), "999-999"},
        {STR("bytes=0-"), "0-999"},
        {STR("bytes=-1"), "999-999"},
        {STR("bytes=-1000"), "0-999"},
        {STR("bytes=-5000"), "0-999"},
        {STR("bytes=0007-0008"), "7-8"},
        {STR("Bytes=1-2"), "1-2"},
        {STR("BYTES=1-2"), "1-2"},
        {STR("bytes=0-9,20-29"), "0-9 20-29"},
        {STR("bytes=20-29 ,\t0-9"), "20-29 0-9"},
        {STR("bytes=,0-9,, ,20-29,"), "0-9 20-29"},
        {STR("bytes=0-0,-1"), "0-0 999-999"},
        {STR("bytes=0-9,10-19,20-29"), "0-9 10-19 20-29"},
        // those that cannot be satisfied fall away
        {STR("bytes=0-0,1000-,-0"), "0-0"},
        {STR("bytes=1000-"), "unsatisfiable"},
        {STR("bytes=1000-2000"), "unsatisfiable"},
        {STR("bytes=-0"), "unsatisfiable"},
        {STR("bytes=9999-,8888-"), "unsatisfiable"},
        // numbers of more than 64 bits
        {STR("bytes=0-18446744073709551615"), "0-999"},
        {STR("bytes=0-18446744073709551616"), "0-999"},
        {STR("bytes=18446744073709551616-"), "unsatisfiable"},
        {STR("bytes=18446744073709551616-18446744073709551617"), "unsatisfiable"},
        {STR("bytes=-18446744073709551617"), "0-999"},
        {STR("bytes=18446744073709551616-5"), "none"},
        // two may overlap, more may not
        {STR("bytes=0-10,5-15"), "0-10 5-15"},
        {STR("bytes=0-,0-"), "0-999 0-999"},
        {STR("bytes=0-10,5-15,10-20"), "none"},
        {STR("bytes=0-10,5-15,100-110,105-115"), "none"},
        {STR("bytes=0-10,5-15,100-110"), "0-10 5-15 100-110"},
        {STR("bytes=0-,5-5,7-7"), "none"},
        // malformed anywhere
        {STR(""), "none"},
        {STR("bytes"), "none"},
        {STR("bytes="), "none"},
        {STR("bytes=,"), "none"},
        {STR("bytes=-"), "none"},
        {STR("bytes=5"), "none"},
        {STR("bytes=5-2"), "none"},
        {STR("bytes=0-1,5-2"), "none"},
        {STR("bytes=0-1,x"), "none"},
        {STR("bytes=abc"), "none"},
        {STR("bytes=1-x"), "none"},
        {STR("bytes=--1"), "none"},
        {STR("bytes=1--2"), "none"},
        {STR("bytes=1-2-3"), "none"},
        {STR("bytes=+1-2"), "none"},
        {STR("bytes=0x0-1"), "none"},
        {STR("bytes=0.0-1"), "none"},
        {STR("bytes=0 -1"), "none"},
        {STR("bytes=0- 1"), "none"},
        {STR("bytes=0-1;2-3"), "none"},
        {STR("bytes= 0-1"), "none"},
        {STR("bytes =0-1"), "none"},
        {STR("bytes 0-1"), "none"},
        {STR(" bytes=0-1"), "none"},
        {STR("items=0-1"), "none"},
        {STR("bytesx=0-1"), "none"},
        {STR("0-1"), "none"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].field, 1000, cases[i].want);
}

static void knows_the_edges_of_sizes(void **state)
{
    (void)state;
    check(STR("bytes=0-"), 0, "unsatisfiable");
    check(STR("bytes=-1"), 0, "unsatisfiable");
    check(STR("bytes=0-0"), 1, "0-0");
    check(STR("bytes=1-"), 1, "unsatisfiable");
    check(STR("bytes=-1"), UINT64_MAX, "18446744073709551614-18446744073709551614");
    check(STR("bytes=18446744073709551615-"), UINT64_MAX, "unsatisfiable");
}

static void has_a_maximum(void **state)
{
    char field[1024] = "bytes=", want[1024] = "";
    (void)state;
    for (int i = 0; i < RANGES_MAX; i++) {
        char one[32];
        snprintf(one, sizeof one, "%s%d-%d", i ? "," : "", 2 * i, 2 * i);
        strcat(field, one);
        snprintf(one, sizeof one, "%s%d-%d", i ? " " : "", 2 * i, 2 * i);
        strcat(want, one);
    }
    check(str_z(field), 1000, want);
    strcat(field, ",999-999");
    check(str_z(field), 1000, "none");
    check(str_z(field), 20, "none"); // those beyond the end count too
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ranges_of_a_thousand_bytes),
        cmocka_unit_test(knows_the_edges_of_sizes),
        cmocka_unit_test(has_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

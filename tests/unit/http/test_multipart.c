// The framing of multipart bodies: what is found in them, whole and at every cut.
#include "fuzz/multipart_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { ROUNDS = 200 };

static const struct multipart_limits usual = {100, 1000, 100};

struct row {
    struct str boundary, body;
    struct str want; // see struct multipart_transcript
};

static const struct row good[] = {
    // parts
    {STR("b"), STR("--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n"), STR("<A: 1\r\n|x>.")},
    {STR("b"), STR("--b\r\nA: 1\r\nB: 2\r\n\r\nx\r\n--b\r\nC: 3\r\n\r\ny\r\n--b--\r\n"),
     STR("<A: 1\r\nB: 2\r\n|x><C: 3\r\n|y>.")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--b--"), STR("<|x>.")},
    {STR("b"), STR("--b--"), STR(".")},
    {STR("b"), STR("\r\n--b--\r\n"), STR(".")},
    {STR("b"), STR("--b\r\nA: 1\r\n\r\n\r\n--b--"), STR("<A: 1\r\n|>.")},
    {STR("b"), STR("--b\r\nA: 1\r\n\r\n\0\xff\n\r\n--b--"), STR("<A: 1\r\n|\0\xff\n>.")},
    {STR("b"), STR("--b\r\nA: 1\r\n\r\n\r\n\r\n--b--"), STR("<A: 1\r\n|\r\n>.")},
    // a part that is over with its head: the empty line is the delimiter's (RFC 2046 §5.1.1)
    {STR("b"), STR("--b\r\nA: 1\r\n\r\n--b--"), STR("<A: 1\r\n|>.")},
    {STR("b"), STR("--b\r\n\r\n--b\r\n\r\n--b--"), STR("<|><|>.")},
    // preamble and epilogue
    {STR("b"), STR("pre\r\namble\r\n--b\r\n\r\nx\r\n--b--"), STR("<|x>.")},
    {STR("b"), STR("--a\r\n--c\r\n--\r\n--b\r\n\r\nx\r\n--b--"), STR("<|x>.")},
    {STR("b"), STR("--\r\n--b--"), STR(".")},
    {STR("b"), STR("-\r\r\n--b--"), STR(".")},
    {STR("b"), STR("x--b\r\n\r\n--b--"), STR(".")},
    {STR("b"), STR("--b--epi\0logue\r\n--b\r\n\r\nno part\r\n--b--"), STR(".")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--b-- \t\r\n\r\n"), STR("<|x>.")},
    // transport padding
    {STR("b"), STR("--b \t \r\n\r\nx\r\n--b\t\r\n\r\ny\r\n--b--"), STR("<|x><|y>.")},
    // what only looks like a delimiter is data
    {STR("bound"), STR("--bound\r\n\r\n\r\n--boun\r\n--bounb\r\n-\r\n--\r\n--bound--"),
     STR("<|\r\n--boun\r\n--bounb\r\n-\r\n-->.")},
    {STR("b"), STR("--b\r\n\r\n\n--b\r--b\n\r--b--b--\r\n --b\r\n--b--"),
     STR("<|\n--b\r--b\n\r--b--b--\r\n --b>.")},
    {STR("b"), STR("--b\r\n\r\n\r\r\n--b--"), STR("<|\r>.")},
    {STR("b"), STR("--b\r\n\r\n\r\r\r\r\n\r\n\r\n-\r\n--\r\r\n--b--"),
     STR("<|\r\r\r\r\n\r\n\r\n-\r\n--\r>.")},
    {STR("b"), STR("--b\r\n\r\n--\r\n--b--"), STR("<|-->.")},
    {STR("b"), STR("--b\r\n\r\n--a\r\n--b--"), STR("<|--a>.")},
    {STR("b"), STR("--b\r\n\r\n--B--\r\n--b--"), STR("<|--B-->.")},
    {STR("b"), STR("--b\r\n\r\n-\r\n--b--"), STR("<|->.")},
    {STR("aab"), STR("--aab\r\n\r\n\r\n--aaab\r\n--aab--"), STR("<|\r\n--aaab>.")},
    // odd boundaries
    {STR("--"), STR("----\r\n\r\n\r\n---\r\n------"), STR("<|\r\n--->.")},
    {STR("-"), STR("---\r\n\r\n\r\n--\r\n-----"), STR("<|\r\n-->.")},
    {STR("a b"), STR("--a b\r\n\r\nx\r\n--a b --\r\n--a b--"), STR("<|x>!2@18")},
    {STR("a b"), STR("--a b\r\n\r\nx\r\n--a c\r\n--a b--"), STR("<|x\r\n--a c>.")},
    {STR("'()+_,-./:=? 0aZ"), STR("--'()+_,-./:=? 0aZ--"), STR(".")},
    {STR("*****"), STR("--*****\r\n\r\nx\r\n--****\r\n--*****--"), STR("<|x\r\n--****>.")},
};

static const struct row bad[] = {
    // no end
    {STR("b"), STR(""), STR("!1@0")},
    {STR("b"), STR("no delimiter"), STR("!1@12")},
    {STR("b"), STR("--b"), STR("!1@3")},
    {STR("b"), STR("--b-"), STR("!1@4")},
    {STR("b"), STR("--b\r\n"), STR("!1@5")},
    {STR("b"), STR("--b\r\nA: 1\r\n"), STR("!1@11")},
    {STR("b"), STR("--b\r\n\r\nx"), STR("<|x!1@8")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--"), STR("<|x!1@12")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--b"), STR("<|x>!1@13")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--b\r\n"), STR("<|x>!1@15")},
    {STR("b"), STR("--b\r\n\r\nx\n--b--"), STR("<|x\n--b--!1@14")},
    // a delimiter with something behind it
    {STR("b"), STR("--bb\r\n"), STR("!2@3")},
    {STR("b"), STR("--b\n"), STR("!2@3")},
    {STR("b"), STR("--b\r\r\n"), STR("!2@4")},
    {STR("b"), STR("--b\rx"), STR("!2@4")},
    {STR("b"), STR("--b-x"), STR("!2@4")},
    {STR("b"), STR("--b -\r\n"), STR("!2@4")},
    {STR("b"), STR("--b x\r\n"), STR("!2@4")},
    {STR("b"), STR("--b \n"), STR("!2@4")},
    {STR("b"), STR("--b\r\n\r\nx\r\n--by"), STR("<|x>!2@13")},
    {STR("b"), STR("--b\r\n\r\n--by"), STR("<|>!2@10")},
    {STR("b"), STR("x\r\n--b\0"), STR("!2@6")},
    // header blocks
    {STR("b"), STR("--b\r\n\n"), STR("!3@5")},
    {STR("b"), STR("--b\r\nA: 1\n\r\n"), STR("!3@9")},
    {STR("b"), STR("--b\r\nA: \r1\r\n\r\n"), STR("!3@9")},
    {STR("b"), STR("--b\r\nA: 1\r\r\n\r\n"), STR("!3@10")},
    {STR("b"), STR("--b\r\nA: 1\r\n\rx"), STR("!3@12")},
    {STR("b"), STR("--b\r\nA: \0\r\n\r\n"), STR("!3@8")},
    {STR("b"), STR("--b\r\n\0"), STR("!3@5")},
};

static void expect(const struct row *row, const char *how, const struct multipart_transcript *got)
{
    if (!str_eq(str_of(got->text, got->n), row->want))
        fail_msg("%s of \"%.*s\": \"%.*s\"", how, STR_ARG(row->body), (int)got->n, got->text);
}

static void expect_equal(const struct row *row, const struct multipart_transcript *whole,
                         const struct multipart_transcript *pieces)
{
    expect(row, "a cut", pieces);
    assert_true(multipart_transcripts_equal(whole, pieces));
}

// Pieces of the two lengths, and the rest.
struct cuts {
    size_t at[2];
    int n;
};

static size_t cut_twice(void *arg, size_t left)
{
    struct cuts *c = arg;
    return c->n < 2 ? c->at[c->n++] : left;
}

static void check(const struct row *row)
{
    static struct multipart_transcript whole, pieces;
    uint64_t seed = 0x9e3779b97f4a7c15;
    multipart_drive(&whole, row->boundary, &usual, row->body, h1_cut_none, NULL);
    expect(row, "the whole", &whole);
    multipart_drive(&pieces, row->boundary, &usual, row->body, h1_cut_bytes, NULL);
    expect_equal(row, &whole, &pieces);
    for (size_t i = 1; i < row->body.n; i++)
        for (size_t k = 1; i + k < row->body.n; k++) {
            struct cuts cuts = {{i, k}, 0};
            multipart_drive(&pieces, row->boundary, &usual, row->body, cut_twice, &cuts);
            expect_equal(row, &whole, &pieces);
        }
    for (int i = 0; i < ROUNDS; i++) {
        multipart_drive(&pieces, row->boundary, &usual, row->body, h1_cut_random, &seed);
        expect_equal(row, &whole, &pieces);
    }
}

static void reads_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        check(&good[i]);
}

static void refuses_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        check(&bad[i]);
}

static void has_limits(void **state)
{
    static const struct {
        struct multipart_limits limits;
        struct str body, want;
    } cases[] = {
        {{1, 6, 9}, STR("--b\r\nA: 1\r\n\r\nx\r\n--b--"), STR("<A: 1\r\n|x>.")},
        {{1, 5, 9}, STR("--b\r\nA: 1\r\n\r\nx\r\n--b--"), STR("!4@10")},
        {{1, 4, 9}, STR("--b\r\nA: 1\r\n\r\nx\r\n--b--"), STR("!4@9")},
        {{1, 0, 9}, STR("--b\r\n\r\nx\r\n--b--"), STR("<|x>.")},
        {{1, 0, 9}, STR("--b\r\nA"), STR("!4@5")},
        {{1, 10, 9}, STR("--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--"), STR("<|x>!5@14")},
        {{0, 10, 9}, STR("--b--"), STR(".")},
        {{0, 10, 9}, STR("--b\r\n\r\n"), STR("!5@4")},
        {{0, 0, 9}, STR("--b\t\r\n"), STR("!5@5")},
        {{1, 50, 1}, STR("--b\r\nA: 1\r\n\r\nx\r\n--b--"), STR("<A: 1\r\n|x>.")},
        {{1, 50, 1}, STR("--b\r\nA: 1\r\nB:\r\n\r\nx\r\n--b--"), STR("!6@11")},
        {{2, 50, 1},
         STR("--b\r\nA:\r\n\r\nx\r\n--b\r\nB:\r\n\r\ny\r\n--b--"),
         STR("<A:\r\n|x><B:\r\n|y>.")},
        {{1, 50, 0}, STR("--b\r\n\r\nx\r\n--b--"), STR("<|x>.")},
    };
    static struct multipart_transcript whole, pieces;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct row row = {STR("b"), cases[i].body, cases[i].want};
        multipart_drive(&whole, row.boundary, &cases[i].limits, row.body, h1_cut_none, NULL);
        expect(&row, "the whole", &whole);
        multipart_drive(&pieces, row.boundary, &cases[i].limits, row.body, h1_cut_bytes, NULL);
        expect_equal(&row, &whole, &pieces);
    }
}

static void tells_positions(void **state)
{
    static const char body[] = "pre\r\n--b \r\nA: 1\r\n\r\ndata\r\n--b--";
    struct multipart m;
    struct str data, rest = str_of(body, sizeof body - 1);
    size_t n;
    (void)state;
    assert_true(multipart_init(&m, STR("b"), &usual));
    assert_int_equal(multipart_parse(&m, rest, &n, &data), MULTIPART_HEAD);
    assert_int_equal(m.head_at, 11);
    assert_int_equal(m.head_n, 6);
    assert_int_equal(m.body_at, 19);
    assert_int_equal(n, 19);
    rest = str_of(rest.p + n, rest.n - n);
    assert_int_equal(multipart_parse(&m, rest, &n, &data), MULTIPART_DATA);
    assert_true(str_eq(data, STR("data")) && data.p == rest.p && n == 4);
    rest = str_of(rest.p + n, rest.n - n);
    assert_int_equal(multipart_parse(&m, rest, &n, &data), MULTIPART_TAIL);
    assert_int_equal(m.body_n, 4);
    rest = str_of(rest.p + n, rest.n - n);
    assert_int_equal(multipart_parse(&m, rest, &n, &data), MULTIPART_DONE);
    assert_int_equal(n, rest.n);
    assert_int_equal(m.at, sizeof body - 1);
    assert_int_equal(multipart_end(&m), MULTIPART_DONE);
}

// Positions beyond 4 GiB, which no test has the time to feed.
static void counts_beyond_32_bits(void **state)
{
    struct multipart m;
    struct str data;
    size_t n;
    (void)state;
    assert_true(multipart_init(&m, STR("b"), &usual));
    assert_int_equal(multipart_parse(&m, STR("--b\r\n\r\n"), &n, &data), MULTIPART_HEAD);
    assert_int_equal(multipart_parse(&m, STR("x"), &n, &data), MULTIPART_DATA);
    m.at += UINT64_C(1) << 40; // as if so much more had come
    assert_int_equal(multipart_parse(&m, STR("\r\n--b"), &n, &data), MULTIPART_TAIL);
    assert_true(m.body_n == (UINT64_C(1) << 40) + 1);
    assert_int_equal(multipart_parse(&m, STR("x"), &n, &data), MULTIPART_BAD);
    assert_true(m.error_at == m.at && m.at == (UINT64_C(1) << 40) + 13 && n == 0);
}

static void stays_bad(void **state)
{
    struct multipart m;
    struct str data;
    size_t n;
    (void)state;
    assert_true(multipart_init(&m, STR("b"), &usual));
    assert_int_equal(multipart_parse(&m, STR("--bx"), &n, &data), MULTIPART_BAD);
    assert_int_equal(n, 3);
    assert_int_equal(multipart_parse(&m, STR("\r\n"), &n, &data), MULTIPART_BAD);
    assert_int_equal(n, 0);
    assert_int_equal(multipart_end(&m), MULTIPART_BAD);
    assert_int_equal(m.error, MULTIPART_BAD_LINE);
    assert_int_equal(m.error_at, 3);
}

static void says_why(void **state)
{
    (void)state;
    for (int e = 0; e < MULTIPART_ERRORS; e++) {
        assert_non_null(multipart_why((enum multipart_error)e));
        for (int other = 0; other < e; other++)
            assert_string_not_equal(multipart_why((enum multipart_error)e),
                                    multipart_why((enum multipart_error)other));
    }
}

// ---- boundaries

#define TEN "0123456789"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static void takes_boundaries(void **state)
{
    static const struct {
        struct str boundary;
        bool taken;
    } cases[] = {
        {STR("b"), true},
        {STR("----WebKitFormBoundary7MA4YWxkTrZu0gW"), true},
        {STR("'()+_,-./:=?"), true},
        {STR("a b"), true},
        {STR(" b"), true},
        {STR("!#$%&*^`|~"), true},
        {STR(SEVENTY), true},
        {STR(SEVENTY "0"), false},
        {STR(""), false},
        {STR("b "), false},
        {STR(" "), false},
        {STR("a\tb"), false},
        {STR("a\"b"), false},
        {STR("a\\b"), false},
        {STR("a;b"), false},
        {STR("a\r\n"), false},
        {STR("a\0b"), false},
        {STR("\xc3\xa9"), false},
        {STR("<b>"), false},
        {STR("{b}"), false},
    };
    struct multipart m;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (multipart_init(&m, cases[i].boundary, &usual) != cases[i].taken)
            fail_msg("\"%.*s\"", STR_ARG(cases[i].boundary));
}

// want is NULL for what is malformed, "" for another type.
static void finds_the_boundary(void **state)
{
    static const struct {
        struct str field;
        const char *want;
    } cases[] = {
        // browsers, curl, Python, Go; .NET quotes; Java's mail, Android's tutorials and others
        {STR("multipart/form-data; boundary=----WebKitFormBoundaryAb"), "----WebKitFormBoundaryAb"},
        {STR("multipart/form-data; boundary=----geckoformboundaryc0"), "----geckoformboundaryc0"},
        {STR("multipart/form-data; boundary=------------------------d7"),
         "------------------------d7"},
        {STR("multipart/form-data; boundary=\"c1-2f\""), "c1-2f"},
        {STR("multipart/form-data; boundary=----=_Part_0_13.17"), "----=_Part_0_13.17"},
        {STR("multipart/form-data;boundary=*****"), "*****"},
        {STR("multipart/form-data; boundary====17==="), "===17==="},
        {STR("multipart/form-data; boundary=a/b:c,d(e)?"), "a/b:c,d(e)?"},
        {STR("multipart/form-data; boundary=/a; charset=utf-8"), "/a"},
        {STR("multipart/form-data; charset=utf-8; boundary=a/b ; x=y"), "a/b"},
        {STR("multipart/form-data; boundary=a b"), "a b"},
        {STR("multipart/form-data; boundary= a"), "a"},
        {STR("Multipart/Form-Data ;; BOUNDARY=Ab;"), "Ab"},
        {STR("multipart/form-data; boundary=\"a b:c\"; x=1"), "a b:c"},
        {STR("multipart/form-data; boundary=\"a\\b\""), "ab"},
        {STR("multipart/form-data; x=\"; boundary=no\"; boundary=yes"), "yes"},
        {STR("multipart/form-data; x=a/b; boundary=yes"), "yes"},
        {STR("multipart/form-data; boundary=" SEVENTY), SEVENTY},
        {STR("multipart/form-data; boundary=\"\\0123456789" TEN TEN TEN TEN TEN TEN "\""), SEVENTY},
        // malformed
        {STR("multipart/form-data"), NULL},
        {STR("multipart/form-data;"), NULL},
        {STR("multipart/form-data; charset=utf-8"), NULL},
        {STR("multipart/form-data; boundary"), NULL},
        {STR("multipart/form-data; boundary="), NULL},
        {STR("multipart/form-data; boundary= ;"), NULL},
        {STR("multipart/form-data; boundary=\"\""), NULL},
        {STR("multipart/form-data; boundary=\" \""), NULL},
        {STR("multipart/form-data; boundary=\"a"), NULL},
        {STR("multipart/form-data; boundary=\"a\"b"), NULL},
        {STR("multipart/form-data; boundary=a\"b"), NULL},
        {STR("multipart/form-data; boundary=a\\b"), NULL},
        {STR("multipart/form-data; boundary =a"), NULL},
        {STR("multipart/form-data; boundary=a; boundary=a"), NULL},
        {STR("multipart/form-data; boundary=a/; Boundary=\"b\""), NULL},
        {STR("multipart/form-data; x=\"y\"boundary=/a"), NULL},
        {STR("multipart/form-data; boundary=a; ="), NULL},
        {STR("multipart/form-data; x; boundary=a"), NULL},
        {STR("multipart/form-data; boundary=\xc3\xa9"), NULL},
        {STR("multipart/form-data; boundary=" SEVENTY "0"), NULL},
        {STR("multipart/form-data; boundary=\"" SEVENTY SEVENTY "0\""), NULL},
        // another type
        {STR("multipart/mixed; boundary=a"), ""},
        {STR("multipart/form-data-x; boundary=a"), ""},
        {STR("multipart/form-data, boundary=a"), ""},
        {STR("application/x-www-form-urlencoded"), ""},
        {STR(""), ""},
        {{NULL, 0}, ""},
    };
    char dst[MULTIPART_BOUNDARY_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *want = cases[i].want;
        int n = multipart_boundary(cases[i].field, dst);
        if (n != (want ? (int)strlen(want) : -1) || (n > 0 && memcmp(dst, want, (size_t)n)))
            fail_msg("\"%.*s\": %d \"%.*s\"", STR_ARG(cases[i].field), n, n < 0 ? 0 : n, dst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_bodies),       cmocka_unit_test(refuses_bodies),
        cmocka_unit_test(has_limits),         cmocka_unit_test(tells_positions),
        cmocka_unit_test(stays_bad),          cmocka_unit_test(counts_beyond_32_bits),
        cmocka_unit_test(says_why),           cmocka_unit_test(takes_boundaries),
        cmocka_unit_test(finds_the_boundary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

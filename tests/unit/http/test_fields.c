// Response fields: what gets in, what is noticed, what is left out.
#include "http/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fields f;

static int setup(void **state)
{
    (void)state;
    fields_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fields_fini(&f);
    return 0;
}

static void expect_lines(const char *lines)
{
    assert_int_equal(f.lines.n, strlen(lines));
    if (f.lines.n)
        assert_memory_equal(f.lines.p, lines, f.lines.n);
}

static void some_are_there_once(void **state)
{
    (void)state;
    static const struct {
        struct str first, second;
        enum fields_result result;
    } cases[] = {
        {STR("Content-Type"), STR("content-type"), FIELDS_TWICE},
        {STR("ETag"), STR("ETAG"), FIELDS_TWICE},
        {STR("last-modified"), STR("Last-Modified"), FIELDS_TWICE},
        {STR("Date"), STR("Date"), FIELDS_TWICE},
        {STR("Vary"), STR("vary"), FIELDS_OK},
        {STR("Cache-Control"), STR("Cache-Control"), FIELDS_OK},
        {STR("Set-Cookie"), STR("Set-Cookie"), FIELDS_OK},
        {STR("X-Any"), STR("X-Any"), FIELDS_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fields once;
        fields_init(&once);
        assert_int_equal(fields_add(&once, cases[i].first, STR("a")), FIELDS_OK);
        size_t n = once.lines.n;
        assert_int_equal(fields_add(&once, cases[i].second, STR("b")), cases[i].result);
        assert_true((once.lines.n == n) == (cases[i].result == FIELDS_TWICE));
        fields_remove(&once, cases[i].first);
        assert_int_equal(fields_add(&once, cases[i].second, STR("b")), FIELDS_OK);
        fields_fini(&once);
    }
}

static void names_and_values(void **state)
{
    (void)state;
    static const struct {
        struct str name, value;
        enum fields_result result;
        const char *lines;
    } cases[] = {
        {STR("A"), STR("b"), FIELDS_OK, "A: b\r\n"},
        {STR("X-Empty"), STR(""), FIELDS_OK, "X-Empty: \r\n"},
        {STR("x"), STR(" \t b  c \t"), FIELDS_OK, "x: b  c\r\n"},
        {STR("x"), STR(" \t "), FIELDS_OK, "x: \r\n"},
        {STR("x"), STR("a\tb"), FIELDS_OK, "x: a\tb\r\n"},
        {STR("x"), STR("caf\xc3\xa9\x80\xff"), FIELDS_OK, "x: caf\xc3\xa9\x80\xff\r\n"},
        {STR("!#$%&'*+-.^_`|~09azAZ"), STR("1"), FIELDS_OK, "!#$%&'*+-.^_`|~09azAZ: 1\r\n"},
        {STR(""), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("a b"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("a:"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR(" a"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("a\r\nb"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("a\0"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("caf\xc3\xa9"), STR("b"), FIELDS_BAD_NAME, ""},
        {STR("x"), STR("a\r\nSet-Cookie: b"), FIELDS_BAD_VALUE, ""},
        {STR("x"), STR("a\n"), FIELDS_BAD_VALUE, ""},
        {STR("x"), STR("\r"), FIELDS_BAD_VALUE, ""},
        {STR("x"), STR("a\0b"), FIELDS_BAD_VALUE, ""},
        {STR("x"), STR("\x1f"), FIELDS_BAD_VALUE, ""},
        {STR("x"), STR("\x7f"), FIELDS_BAD_VALUE, ""},
        {STR("Connection"), STR("clo\nse"), FIELDS_BAD_VALUE, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fields_clear(&f);
        assert_int_equal(fields_add(&f, cases[i].name, cases[i].value), cases[i].result);
        expect_lines(cases[i].lines);
    }
}

// Every byte, against the grammar written another way.
static void every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[3] = {'x', (char)c, 'x'};
        bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = letter || (c && strchr("!#$%&'*+-.^_`|~", c));
        bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        fields_clear(&f);
        assert_int_equal(fields_add(&f, str_of(name, 3), STR("v")),
                         token ? FIELDS_OK : FIELDS_BAD_NAME);
        assert_int_equal(fields_add(&f, STR("n"), str_of(name, 3)),
                         value ? FIELDS_OK : FIELDS_BAD_VALUE);
    }
}

static void known_names(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        unsigned has;
    } cases[] = {
        {STR("Date"), FIELDS_DATE},
        {STR("server"), FIELDS_SERVER},
        {STR("CONTENT-TYPE"), FIELDS_TYPE},
        {STR("X-Content-Type-options"), FIELDS_NOSNIFF},
        {STR("Vary"), FIELDS_VARY},
        {STR("etag"), FIELDS_ETAG},
        {STR("Last-Modified"), FIELDS_LAST_MODIFIED},
        {STR("Content-Encoding"), FIELDS_ENCODING},
        {STR("cache-control"), FIELDS_CACHE_CONTROL},
        {STR("Content-Language"), 0},
        {STR("Dated"), 0},
    };
    unsigned all = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fields_clear(&f);
        assert_int_equal(fields_add(&f, cases[i].name, STR("v")), FIELDS_OK);
        assert_int_equal(f.has, cases[i].has);
        assert_true(f.lines.n > 0);
        all |= f.has;
    }
    assert_int_equal(all, 511);
    fields_clear(&f);
    fields_add(&f, STR("ETag"), STR("\"1\""));
    fields_add(&f, STR("Vary"), STR("Accept"));
    assert_int_equal(f.has, FIELDS_ETAG | FIELDS_VARY);
    assert_int_equal(fields_add(&f, STR("Date"), STR("\r")), FIELDS_BAD_VALUE);
    assert_int_equal(f.has, FIELDS_ETAG | FIELDS_VARY);
}

static void framing_is_left_out(void **state)
{
    (void)state;
    static const struct {
        struct str name, value;
        bool close;
        int64_t length;
    } cases[] = {
        {STR("Connection"), STR("close"), true, -1},
        {STR("connection"), STR("keep-alive, Close"), true, -1},
        {STR("Connection"), STR("keep-alive"), false, -1},
        {STR("Connection"), STR("closed"), false, -1},
        {STR("Content-Length"), STR("0"), false, 0},
        {STR("content-length"), STR(" 9223372036854775807 "), false, INT64_MAX},
        {STR("Content-Length"), STR("9223372036854775808"), false, -1},
        {STR("Content-Length"), STR("-1"), false, -1},
        {STR("Content-Length"), STR("1x"), false, -1},
        {STR("Transfer-Encoding"), STR("chunked"), false, -1},
        {STR("Keep-Alive"), STR("timeout=5"), false, -1},
        {STR("Upgrade"), STR("h2c"), false, -1},
        {STR("Trailer"), STR("X"), false, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fields_clear(&f);
        assert_int_equal(fields_add(&f, cases[i].name, cases[i].value), FIELDS_OK);
        expect_lines("");
        assert_int_equal(f.has, 0);
        assert_int_equal(f.close, cases[i].close);
        assert_int_equal(f.length, cases[i].length);
    }
}

static void full(void **state)
{
    (void)state;
    char *big = malloc(FIELDS_MAX);
    memset(big, 'v', FIELDS_MAX);
    // "n: " and CRLF take five bytes.
    assert_int_equal(fields_add(&f, STR("n"), str_of(big, FIELDS_MAX - 4)), FIELDS_FULL);
    expect_lines("");
    assert_int_equal(fields_add(&f, STR("n"), str_of(big, FIELDS_MAX - 5)), FIELDS_OK);
    assert_int_equal(f.lines.n, FIELDS_MAX);
    assert_int_equal(fields_add(&f, STR("ETag"), STR("")), FIELDS_FULL);
    assert_int_equal(f.has, 0);
    assert_int_equal(f.lines.n, FIELDS_MAX);
    free(big);
}

static void lines_made_elsewhere(void **state)
{
    (void)state;
    struct fields once;
    fields_init(&once);
    assert_int_equal(fields_add(&once, STR("ETag"), STR("\"1\"")), FIELDS_OK);
    assert_int_equal(fields_add(&once, STR("A"), STR("b")), FIELDS_OK);
    assert_int_equal(fields_add(&f, STR("Vary"), STR("*")), FIELDS_OK);
    assert_int_equal(fields_add_lines(&f, buf_str(&once.lines), once.has), FIELDS_OK);
    expect_lines("Vary: *\r\nETag: \"1\"\r\nA: b\r\n");
    assert_int_equal(f.has, FIELDS_VARY | FIELDS_ETAG);
    fields_fini(&once);

    char *big = malloc(FIELDS_MAX);
    memset(big, 'v', FIELDS_MAX);
    assert_int_equal(fields_add_lines(&f, str_of(big, FIELDS_MAX), FIELDS_TYPE), FIELDS_FULL);
    expect_lines("Vary: *\r\nETag: \"1\"\r\nA: b\r\n");
    assert_int_equal(f.has, FIELDS_VARY | FIELDS_ETAG);
    free(big);
}

static void cleared_and_used_again(void **state)
{
    (void)state;
    fields_add(&f, STR("ETag"), STR("\"1\""));
    fields_add(&f, STR("Connection"), STR("close"));
    fields_add(&f, STR("Content-Length"), STR("5"));
    char *memory = f.lines.p;
    fields_clear(&f);
    assert_int_equal(f.lines.n + f.has + f.close, 0);
    assert_int_equal(f.length, -1);
    assert_int_equal(fields_add(&f, STR("a"), STR("b")), FIELDS_OK);
    assert_ptr_equal(f.lines.p, memory);
    expect_lines("a: b\r\n");
}

static void found_and_removed(void **state)
{
    (void)state;
    static const struct str names[] = {STR("A"), STR("Vary"), STR("AB"), STR("vary"), STR("B")};
    fields_clear(&f);
    assert_null(fields_find(&f, STR("A")).p);
    fields_remove(&f, STR("A"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(fields_add(&f, names[i], str_of(&"12345"[i], 1)), FIELDS_OK);
    assert_true(str_eq(fields_find(&f, STR("a")), STR("1")));
    assert_true(str_eq(fields_find(&f, STR("ab")), STR("3")));
    assert_true(str_eq(fields_find(&f, STR("Vary")), STR("2")));
    assert_null(fields_find(&f, STR("ABC")).p);
    fields_remove(&f, STR("VARY"));
    assert_null(fields_find(&f, STR("vary")).p);
    assert_int_equal(f.has, 0);
    fields_remove(&f, STR("A"));
    assert_true(str_eq(buf_str(&f.lines), STR("AB: 3\r\nB: 5\r\n")));
    fields_remove(&f, STR("B"));
    fields_remove(&f, STR("AB"));
    assert_int_equal(f.lines.n, 0);
    fields_clear(&f);
}

// Whatever came before, a note gives what fields_add gives: one note for all, as of a site whose lines
// have the same lengths.
static void a_noted_line_is_the_line(void **state)
{
    (void)state;
    static const struct {
        struct str name, value;
    } lines[] = {
        {STR("X-A"), STR("1")},
        {STR("X-A"), STR("1")},
        {STR("X-A"), STR("2")},
        {STR("X-B"), STR("2")},
        {STR("x-b"), STR("2")},
        {STR("X-"), STR("b2")},
        {STR("X-E"), STR("")},
        {STR("X-E"), STR("")},
        {STR("X-E"), STR(" 3 ")},
        {STR("X-E"), STR(" 3 ")},
        {STR("X-E"), STR("3")},
        {STR(""), STR("")},
        {STR("Content-Type"), STR("text/a")},
        {STR("Content-Type"), STR("text/a")},
        {STR("content-type"), STR("text/a")},
        {STR("Vary"), STR("Accept")},
        {STR("Vary"), STR("Accept")},
        {STR("Connection"), STR("close")},
        {STR("Connection"), STR("close")},
        {STR("Content-Length"), STR("7")},
        {STR("Content-Length"), STR("7")},
        {STR("X-A"), STR("a\nb")},
        {STR("X-A"), STR("a\nb")},
        {STR("X A"), STR("1")},
        {STR("X-Long"), STR("0123456789012345678901234567890123456789012345678901234567890123456789"
                            "0123456789")},
        {STR("X-Long"), STR("0123456789012345678901234567890123456789012345678901234567890123456789"
                            "0123456789")},
    };
    struct fields_note note = {.has = 0};
    struct fields plain;
    fields_init(&plain);
    for (int round = 0; round < 2; round++) {
        fields_clear(&f); // another answer; the note stays
        fields_clear(&plain);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            struct str name = lines[i].name, value = lines[i].value;
            assert_int_equal(fields_add_noted(&f, &note, name, value),
                             fields_add(&plain, name, value));
            assert_int_equal(f.lines.n, plain.lines.n);
            assert_memory_equal(f.lines.p, plain.lines.p, f.lines.n);
            assert_int_equal(f.has, plain.has);
            assert_int_equal(f.close, plain.close);
            assert_int_equal(f.length, plain.length);
        }
    }
    while (fields_add_noted(&f, &note, STR("X-A"), STR("1")) == FIELDS_OK)
        assert_true(f.lines.n <= FIELDS_MAX);
    assert_int_equal(fields_add_noted(&f, &note, STR("X-A"), STR("1")), FIELDS_FULL);
    fields_fini(&plain);
}

static void replaced_where_they_stand(void **state)
{
    (void)state;
    static const struct {
        struct str name, value;
        const char *lines; // afterwards; NULL: false, and as they were
    } cases[] = {
        {STR("etag"), STR("\"2\""), "A: b\r\nETag: \"2\"\r\nC: d\r\n"},
        {STR("ETag"), STR("\"longer-gzip\""), "A: b\r\nETag: \"longer-gzip\"\r\nC: d\r\n"},
        {STR("ETag"), STR(""), "A: b\r\nETag: \r\nC: d\r\n"},
        {STR("A"), STR("x"), "A: x\r\nETag: \"1\"\r\nC: d\r\n"},
        {STR("C"), STR("last"), "A: b\r\nETag: \"1\"\r\nC: last\r\n"},
        {STR("D"), STR("x"), NULL},
    };
    static const char before[] = "A: b\r\nETag: \"1\"\r\nC: d\r\n";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fields_clear(&f);
        assert_int_equal(fields_add_lines(&f, str_z(before), FIELDS_ETAG), FIELDS_OK);
        bool done = fields_replace(&f, cases[i].name, cases[i].value);
        assert_int_equal(done, cases[i].lines != NULL);
        expect_lines(done ? cases[i].lines : before);
        assert_int_equal(f.has, FIELDS_ETAG);
    }
    char *big = calloc(1, FIELDS_MAX);
    assert_false(fields_replace(&f, STR("A"), str_of(big, FIELDS_MAX)));
    expect_lines(before);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_and_values, setup, teardown),
        cmocka_unit_test(some_are_there_once),
        cmocka_unit_test_setup_teardown(every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(known_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_noted_line_is_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(replaced_where_they_stand, setup, teardown),
        cmocka_unit_test_setup_teardown(found_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(framing_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(full, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_made_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(cleared_and_used_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

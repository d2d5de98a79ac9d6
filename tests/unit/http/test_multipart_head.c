// The header blocks of parts: names, file names, and what is refused.
#include "http/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define DISPOSITION "Content-Disposition: form-data; "
#define NAMED DISPOSITION "name=a\r\n"
#define NONE    \
    {           \
        NULL, 0 \
    }

// Reads a copy of the block that has nothing behind it, into exactly the room that was promised.
static const char *read_block(struct str block, char **dst, struct multipart_head *head)
{
    char *copy = malloc(block.n + !block.n);
    *dst = malloc(2 * block.n + !block.n);
    memcpy(copy, block.p, block.n);
    const char *why = multipart_head(str_of(copy, block.n), *dst, head);
    if (head->content_type.p)
        head->content_type.p = block.p + (head->content_type.p - copy);
    free(copy);
    return why;
}

static bool same(struct str got, struct str want)
{
    return !got.p == !want.p && str_eq(got, want);
}

static void reads_heads(void **state)
{
    static const struct {
        struct str block, name, filename, type;
    } cases[] = {
        {STR(NAMED), STR("a"), NONE, NONE},
        {STR("content-disposition:FORM-DATA;NAME=\"a\"\r\n"), STR("a"), NONE, NONE},
        {STR(DISPOSITION "name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n"),
         STR("f"), STR("x.txt"), STR("text/plain")},
        {STR("Content-Type:\t a/b; c=d \r\n" NAMED), STR("a"), NONE, STR("a/b; c=d")},
        {STR("Content-Type:\r\n" NAMED), STR("a"), NONE, STR("")},
        {STR("X-A: 1\r\nX-A: 2\r\nX-B:\r\nContent-Length: 5\r\n" NAMED), STR("a"), NONE, NONE},
        {STR(DISPOSITION "name=\"\"\r\n"), STR(""), NONE, NONE},
        {STR(DISPOSITION "x=y; name=\"a\" ;; z=\"\";\r\n"), STR("a"), NONE, NONE},
        {STR("Content-Transfer-Encoding: Binary\r\n" NAMED), STR("a"), NONE, NONE},
        {STR("Content-Transfer-Encoding: 8bit\r\n" NAMED), STR("a"), NONE, NONE},
        {STR(NAMED "Content-Transfer-Encoding: 7BIT\r\n"), STR("a"), NONE, NONE},
        // names as browsers, curl and others write them
        {STR(DISPOSITION "name=\"\xc3\xa9 \xff\"\r\n"), STR("\xc3\xa9 \xff"), NONE, NONE},
        {STR(DISPOSITION "name=\"a\\\"b\\\\c;d\"\r\n"), STR("a\"b\\c;d"), NONE, NONE},
        {STR(DISPOSITION "name=\"a%22b%0D%0A\"\r\n"), STR("a%22b%0D%0A"), NONE, NONE},
        {STR(DISPOSITION "name=\"\\\\\\\\x\"\r\n"), STR("\\\\x"), NONE, NONE},
        {STR(DISPOSITION "name=\"../\ta/b\"\r\n"), STR("../\ta/b"), NONE, NONE},
        {STR(DISPOSITION "name=a'b*\r\n"), STR("a'b*"), NONE, NONE},
        {STR(DISPOSITION "name=\"a\"; name*=UTF-8''b\r\n"), STR("a"), NONE, NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *dst;
        struct multipart_head head;
        const char *why = read_block(cases[i].block, &dst, &head);
        if (why)
            fail_msg("%.*s: %s", STR_ARG(cases[i].block), why);
        if (!same(head.name, cases[i].name) || !same(head.filename, cases[i].filename) ||
            !same(head.content_type, cases[i].type))
            fail_msg("%.*s: \"%.*s\" \"%.*s\" \"%.*s\"", STR_ARG(cases[i].block),
                     STR_ARG(head.name), STR_ARG(head.filename), STR_ARG(head.content_type));
        free(dst);
    }
}

static void reads_filenames(void **state)
{
    static const struct {
        struct str params, filename;
    } cases[] = {
        {STR("filename=x.txt"), STR("x.txt")},
        {STR("filename=\"\""), STR("")},
        {STR("filename=\"a b;c.txt\""), STR("a b;c.txt")},
        {STR("filename=\"\xe4\xbd\xa0.txt\""), STR("\xe4\xbd\xa0.txt")},
        {STR("filename=\"\xe9.txt\""), STR("\xe9.txt")},
        {STR("filename=\"a\\\"b.txt\""), STR("a\"b.txt")},
        {STR("filename=\"a%22b.txt\""), STR("a%22b.txt")},
        // the bare name
        {STR("filename=\"C:\\new\\text.txt\""), STR("text.txt")},
        {STR("filename=\"C:\\\\new\\\\text.txt\""), STR("text.txt")},
        {STR("filename=\"/etc/passwd\""), STR("passwd")},
        {STR("filename=\"../../x\""), STR("x")},
        {STR("filename=\"a/b\\c\""), STR("c")},
        {STR("filename=\"a\\b/c\""), STR("c")},
        {STR("filename=\"a/\""), STR("")},
        {STR("filename=\".\""), STR("")},
        {STR("filename=\"x/..\""), STR("")},
        {STR("filename=\"\t.\t.\""), STR("")},
        {STR("filename=\"...\""), STR("...")},
        {STR("filename=\".htaccess\""), STR(".htaccess")},
        {STR("filename=\"a\tb\""), STR("ab")},
        // filename* (RFC 8187)
        {STR("filename*=UTF-8''%e2%82%AC%20x.txt"), STR("\xe2\x82\xac x.txt")},
        {STR("filename*=utf-8'en-GB'a.txt"), STR("a.txt")},
        {STR("filename*=UTF-8''"), STR("")},
        {STR("filename*=iso-8859-1'de'%A3a%ff%7f%e9"), STR("\xc2\xa3"
                                                           "a\xc3\xbf\xc3\xa9")},
        {STR("filename*=ISO-8859-1''abc"), STR("abc")},
        {STR("filename*=UTF-8''it's*.txt"), STR("it's*.txt")},
        {STR("filename*=UTF-8''a%2Fb%5C..%2fc%00.txt"), STR("c.txt")},
        {STR("filename*=UTF-8''%2e%2E"), STR("")},
        {STR("filename*=UTF-8''x; filename=y"), STR("x")},
        {STR("filename=\"y\"; FileName*=UTF-8''x"), STR("x")},
        // a malformed one beside a filename
        {STR("filename=y; filename*=UTF-8''%"), STR("y")},
        {STR("filename=y; filename*=UTF-8''%4"), STR("y")},
        {STR("filename=y; filename*=UTF-8''%zz"), STR("y")},
        {STR("filename=y; filename*=UTF-8''%ff"), STR("y")},
        {STR("filename=y; filename*=UTF-8''%c0%af"), STR("y")},
        {STR("filename=y; filename*=UTF-8'x"), STR("y")},
        {STR("filename=y; filename*=UTF-8"), STR("y")},
        {STR("filename=y; filename*=''x"), STR("y")},
        {STR("filename=y; filename*=UTF-16''x"), STR("y")},
        {STR("filename*=\"UTF-8''x\"; filename=\"y\""), STR("y")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char block[256], *dst;
        struct multipart_head head;
        int n = snprintf(block, sizeof block, DISPOSITION "name=\"n\"; %.*s\r\n",
                         STR_ARG(cases[i].params));
        const char *why = read_block(str_of(block, (size_t)n), &dst, &head);
        if (why || !same(head.filename, cases[i].filename) || !str_eq(head.name, STR("n")))
            fail_msg("%s: %s, \"%.*s\"", block, why ? why : "read", STR_ARG(head.filename));
        free(dst);
    }
}

static void refuses_heads(void **state)
{
    static const struct {
        struct str block;
        const char *why; // part of it
    } cases[] = {
        // lines
        {STR(NAMED "X\r\n"), "colon"},
        {STR(NAMED "\r\n"), "colon"},
        {STR(NAMED ": x\r\n"), "token"},
        {STR(NAMED "X : x\r\n"), "token"},
        {STR(NAMED "X\xc3\xa9: x\r\n"), "token"},
        {STR(NAMED "X\0Y: x\r\n"), "token"},
        {STR(NAMED " x: y\r\n"), "whitespace"},
        {STR("\tx: y\r\n" NAMED), "whitespace"},
        {STR(DISPOSITION "name=a;\r\n filename=b\r\n"), "whitespace"},
        {STR(NAMED "X: \x01\r\n"), "control"},
        {STR(NAMED "X: a\x7f\r\n"), "control"},
        {STR(NAMED "X: a\0\r\n"), "control"},
        {STR(NAMED "X: a\rb\r\n"), "control"},
        {STR(NAMED "X: a\n"), "CRLF"},
        {STR(NAMED "\n"), "CRLF"},
        {STR(NAMED "X: a"), "CRLF"},
        {STR(NAMED "X: a\r"), "CRLF"},
        // Content-Disposition
        {STR(""), "no Content-Disposition"},
        {STR("Content-Type: text/plain\r\n"), "no Content-Disposition"},
        {STR("Content-Disposition:\r\n"), "other than form-data"},
        {STR("Content-Disposition: attachment; name=a\r\n"), "other than form-data"},
        {STR("Content-Disposition: form-data name=a\r\n"), "other than form-data"},
        {STR("Content-Disposition: form-data, form-data; name=a\r\n"), "other than form-data"},
        {STR("Content-Disposition: form-data\r\n"), "without name"},
        {STR(DISPOSITION "filename=a\r\n"), "without name"},
        {STR(DISPOSITION "name*=UTF-8''a\r\n"), "without name"},
        {STR(DISPOSITION "name=\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=a b\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name =a\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=\"a\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=\"a\\\"\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=\"a\"b\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=\"a\", filename=b\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=a; filename\r\n"), "malformed parameter"},
        {STR(DISPOSITION "name=a; name=a\r\n"), "twice"},
        {STR(DISPOSITION "name=a; NAME=\"b\"\r\n"), "twice"},
        {STR(DISPOSITION "name=\"\"; name=\"\"\r\n"), "twice"},
        {STR(DISPOSITION "name=a; filename=x; filename=x\r\n"), "twice"},
        {STR(DISPOSITION "name=a; filename*=UTF-8''x; filename*=UTF-8''x\r\n"), "twice"},
        {STR(DISPOSITION "name=a; filename*0=x; filename*1=y\r\n"), "pieces"},
        {STR(DISPOSITION "name=a; filename=x; FILENAME*0*=UTF-8''x\r\n"), "pieces"},
        {STR(DISPOSITION "name=a; filename*=x\r\n"), "malformed filename*"},
        {STR(DISPOSITION "name=a; filename*=UTF-8''%ff\r\n"), "malformed filename*"},
        {STR(DISPOSITION "name=a; filename*=\"UTF-8''a\"\r\n"), "malformed filename*"},
        {STR(NAMED NAMED), "Content-Disposition twice"},
        {STR(NAMED "Content-Type: a/b\r\nContent-Type: a/b\r\n"), "Content-Type twice"},
        // encodings
        {STR(NAMED "Content-Transfer-Encoding: base64\r\n"), "Encoding other"},
        {STR(NAMED "Content-Transfer-Encoding: quoted-printable\r\n"), "Encoding other"},
        {STR(NAMED "Content-Transfer-Encoding:\r\n"), "Encoding other"},
        {STR(NAMED "Content-Transfer-Encoding: binary, base64\r\n"), "Encoding other"},
        {STR(NAMED "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit\r\n"),
         "Encoding twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *dst;
        struct multipart_head head;
        const char *why = read_block(cases[i].block, &dst, &head);
        if (!why || !strstr(why, cases[i].why))
            fail_msg("%.*s: %s", STR_ARG(cases[i].block), why ? why : "was taken");
        free(dst);
    }
}

static void lists_fields(void **state)
{
    struct str rest = STR("A: 1\r\nb:\t two words \r\nC:\r\n"), name, value;
    (void)state;
    assert_true(multipart_field(&rest, &name, &value));
    assert_true(str_eq(name, STR("A")) && str_eq(value, STR("1")));
    assert_true(multipart_field(&rest, &name, &value));
    assert_true(str_eq(name, STR("b")) && str_eq(value, STR("two words")));
    assert_true(multipart_field(&rest, &name, &value));
    assert_true(str_eq(name, STR("C")) && value.n == 0);
    assert_false(multipart_field(&rest, &name, &value));
    rest = STR("");
    assert_false(multipart_field(&rest, &name, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_heads),
        cmocka_unit_test(reads_filenames),
        cmocka_unit_test(refuses_heads),
        cmocka_unit_test(lists_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

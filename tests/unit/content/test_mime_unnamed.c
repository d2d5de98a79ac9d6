// Types by the first bytes: what is told, and what is never told.
#include "content/mime_unnamed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct str head, bool whole, const char *type)
{
    char text[MIME_MAX];
    struct str got = mime_unnamed(head, whole, text);
    if (!str_eq(got, str_z(type)))
        fail_msg("%.40s: %.*s, not %s", head.p, STR_ARG(got), type);
}

static void tells_what_is_harmless(void **state)
{
    (void)state;
    expect(STR("all rights reserved\n"), true, "text/plain; charset=utf-8");
    expect(STR("h\xc3\xa4user"), true, "text/plain; charset=utf-8");
    expect(STR("h\xe4user"), true, "text/plain");
    expect(STR("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"), true, "image/png");
    expect(STR("GIF89a\1\0\1\0\0\0\0"), true, "image/gif");
    expect(STR("\x1f\x8b\x08\0\0\0\0\0\0\3"), true, "application/gzip");
    expect(STR("\0\1\2\3 nobody knows"), true, "application/octet-stream");
    expect(STR(""), true, "application/octet-stream");
}

// With control bytes too, which keep a page from being a page but not libmagic from saying so.
static void never_tells_what_runs(void **state)
{
    (void)state;
    static const struct str active[] = {
        STR("<!DOCTYPE html><script>alert(1)</script>"),
        STR("<html><body onload=alert(1)>"),
        STR("<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>"),
        STR("<?xml version=\"1.0\"?><?xml-stylesheet href=\"x\"?><a/>"),
        STR("#!/usr/bin/env node\nalert(1)"),
        STR("%PDF-1.4\n"),
    };
    for (size_t i = 0; i < sizeof active / sizeof *active; i++) {
        char bytes[256], text[MIME_MAX];
        expect(active[i], true, "text/plain; charset=utf-8");
        memcpy(bytes, active[i].p, active[i].n);
        memcpy(bytes + active[i].n, "\n\0\1", 3);
        struct str type = mime_unnamed(str_of(bytes, active[i].n + 3), true, text);
        assert_false(str_starts(type, STR("text/html")) || str_ends(type, STR("xml")) ||
                     str_ends(type, STR("script")));
    }
}

// A character that the look cut in two is no reason to doubt; one that the file ends in is.
static void a_cut_character(void **state)
{
    (void)state;
    expect(STR("abc\xe2\x82"), false, "text/plain; charset=utf-8");
    expect(STR("abc\xe2\x82"), true, "text/plain");
    expect(STR("\xe2\x82 abc"), false, "text/plain");
    static char many[MIME_UNNAMED_LOOK + 2];
    memset(many, 'x', sizeof many);
    memcpy(many + MIME_UNNAMED_LOOK - 1, "\xe2\x82\xac", 3);
    expect(str_of(many, sizeof many), true, "text/plain; charset=utf-8");
}

static void a_charset_that_is_not_true_is_dropped(void **state)
{
    (void)state;
    static const struct {
        struct str type, head;
        const char *want;
    } cases[] = {
        {STR("text/html; charset=utf-8"), STR("<p>\xc3\xa4"), "text/html; charset=utf-8"},
        {STR("text/html; charset=utf-8"), STR("<p>\xe4"), "text/html"},
        {STR("text/html; charset=utf-8"), STR(""), "text/html; charset=utf-8"},
        {STR("application/json"), STR("\"\xe4\""), "application/json"},
        {STR("image/png"), STR("\x89PNG"), "image/png"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(
            str_eq(mime_with_charset(cases[i].type, cases[i].head, true), str_z(cases[i].want)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_harmless),
        cmocka_unit_test(never_tells_what_runs),
        cmocka_unit_test(a_cut_character),
        cmocka_unit_test(a_charset_that_is_not_true_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

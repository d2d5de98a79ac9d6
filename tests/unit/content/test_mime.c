// Media types by name. The table itself is under test, so its file is part of this one.
#include "../../../src/content/mime.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void knows_what_the_web_sends(void **state)
{
    static const struct {
        struct str name;
        const char *type;
    } cases[] = {
        {STR("index.html"), "text/html; charset=utf-8"},
        {STR("INDEX.HTM"), "text/html; charset=utf-8"},
        {STR("/a.b/app.js"), "text/javascript; charset=utf-8"},
        {STR("app.mjs"), "text/javascript; charset=utf-8"},
        {STR("x.min.css"), "text/css; charset=utf-8"},
        {STR("notes.txt"), "text/plain; charset=utf-8"},
        {STR("app.js.map"), "application/json"},
        {STR("feed.xml"), "text/xml; charset=utf-8"},
        {STR("logo.svg"), "image/svg+xml"},
        {STR("a.PNG"), "image/png"},
        {STR("a.jpeg"), "image/jpeg"},
        {STR("a.webp"), "image/webp"},
        {STR("favicon.ico"), "image/vnd.microsoft.icon"},
        {STR("f.woff2"), "font/woff2"},
        {STR("d.pdf"), "application/pdf"},
        {STR("d.tar.gz"), "application/gzip"},
        {STR("m.wasm"), "application/wasm"},
        {STR("app.webmanifest"), "application/manifest+json"},
        {STR("v.mp4"), "video/mp4"},
        {STR("d.docx"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {STR("d.odt"), "application/vnd.oasis.opendocument.text"},
        {STR("app.lua"), "text/plain; charset=utf-8"},
        {STR(".html"), "text/html; charset=utf-8"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str got = mime_by_name(cases[i].name);
        if (!str_eq(got, str_z(cases[i].type)))
            fail_msg("%.*s: %.*s", STR_ARG(cases[i].name), STR_ARG(got));
    }
}

static void leaves_the_rest_to_octet_stream(void **state)
{
    static const struct str names[] = {
        STR(""),
        STR("html"),
        STR("a."),
        STR("."),
        STR(".."),
        STR("a.html/"),
        STR("a.html/b"),
        STR("a.nope"),
        STR("a.html~"),
        STR("a.html\0"),
        STR("a.html.bak"),
        STR("a.\0html"),
        STR("a.htmlhtmlhtmlhtmlhtmlhtml"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        if (!str_eq(mime_by_name(names[i]), STR("application/octet-stream")))
            fail_msg("%.*s has a type", STR_ARG(names[i]));
    assert_true(str_eq(mime_by_name((struct str){NULL, 0}), STR("application/octet-stream")));
}

static void finds_every_entry_of_its_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        const char *extension_z = table[i].extension;
        char name[EXTENSION_MAX + 3] = "x.";
        assert_in_range(strlen(extension_z), 1, EXTENSION_MAX);
        strcat(name, extension_z);
        assert_true(i == 0 || strcmp(table[i - 1].extension, extension_z) < 0);
        assert_ptr_equal(mime_by_name(str_z(name)).p, table[i].type);
        bool text = str_starts(str_z(table[i].type), STR("text/"));
        assert_int_equal(text, str_ends(str_z(table[i].type), STR("; charset=utf-8")));
    }
}

static void finds_extensions_of_types(void **state)
{
    static const struct {
        struct str type;
        const char *extensions;
    } cases[] = {
        {STR("image/png"), "png"},
        {STR("image/jpeg"), "jpg jfif jpeg"},
        {STR("IMAGE/JPEG"), "jpg jfif jpeg"},
        {STR("text/html"), "html htm"},
        {STR("text/html; charset=utf-8"), "html htm"},
        {STR("text/html ;charset=latin1"), "html htm"},
        {STR("text/javascript"), "js cjs mjs"},
        {STR("audio/ogg"), "ogg oga opus"},
        {STR("application/pdf"), "pdf"},
        {STR("application/epub+zip"), "epub"},
        {STR("image"), ""},
        {STR("image/"), ""},
        {STR("image/*"), ""},
        {STR(""), ""},
        {STR("image/png\0"), ""},
    };
    struct str found[MIME_EXTENSIONS];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512] = "";
        size_t n = mime_extensions(cases[i].type, found);
        for (size_t k = 0; k < n; k++) {
            strcat(text, k ? " " : "");
            strncat(text, found[k].p, found[k].n);
        }
        if (strcmp(text, cases[i].extensions) != 0)
            fail_msg("%.*s: %s", STR_ARG(cases[i].type), text);
    }
    assert_in_range(mime_extensions(STR("text/plain"), found), 20, MIME_EXTENSIONS - 1);
    assert_true(str_eq(found[0], STR("txt")));
}

// Every extension is found by its type, and which is the usual one is never a matter of chance.
static void knows_the_usual_extension_of_every_type(void **state)
{
    struct str found[MIME_EXTENSIONS];
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        size_t n = mime_extensions(str_z(table[i].type), found), own = n, usual_ones = 0;
        for (size_t k = 0; k < n; k++) {
            own = str_eq(found[k], str_z(table[i].extension)) ? k : own;
            usual_ones += is_usual(found[k].p);
        }
        assert_true(own < n);
        if (usual_ones != (n > 1))
            fail_msg("%s has %zu usual extensions of %zu", table[i].type, usual_ones, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_the_web_sends),
        cmocka_unit_test(leaves_the_rest_to_octet_stream),
        cmocka_unit_test(finds_every_entry_of_its_table),
        cmocka_unit_test(finds_extensions_of_types),
        cmocka_unit_test(knows_the_usual_extension_of_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Media types by content, with the database that is installed: the shortest bytes of each kind.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "content/mime.h"

static void assert_type(struct str bytes, const char *type)
{
    char dst[MIME_MAX];
    struct str got = mime_by_content(bytes, dst);
    if (!str_eq(got, str_z(type)))
        fail_msg("%.*s instead of %s", STR_ARG(got), type);
}

// Must be the first: the database is kept once it is open.
static void running_out_of_descriptors_is_not_for_good(void **state)
{
    struct rlimit before, none;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    char dst[MIME_MAX];
    bool told = str_eq(mime_by_content(STR("GIF89a\1\0\1\0\0\0\0;"), dst), STR("image/gif"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(told);
    assert_type(STR("GIF89a\1\0\1\0\0\0\0;"), "image/gif");
}

static void knows_what_is_uploaded(void **state)
{
    static const struct {
        struct str bytes;
        const char *type;
    } rows[] = {
        {STR("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0"), "image/png"},
        {STR("\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"), "image/jpeg"},
        {STR("GIF89a\1\0\1\0\0\0\0;"), "image/gif"},
        {STR("RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0"), "image/webp"},
        {STR("<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"), "image/svg+xml"},
        {STR("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), "application/pdf"},
        {STR("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "application/zip"}, // an empty one
        {STR("\x1f\x8b\x08\0\0\0\0\0\0\3K\4\0C\276\267\350\1\0\0\0"), "application/gzip"},
        {STR("\0\0\0\x18"
             "ftypmp42\0\0\0\0mp42isom"),
         "video/mp4"},
        {STR("RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88X\1\0\2\0\x10\0data\0\0\0\0"),
         "audio/wav"},
        {STR("plain words and nothing else\n"), "text/plain"},
        {STR("words, with commas\nand more, with commas\nand, again\n"), "text/plain"},
        {STR("gr\xc3\xb6\xc3\x9f"
             "er\n"),
         "text/plain"},
        {STR("<!DOCTYPE html>\n<html><body>x</body></html>\n"), "text/html"},
        {STR("{\"a\": [1, 2, 3]}"), "application/json"},
        {STR("\x7f"
             "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0"),
         "application/x-sharedlib"},
        {STR("\0\1\2\3\4\5\6\7\x80\x81\x82\x83"), "application/octet-stream"},
        {STR("a"), "application/octet-stream"},
        {STR("\0"), "application/octet-stream"},
        {STR(""), "application/octet-stream"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_type(rows[i].bytes, rows[i].type);
    assert_type((struct str){NULL, 0}, "application/octet-stream");
}

// A quarter of a second each, without the limits on regular expressions.
static void hostile_text_does_not_take_long(void **state)
{
    static char bytes[1 << 20];
    struct timespec before, after;
    (void)state;
    assert_type(STR("plain words"), "text/plain"); // the database is there
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (const char *fill = "\n \t<[\"%a"; *fill; fill++) {
        memset(bytes, *fill, sizeof bytes);
        assert_type(str_of(bytes, sizeof bytes), "text/plain");
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec <
                10); // a tenth of a second, on a machine that is idle
}

static void *ask_often(void *arg)
{
    char dst[MIME_MAX];
    size_t *wrong = arg;
    for (int i = 0; i < 50; i++) {
        *wrong += !str_eq(mime_by_content(STR("GIF89a\1\0\1\0\0\0\0;"), dst), STR("image/gif"));
        *wrong += !str_eq(mime_by_content(STR("%PDF-1.7\n"), dst), STR("application/pdf"));
    }
    return NULL;
}

static void threads_take_turns(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = {0};
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &wrong[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_descriptors_is_not_for_good),
        cmocka_unit_test(knows_what_is_uploaded),
        cmocka_unit_test(hostile_text_does_not_take_long),
        cmocka_unit_test(threads_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

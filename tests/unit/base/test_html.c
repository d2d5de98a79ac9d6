// Text for HTML: five bytes, wherever they stand, and nothing else.
#include "base/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// after the above
#include <cmocka.h>

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *html;
    } rows[] = {
        {STR(""), ""},
        {STR("plain"), "plain"},
        {STR("<"), "&lt;"},
        {STR("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;"},
        {STR("&amp;"), "&amp;amp;"},
        {STR("<<>>"), "&lt;&lt;&gt;&gt;"},
        {STR("caf\xc3\xa9 \xff`"), "caf\xc3\xa9 \xff`"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 1024);
        assert_true(html_add(&out, rows[i].text));
        assert_int_equal(out.n, strlen(rows[i].html));
        if (out.n)
            assert_memory_equal(out.p, rows[i].html, out.n);
        buf_fini(&out);
    }
}

static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct buf out;
        char byte = (char)c;
        buf_init(&out, 16);
        assert_true(html_add(&out, str_of(&byte, 1)));
        assert_int_equal(out.n > 1, c && strchr("&<>\"'", c) != NULL);
        assert_true(out.n > 1 || out.p[0] == byte);
        buf_fini(&out);
    }
}

static void test_a_full_buffer(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    assert_false(html_add(&out, STR("a<b>")));
    buf_clear(&out);
    assert_true(html_add(&out, STR("a<")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_a_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

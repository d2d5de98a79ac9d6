// The built-in page: a whole document, nothing of the message taken for markup.
#include "http/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[8192]; // the last page, NUL-terminated

static void page(unsigned status, struct str message)
{
    struct buf b;
    buf_init(&b, sizeof text - 1);
    assert_true(page_html(&b, status, message));
    memcpy(text, b.p, b.n);
    text[b.n] = '\0';
    buf_fini(&b);
}

static void has(const char *part)
{
    if (!strstr(text, part))
        fail_msg("no %s in\n%s", part, text);
}

static void whole_document(void **state)
{
    (void)state;
    page(404, STR("No such note."));
    assert_ptr_equal(strstr(text, "<!DOCTYPE html>\n<html lang=\"en\">"), text);
    has("<title>404 Not Found</title>");
    has("<h1>404 Not Found</h1>\n<p>No such note.</p>");
    has("<meta charset=\"utf-8\">");
    has("width=device-width");
    has("prefers-color-scheme: dark");
    assert_string_equal(text + strlen(text) - 16, "</body>\n</html>\n");
}

static void without_message(void **state)
{
    (void)state;
    page(404, (struct str){NULL, 0});
    has("<h1>404 Not Found</h1>\n</main>");
    assert_null(strstr(text, "<p>"));
}

static void unregistered_status(void **state)
{
    (void)state;
    page(599, STR(""));
    has("<title>599</title>");
    has("<h1>599</h1>");
}

static void escaping(void **state)
{
    (void)state;
    static const struct {
        struct str message;
        const char *html;
    } cases[] = {
        {STR("<script>alert('x')</script>"),
         "<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;</p>"},
        {STR("&"), "<p>&amp;</p>"},
        {STR("&amp;\""), "<p>&amp;amp;&quot;</p>"},
        {STR("a<b"), "<p>a&lt;b</p>"},
        {STR("caf\xc3\xa9"), "<p>caf\xc3\xa9</p>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        page(404, cases[i].message);
        has(cases[i].html);
    }
}

// Whatever the room, it is the whole page or nothing, behind what was there.
static void every_room(void **state)
{
    (void)state;
    page(404, STR("<>"));
    size_t need = strlen(text);
    for (size_t room = 0; room <= need + 1; room++) {
        struct buf b;
        buf_init(&b, room + 3);
        assert_true(buf_add(&b, STR("abc")));
        bool done = page_html(&b, 404, STR("<>"));
        assert_true(done || room <= need); // a byte more than needed is always enough
        assert_int_equal(b.n, done ? need + 3 : 3);
        assert_memory_equal(b.p, "abc", 3);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_document),      cmocka_unit_test(without_message),
        cmocka_unit_test(unregistered_status), cmocka_unit_test(escaping),
        cmocka_unit_test(every_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The script that refreshes pages: where it goes, for whom, and what becomes of the answer.
#include "content/inject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct inject_server server = {0x0123456789abcdef, 7};
static const struct inject_mark mark = {&server, 3};
#define MARK "0123456789abcdef.3.7"
#define TAG "<script src=\"/.lunette/live.js?" MARK "\" async></script>\n"

static void the_place_is_before_the_last_end_of_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *html;
        ptrdiff_t at;
    } cases[] = {
        {"", -1},
        {"<", -1},
        {"</body", -1},
        {"</body>", 0},
        {"</BoDy >", 0},
        {"</body\n>", 0},
        {"</body/>", 0},
        {"</bodyx>", -1},
        {"< /body>", -1},
        {"x</body></html>", 1},
        {"<pre></body></pre></body>", 18},
        {"</body><!-- </bodies> -->", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(inject_place(str_z(cases[i].html)), cases[i].at);
}

// The place is that of the "@", which is not in the page; without one there is none.
static void an_end_of_the_body_is_a_tag(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "<body><script>var a='</body>'</script>x",
        "<body><script>var a='</body>'</script>@</body>",
        "x@</body></html><!-- </body> -->",
        "x@</body></html><!-- </body>",
        "<!--></body>-->@</body>",
        "<!-->@</body>",
        "<!--->@</body>",
        "<!----->@</body>",
        "<!--a--!>@</body>",
        "<!--!></body>",
        "<!--a- -></body>",
        "<!-</body>@</body>",
        "<!</body>@</body>",
        "<?</body>@</body>",
        "</ </body>@</body>",
        "</>@</body>",
        "<!doctype html>@</body>",
        "< a='@</body>'",
        "<a b='</body>'>@</body>",
        "<a b = \"</body>\">@</body>",
        "<a b='</body>",
        "<a b=</body>@</body>",
        "<a b=' ></body>'>@</body>",
        "<a ='>@</body>",
        "<a b=>'@</body>'",
        "<a/b='</body>'/>@</body>",
        "<a '>@</body>'",
        "</a b='</body>'>@</body>",
        "@</body a='</body>'>",
        "@</body>x</body",
        "@</body></body ",
        "<textarea></body></textarea>@</body>",
        "<TITLE></body></tItLe >@</body>",
        "<title></body></titles></body></title/>@</body>",
        "<style></body>",
        "<noscript></body></noscript>@</body>",
        "<xmp></body></xmp><iframe></body></iframe>@</body>",
        "<plaintext></plaintext></body>",
        "<styles>@</body>",
        "<script></body></scriptx></body></script>@</body>",
        "<script a='</script>'></body></script>@</body>",
        "<script/></body></script>@</body>",
        "<script><!-- </body> </script>@</body>",
        "<script><!-- <script> </script></body></script>@</body>",
        "<script><!-- <script> --></script>@</body>",
        "<script><!--><script></script>@</body>",
        "<script><script></script>@</body>",
        "<script><!-- <script></script></body>",
        "<script><!-- <scripts></script>@</body>",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char page[128];
        const char *at = strchr(cases[i], '@');
        int before = at ? (int)(at - cases[i]) : 0;
        snprintf(page, sizeof page, "%.*s%s", before, cases[i], at ? at + 1 : cases[i]);
        if (inject_place(str_z(page)) != (at ? before : -1))
            fail_msg("%s", cases[i]);
    }
}

// Whatever is begun over and over and never ended is looked at once.
static void the_place_is_found_in_linear_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "<",        "<!--", "<!---", "<a b='", "</", "<script><!--<script>", "<title></titl",
        "</script", "<a =", "--"};
    char *page = malloc(INJECT_PAGE_MAX);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t n = strlen(pieces[i]);
        for (size_t at = 0; at < INJECT_PAGE_MAX; at++)
            page[at] = pieces[i][at % n];
        assert_int_equal(inject_place(str_of(page, INJECT_PAGE_MAX)), -1);
    }
    free(page);
}

static void the_element_has_the_nonce_of_the_policy(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *nonce;
    } cases[] = {
        {"", ""},
        {"default-src 'self'", ""},
        {"script-src 'nonce-aB3+/-_='", " nonce=\"aB3+/-_=\""},
        {"style-src x; script-src 'self' 'nonce-1'; y", " nonce=\"1\""},
        {"script-src 'nonce-'", ""},
        {"script-src 'nonce-a\" onload=b'", ""},
        {"script-src 'nonce-a", ""},
        {"script-src 'nonce-<b>'", ""},
    };
    char dst[INJECT_TAG], expected[INJECT_TAG];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str tag = inject_tag(STR("m"), str_z(cases[i].policy), dst);
        snprintf(expected, sizeof expected,
                 "<script src=\"/.lunette/live.js?m\"%s async></script>\n", cases[i].nonce);
        assert_string_equal(dst, expected);
        assert_int_equal(tag.n, strlen(expected));
    }
    char policy[INJECT_NONCE * 2];
    snprintf(policy, sizeof policy, "'nonce-%0*d'", INJECT_NONCE, 0);
    assert_non_null(strstr(inject_tag(STR(MARK), str_z(policy), dst).p, " async></script>"));
    snprintf(policy, sizeof policy, "'nonce-%0*d'", INJECT_NONCE + 1, 0);
    assert_null(strstr(inject_tag(STR(MARK), str_z(policy), dst).p, "nonce="));
}

static void a_navigation_is_what_the_browser_says(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *mode, *dest, *accept;
        bool wanted;
    } cases[] = {
        {HTTP_GET, "navigate", NULL, NULL, true},
        {HTTP_HEAD, "navigate", NULL, NULL, true},
        {HTTP_POST, "navigate", "document", "text/html", false},
        {HTTP_GET, NULL, "document", NULL, true},
        {HTTP_GET, "navigate", "iframe", NULL, true},
        {HTTP_GET, "cors", "empty", "text/html", false},
        {HTTP_GET, "no-cors", NULL, "text/html", false},
        {HTTP_GET, NULL, "image", "text/html", false},
        {HTTP_GET, NULL, NULL, "text/html", true},
        {HTTP_GET, NULL, NULL, "application/xhtml+xml, text/html;q=0.9", true},
        {HTTP_GET, NULL, NULL, "*/*", false},
        {HTTP_GET, NULL, NULL, "", false},
        {HTTP_GET, NULL, NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_field fields[3];
        struct http_request r = {.method = cases[i].method, .fields = fields};
        const char *values[] = {cases[i].mode, cases[i].dest, cases[i].accept};
        const char *names[] = {"Sec-Fetch-Mode", "sec-fetch-dest", "Accept"};
        for (int k = 0; k < 3; k++)
            if (values[k])
                fields[r.field_count++] = (struct http_field){str_z(names[k]), str_z(values[k])};
        assert_int_equal(inject_wanted(&r), cases[i].wanted);
    }
}

// An answer, to a navigation.
static const struct http_field navigates[] = {{STR("Sec-Fetch-Mode"), STR("navigate")}};
static struct http_request request = {.method = HTTP_GET, .fields = navigates, .field_count = 1};
static struct fields fields;
static struct http_response response;
static int released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

static void answer(const char *page)
{
    fields_clear(&fields);
    released = 0;
    request.method = HTTP_GET;
    response = (struct http_response){.status = 200,
                                      .fields = &fields,
                                      .default_type = STR("text/html; charset=utf-8"),
                                      .body = BODY_BYTES,
                                      .bytes = str_z(page),
                                      .release = release};
}

static bool inject(void)
{
    return inject_response(&response, &fields, &request, &mark);
}

static void assert_page(const char *page)
{
    assert_int_equal(response.body, BODY_BYTES);
    assert_int_equal(response.bytes.n, strlen(page));
    assert_memory_equal(response.bytes.p, page, strlen(page));
    response.release(response.release_arg);
}

static void a_page_becomes_another_with_a_tag_of_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *marked;
    } cases[] = {
        {"\"v\"", "\"v-live-" MARK "\""},
        {"W/\"v\"", "W/\"v-live-" MARK "\""},
        {"\"\"", "\"-live-" MARK "\""},
        {"odd", NULL},
        {"\"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answer("<body>a</body></html>");
        fields_add(&fields, STR("ETag"), str_z(cases[i].tag));
        fields_add(&fields, STR("Last-Modified"), STR("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_true(inject());
        struct str tag = fields_find(&fields, STR("ETag"));
        assert_int_equal(tag.p != NULL, cases[i].marked != NULL);
        assert_true(!cases[i].marked || str_eq(tag, str_z(cases[i].marked)));
        assert_null(fields_find(&fields, STR("Last-Modified")).p);
        assert_int_equal(released, 1);
        assert_page("<body>a" TAG "</body></html>");
    }
    char large[INJECT_ETAG + 2] = "\"";
    memset(large + 1, 'v', INJECT_ETAG - 1);
    large[INJECT_ETAG] = '"';
    answer("</body>");
    fields_add(&fields, STR("ETag"), str_z(large));
    assert_true(inject());
    assert_null(fields_find(&fields, STR("ETag")).p);
    assert_page(TAG "</body>");
}

static void a_file_becomes_a_page_in_memory(void **state)
{
    (void)state;
    char name[] = "/tmp/test_inject-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, "before<p></body>after", 21), 21);
    answer("");
    response.body = BODY_FILE;
    response.fd = fd;
    response.offset = 6;
    response.length = 10;
    assert_true(inject());
    assert_int_equal(released, 1);
    assert_page("<p>" TAG "</body>");
    answer("");
    response.body = BODY_FILE;
    response.fd = fd;
    response.length = 100; // it was cut short meanwhile
    assert_false(inject());
    assert_int_equal(released, 0);
    close(fd);
}

enum change {
    NOTHING,
    ENCODED,
    NOT_MODIFIED,
    PARTIAL,
    EMPTY,
    NO_END,
    TEXT,
    NEARLY,
    DOWNLOAD,
    POSTED
};

static void make(enum change c)
{
    answer(c == NO_END ? "<body>" : "<body></body>");
    if (c == ENCODED)
        fields_add(&fields, STR("Content-Encoding"), STR("gzip"));
    else if (c == NOT_MODIFIED || c == PARTIAL || c == EMPTY)
        response.status = c == PARTIAL ? 206 : c == EMPTY ? 204 : 304;
    else if (c == TEXT || c == NEARLY)
        fields_add(&fields, STR("Content-Type"), c == TEXT ? STR("text/plain") : STR("text/htmlx"));
    else if (c == DOWNLOAD)
        fields_add(&fields, STR("Content-Disposition"), STR("attachment; filename=a"));
    else if (c == POSTED)
        request.method = HTTP_POST;
}

static void all_others_stay_as_they_are(void **state)
{
    (void)state;
    for (enum change c = ENCODED; c <= POSTED; c++) {
        make(c);
        size_t lines = fields.lines.n, n = response.bytes.n;
        assert_false(inject());
        assert_int_equal(fields.lines.n, lines);
        assert_int_equal(response.bytes.n, n);
        assert_int_equal(released, 0);
    }
    make(NOTHING);
    assert_true(inject());
    response.release(response.release_arg);
    char *large = malloc(INJECT_PAGE_MAX + 8192);
    memset(large, 'x', INJECT_PAGE_MAX + 8192);
    memcpy(large + INJECT_PAGE_MAX + 8192 - 8, "</body>", 8);
    answer(large);
    assert_false(inject());
    assert_int_equal(released, 0);
    free(large);
}

static void head_without_a_body_has_no_length(void **state)
{
    (void)state;
    answer("");
    request.method = HTTP_HEAD;
    response.body = BODY_NONE;
    fields_add(&fields, STR("Content-Length"), STR("100"));
    fields_add(&fields, STR("ETag"), STR("\"v\""));
    assert_true(inject());
    assert_int_equal(fields.length, -1);
    assert_true(str_eq(fields_find(&fields, STR("ETag")), STR("\"v-live-" MARK "\"")));
}

static int start(void **state)
{
    (void)state;
    fields_init(&fields);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fields_fini(&fields);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_is_before_the_last_end_of_the_body),
        cmocka_unit_test(an_end_of_the_body_is_a_tag),
        cmocka_unit_test(the_place_is_found_in_linear_time),
        cmocka_unit_test(the_element_has_the_nonce_of_the_policy),
        cmocka_unit_test(a_navigation_is_what_the_browser_says),
        cmocka_unit_test(a_page_becomes_another_with_a_tag_of_its_own),
        cmocka_unit_test(a_file_becomes_a_page_in_memory),
        cmocka_unit_test(all_others_stay_as_they_are),
        cmocka_unit_test(head_without_a_body_has_no_length),
    };
    return cmocka_run_group_tests(tests, start, end);
}

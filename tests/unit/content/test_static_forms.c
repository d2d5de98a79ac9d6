// Files with coded forms, asked for again and again in one second: what is known already must give the
// answer that was worked out, and no other state of the file may be described.
#include "content/coding.h"
#include "content/gzip.h"
#include "content/static.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = FILECACHE_SMALL * 2, TEXT_MAX = 4 * LARGE };

static char top[] = "/tmp/lunette-static-forms-XXXXXX";
static struct file_root *root;
static struct forms *forms;
static struct fit_options fit = {
    .codings = {.offered = 1u << CODING_GZIP, .level = 1, .min_bytes = 100}};
static struct static_options options = {.max_age = -1, .fit = &fit};
static int64_t now = 2000000000; // long after every file was written: none was "just" changed

// size bytes of one letter and the digits, in place.
static void file(const char *path, char letter, size_t size)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    char *bytes = malloc(size + 1);
    assert_true(fd >= 0 && bytes);
    memset(bytes, letter, size);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    free(bytes);
    close(fd);
}

static int setup(void **state)
{
    static const struct filecache_options kept = {.files = 9, .bytes = 1 << 20, .descriptors = 9};
    (void)state;
    options.cache = filecache_new(&kept);
    forms = fit.forms = forms_new(1 << 20);
    now += 10;
    return options.cache && forms ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    filecache_free(options.cache);
    forms_free(forms);
    return system("rm -rf ./*");
}

struct outcome {
    unsigned status;
    char tag[80];
    char lines[512]; // without the ETag's value: "ETag: @\r\n"
    char letter;     // that the body consists of, or '?'
    size_t n;        // its bytes, decoded
};

static void take_lines(struct fields *f, struct outcome *o)
{
    struct str tag = fields_find(f, STR("ETag"));
    bool coded = str_ends(tag, STR("-gzip\""));
    snprintf(o->tag, sizeof o->tag, "%.*s", STR_ARG(tag));
    assert_true(fields_replace(f, STR("ETag"), coded ? STR("@-gzip") : STR("@")));
    assert_true(f->lines.n < sizeof o->lines);
    memcpy(o->lines, f->lines.p, f->lines.n);
    o->lines[f->lines.n] = '\0';
}

static void take_body(const struct http_response *r, bool coded, struct outcome *o)
{
    static char bytes[TEXT_MAX];
    struct buf plain;
    buf_init(&plain, TEXT_MAX);
    struct str body = r->bytes;
    if (r->body == BODY_FILE) {
        ssize_t n = pread(r->fd, bytes, (size_t)r->length, r->offset);
        body = str_of(bytes, n < 0 ? 0 : (size_t)n);
    }
    if (coded) {
        assert_int_equal(gzip_unpack(body, &plain), GZIP_WHOLE);
        body = buf_str(&plain);
    }
    o->n = body.n;
    o->letter = body.n ? body.p[0] : '?';
    for (size_t i = 0; i < body.n; i++)
        if (body.p[i] != o->letter)
            o->letter = '?';
    buf_fini(&plain);
}

static struct outcome ask_with(const char *path, const char *accepts, struct str type)
{
    struct outcome o = {0};
    struct http_field field = {STR("Accept-Encoding"), accepts ? str_z(accepts) : STR("")};
    struct http_request r = {.path = str_z(path), .fields = &field, .field_count = accepts != NULL};
    struct http_response response = {0};
    struct fields fields;
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    fields_init(&fields);
    if (type.n)
        fields_add(&fields, STR("Content-Type"), type);
    assert_int_equal(static_answer(root, &options, &r, r.path, now, &arena, &fields, &response),
                     STATIC_FOUND);
    o.status = response.status;
    take_lines(&fields, &o);
    take_body(&response, fields.has & FIELDS_ENCODING, &o);
    if (response.release)
        response.release(response.release_arg);
    fields_fini(&fields);
    arena_fini(&arena);
    return o;
}

static struct outcome ask(const char *path, const char *accepts)
{
    return ask_with(path, accepts, STR(""));
}

static void the_second_answer_is_the_first(void **state)
{
    (void)state;
    static const char *const accepts[] = {
        "gzip",
        "gzip, deflate, br, zstd",
        "identity",
        "gzip;q=0",
        "*",
        "br",
        "",
        NULL,
        "gzip,                                                                  x"}; // no note of it
    static const char *const paths[] = {"/small.txt", "/large.txt", "/ready.txt", "/tiny.txt",
                                        "/image.png"};
    file("small.txt", 's', 3000);
    file("large.txt", 's', LARGE);
    file("tiny.txt", 's', 10);
    file("image.png", 's', 5000);
    file("ready.txt", 's', LARGE);
    assert_int_equal(system("gzip -k ready.txt"), 0);
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
            struct outcome first = ask(paths[p], accepts[i]);
            for (int again = 0; again < 3; again++) {
                struct outcome next = ask(paths[p], accepts[i]);
                assert_string_equal(next.lines, first.lines);
                assert_int_equal(next.n, first.n);
                assert_int_equal(next.letter, 's');
            }
        }
    }
}

static void what_is_known_is_right(void **state)
{
    (void)state;
    static const char coded[] = "Content-Type: text/plain; charset=utf-8\r\nETag: @-gzip\r\n";
    file("large.txt", 'l', LARGE);
    for (int i = 0; i < 3; i++) {
        struct outcome o = ask("/large.txt", "gzip");
        assert_non_null(strstr(o.lines, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"));
        assert_memory_equal(o.lines, coded, strlen(coded));
        assert_int_equal(o.n, LARGE);
        o = ask("/large.txt", NULL);
        assert_null(strstr(o.lines, "Content-Encoding"));
        assert_non_null(strstr(o.lines, "Vary: Accept-Encoding\r\n"));
        assert_non_null(strstr(o.lines, "ETag: @\r\n"));
        assert_int_equal(o.n, LARGE);
    }
}

// The coded form is of the state that its tag names. Who gets the file itself gets it as it is now.
static void a_change_within_the_second(void **state)
{
    (void)state;
    file("large.txt", 'o', LARGE);
    assert_int_equal(ask("/large.txt", "gzip").letter, 'o');
    assert_int_equal(ask("/large.txt", "gzip").letter, 'o');
    usleep(20 * 1000); // past a tick of the file system's clock
    file("large.txt", 'n', LARGE + 5);
    struct outcome o = ask("/large.txt", "gzip");
    assert_int_equal(o.letter, 'o'); // believed, and of one state
    assert_int_equal(o.n, LARGE);
    o = ask("/large.txt", NULL);
    assert_int_equal(o.letter, 'n');
    assert_int_equal(o.n, LARGE + 5);
    o = ask("/large.txt", "gzip"); // looked at by now
    assert_int_equal(o.letter, 'n');
    assert_int_equal(o.n, LARGE + 5);
    usleep(20 * 1000);
    file("large.txt", 'x', LARGE + 7);
    now++;
    assert_int_equal(ask("/large.txt", "gzip").letter, 'x');
}

static void write_with_form(int size)
{
    char command[100];
    usleep(20 * 1000); // past a tick of the file system's clock
    snprintf(command, sizeof command,
             "head -c %d /dev/urandom | tee ready.txt | gzip >ready.txt.gz", size);
    assert_int_equal(system(command), 0);
}

// Both are written in place within a second: no answer has the tag of one state and the form of another.
static void a_form_that_is_written_with_its_file(void **state)
{
    (void)state;
    for (int next_second = 0; next_second <= 1;
         next_second++) { // in which the form was not looked at
        write_with_form(LARGE);
        struct outcome before = ask("/ready.txt", "gzip");
        assert_int_equal(before.n, LARGE);
        now += next_second;
        assert_int_equal(ask("/ready.txt", NULL).n, LARGE);
        write_with_form(LARGE + 1);
        for (int again = 0; again < 3; again++) {
            struct outcome o = ask("/ready.txt", "gzip");
            assert_int_equal(o.n, strcmp(o.tag, before.tag) == 0 ? LARGE : LARGE + 1);
        }
        now++;
    }
}

static void what_a_handler_says_of_the_type_counts(void **state)
{
    (void)state;
    file("large.txt", 'l', LARGE);
    assert_non_null(strstr(ask("/large.txt", "gzip").lines, "Content-Encoding"));
    for (int i = 0; i < 2; i++) {
        struct outcome o = ask_with("/large.txt", "gzip", STR("image/png"));
        assert_null(strstr(o.lines, "Content-Encoding"));
        assert_non_null(strstr(ask("/large.txt", "gzip").lines, "Content-Encoding"));
    }
}

static void a_form_that_is_gone_is_not_missed(void **state)
{
    (void)state;
    file("ready.txt", 'r', LARGE);
    assert_int_equal(system("gzip -k ready.txt"), 0);
    assert_int_equal(ask("/ready.txt", "gzip").letter, 'r');
    assert_int_equal(ask("/ready.txt", "gzip").letter, 'r');
    assert_int_equal(unlink("ready.txt.gz"), 0);
    for (int i = 0; i < 3; i++, now++) {
        struct outcome o = ask("/ready.txt", "gzip");
        assert_int_equal(o.letter, 'r');
        assert_int_equal(o.n, LARGE);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_second_answer_is_the_first),
        TEST(what_is_known_is_right),
        TEST(a_change_within_the_second),
        TEST(a_form_that_is_written_with_its_file),
        TEST(what_a_handler_says_of_the_type_counts),
        TEST(a_form_that_is_gone_is_not_missed),
    };
    if (!mkdtemp(top) || chdir(top) != 0 || file_root_open(top, &root) != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    file_root_close(root);
    coding_fini();
    if (chdir("/") != 0 || rmdir(top) != 0)
        return 1;
    return failed;
}

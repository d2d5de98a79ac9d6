// Files as responses: a table of requests, and the status, fields and body that each must get, from
// the disk as from the cache.
#include "content/static.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW = 1000000000, WRITTEN = 784111777, LARGE = STATIC_SMALL + 1 };
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT" // WRITTEN

static char top[] = "/tmp/lunette-static-XXXXXX";
static struct file_root *root;
static const char *const index_names[] = {"index.html", "index.txt", NULL};
static const struct fit_options fit; // no codings: those are tested in test_fit
static struct static_options options = {.max_age = 10, .index = index_names, .fit = &fit};

static struct arena arena;
static struct fields fields;
static struct http_response response;

static void file(const char *path, size_t size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(write(fd, &"0123456789"[i % 10], 1), 1);
    struct timespec times[2] = {{WRITTEN, 0}, {WRITTEN, 123456789}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static int make_tree(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    assert_int_equal(chdir(top), 0);
    file("ten.txt", 10);
    file("empty.txt", 0);
    file("small.txt", STATIC_SMALL);
    file("large.txt", LARGE);
    file("locked.txt", 5);
    assert_int_equal(chmod("locked.txt", 0) | chmod(".", 0755), 0);
    assert_int_equal(mkdir("one", 0755) | mkdir("two", 0755) | mkdir("none", 0755), 0);
    assert_int_equal(mkdir("none/index.html", 0755) | mkdir("a b\\\xc3\xa9?", 0755), 0);
    file("one/index.html", 3);
    file("one/index.txt", 4);
    file("two/index.txt", 5);
    assert_int_equal(mkdir("three", 0755) | mkdir("three/index.html", 0755), 0);
    file("three/index.txt", 6);
    return file_root_open(top, &root);
}

static int remove_tree(void **state)
{
    (void)state;
    char command[64];
    file_root_close(root);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void give_up(void)
{
    if (response.release)
        response.release(response.release_arg);
    response = (struct http_response){0};
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 * 1024);
    fields_init(&fields);
    return 0;
}

// The same, with a cache in which everything that was asked for once is.
static int setup_cache(void **state)
{
    static const struct filecache_options kept = {.files = 9, .bytes = 1 << 20, .descriptors = 9};
    options.cache = filecache_new(&kept);
    return options.cache ? setup(state) : -1;
}

static int teardown(void **state)
{
    (void)state;
    give_up();
    filecache_free(options.cache);
    options.cache = NULL;
    fields_fini(&fields);
    arena_fini(&arena);
    return 0;
}

// The tag that the file at path must have.
static void etag_of(const char *path, char tag[static 64])
{
    struct stat st;
    assert_int_equal(stat(path + 1, &st), 0);
    uint64_t ns = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    snprintf(tag, 64, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)st.st_ino,
             (uint64_t)st.st_size, ns);
}

// text with each '@' replaced by the tag of the file at path; in static memory.
static char *with_tag(const char *text, const char *path)
{
    static char out[1024];
    char tag[64];
    size_t n = 0;
    out[0] = '\0';
    for (; *text; text++) {
        if (*text == '@') {
            etag_of(path, tag);
            n += (size_t)snprintf(out + n, sizeof out - n, "%s", tag);
        } else {
            n += (size_t)snprintf(out + n, sizeof out - n, "%c", *text);
        }
    }
    return out;
}

static enum static_result ask(enum http_method method, const char *path,
                              const struct http_field *sent, unsigned n)
{
    struct http_request r = {.method = method, .fields = sent, .field_count = n};
    give_up();
    r.path = r.raw_path = str_z(path);
    fields_clear(&fields);
    arena_reset(&arena);
    return static_answer(root, &options, &r, r.path, NOW, &arena, &fields, &response);
}

static void expect_fields(const char *want)
{
    assert_int_equal(buf_addc(&fields.lines, '\0'), true);
    assert_string_equal(fields.lines.p, want);
    fields.lines.n--;
}

// The bytes that would be sent are those from offset on of "01234567890123…".
static void expect_content(int64_t offset, int64_t length)
{
    char *bytes = malloc((size_t)length + 1);
    int64_t n = response.body == BODY_BYTES
                    ? (int64_t)response.bytes.n
                    : pread(response.fd, bytes, (size_t)response.length, response.offset);
    if (response.body == BODY_BYTES && n == length && n > 0)
        memcpy(bytes, response.bytes.p, (size_t)n);
    assert_int_equal(n, length);
    for (int64_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], '0' + (offset + i) % 10);
    free(bytes);
}

#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
#define CACHE "Cache-Control: max-age=10\r\nExpires: Sun, 09 Sep 2001 01:46:50 GMT\r\n"
#define VALIDATORS "ETag: @\r\nLast-Modified: " DATE "\r\nAccept-Ranges: bytes\r\n" CACHE
#define WHOLE TEXT VALIDATORS
#define PART(range) TEXT VALIDATORS "Content-Range: bytes " range "\r\n"
#define NOT_MODIFIED "ETag: @\r\n" CACHE
#define F(name, value) \
    {                  \
        STR(name),     \
        {              \
            value, 0   \
        }              \
    } // '@' is expanded, so the length comes later

static const struct {
    enum http_method method;
    const char *path;
    struct http_field sent[2];
    unsigned status;
    const char *fields;
    enum http_body_kind body;
    int64_t offset, length;
} requests[] = {
    {HTTP_GET, "/ten.txt", {}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_HEAD, "/ten.txt", {}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_GET, "/empty.txt", {}, 200, WHOLE, BODY_BYTES, 0, 0},
    {HTTP_GET, "/small.txt", {}, 200, WHOLE, BODY_BYTES, 0, STATIC_SMALL},
    {HTTP_GET, "/large.txt", {}, 200, WHOLE, BODY_FILE, 0, LARGE},
    {HTTP_HEAD, "/large.txt", {}, 200, WHOLE, BODY_FILE, 0, LARGE},
    // conditions
    {HTTP_GET, "/ten.txt", {F("If-None-Match", "@")}, 304, NOT_MODIFIED, BODY_NONE, 0, 0},
    {HTTP_HEAD, "/large.txt", {F("If-None-Match", "@")}, 304, NOT_MODIFIED, BODY_NONE, 0, 0},
    {HTTP_GET, "/ten.txt", {F("If-None-Match", "*")}, 304, NOT_MODIFIED, BODY_NONE, 0, 0},
    {HTTP_GET, "/ten.txt", {F("If-None-Match", "\"a\", @")}, 304, NOT_MODIFIED, BODY_NONE, 0, 0},
    {HTTP_GET,
     "/ten.txt",
     {F("If-None-Match", "\"a\""), F("if-none-match", "@")},
     304,
     NOT_MODIFIED,
     BODY_NONE,
     0,
     0},
    {HTTP_GET, "/ten.txt", {F("If-None-Match", "\"a\"")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_GET, "/ten.txt", {F("If-Modified-Since", DATE)}, 304, NOT_MODIFIED, BODY_NONE, 0, 0},
    {HTTP_GET,
     "/ten.txt",
     {F("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")},
     200,
     WHOLE,
     BODY_BYTES,
     0,
     10},
    {HTTP_GET,
     "/ten.txt",
     {F("If-Modified-Since", DATE), F("If-None-Match", "\"a\"")},
     200,
     WHOLE,
     BODY_BYTES,
     0,
     10},
    {HTTP_GET, "/ten.txt", {F("If-Match", "@")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_GET, "/ten.txt", {F("If-Match", "\"a\"")}, 412, "", BODY_NONE, 0, 0},
    {HTTP_GET,
     "/large.txt",
     {F("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")},
     412,
     "",
     BODY_NONE,
     0,
     0},
    {HTTP_GET, "/ten.txt", {F("If-Unmodified-Since", DATE)}, 200, WHOLE, BODY_BYTES, 0, 10},
    // ranges
    {HTTP_GET, "/ten.txt", {F("Range", "bytes=2-4")}, 206, PART("2-4/10"), BODY_BYTES, 2, 3},
    {HTTP_GET, "/ten.txt", {F("Range", "bytes=7-")}, 206, PART("7-9/10"), BODY_BYTES, 7, 3},
    {HTTP_GET, "/ten.txt", {F("Range", "bytes=-1")}, 206, PART("9-9/10"), BODY_BYTES, 9, 1},
    {HTTP_GET, "/ten.txt", {F("Range", "bytes=0-99")}, 206, PART("0-9/10"), BODY_BYTES, 0, 10},
    {HTTP_GET,
     "/large.txt",
     {F("Range", "bytes=1-")},
     206,
     PART("1-32768/32769"),
     BODY_BYTES,
     1,
     STATIC_SMALL},
    {HTTP_GET,
     "/large.txt",
     {F("Range", "bytes=0-")},
     206,
     PART("0-32768/32769"),
     BODY_FILE,
     0,
     LARGE},
    {HTTP_GET,
     "/ten.txt",
     {F("Range", "bytes=10-")},
     416,
     "Content-Range: bytes */10\r\n",
     BODY_NONE,
     0,
     0},
    {HTTP_GET,
     "/empty.txt",
     {F("Range", "bytes=0-")},
     416,
     "Content-Range: bytes */0\r\n",
     BODY_NONE,
     0,
     0},
    {HTTP_GET, "/ten.txt", {F("Range", "lines=1-2")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_HEAD, "/ten.txt", {F("Range", "bytes=2-4")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_HEAD, "/ten.txt", {F("Range", "bytes=10-")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_HEAD, "/large.txt", {F("Range", "bytes=2-4")}, 200, WHOLE, BODY_FILE, 0, LARGE},
    {HTTP_GET, "/large.txt", {F("rAnGe", "bytes=2-4")}, 206, PART("2-4/32769"), BODY_BYTES, 2, 3},
    // fields that look like conditions
    {HTTP_GET, "/ten.txt", {F("If", "x"), F("Ix-Match", "\"a\"")}, 200, WHOLE, BODY_BYTES, 0, 10},
    {HTTP_GET,
     "/ten.txt",
     {F("Ranges", "bytes=2-4"), F("Angle", "")},
     200,
     WHOLE,
     BODY_BYTES,
     0,
     10},
    {HTTP_GET,
     "/ten.txt",
     {F("Range", "bytes=2-4"), F("If-Range", "@")},
     206,
     PART("2-4/10"),
     BODY_BYTES,
     2,
     3},
    {HTTP_GET,
     "/ten.txt",
     {F("Range", "bytes=2-4"), F("If-Range", "\"a\"")},
     200,
     WHOLE,
     BODY_BYTES,
     0,
     10},
    {HTTP_GET,
     "/ten.txt",
     {F("Range", "bytes=2-4"), F("If-None-Match", "@")},
     304,
     NOT_MODIFIED,
     BODY_NONE,
     0,
     0},
};

static void table_of_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct http_field sent[2];
        char *copies[2] = {NULL, NULL};
        unsigned n = 0;
        for (; n < 2 && requests[i].sent[n].name.n; n++) {
            copies[n] = strdup(with_tag(requests[i].sent[n].value.p, requests[i].path));
            sent[n] = (struct http_field){requests[i].sent[n].name, str_z(copies[n])};
        }
        enum static_result result = ask(requests[i].method, requests[i].path, sent, n);
        result = ask(requests[i].method, requests[i].path, sent, n); // from the cache, if any
        if (result != STATIC_FOUND || response.status != requests[i].status)
            fail_msg("request %zu: result %d, status %u", i, result, response.status);
        assert_ptr_equal(response.fields, &fields);
        expect_fields(with_tag(requests[i].fields, requests[i].path));
        assert_int_equal(response.body, requests[i].body);
        if (response.body != BODY_NONE)
            expect_content(requests[i].offset, requests[i].length);
        give_up();
        free(copies[0]);
        free(copies[1]);
    }
}

// No request of the table may cost a descriptor.
static void nothing_stays_open(void **state)
{
    int before = dup(0);
    close(before);
    table_of_requests(state);
    give_up();
    filecache_free(options.cache);
    options.cache = NULL;
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

static void folders(void **state)
{
    (void)state;
    assert_int_equal(ask(HTTP_GET, "/one/", NULL, 0), STATIC_FOUND);
    assert_int_equal(response.bytes.n, 3); // index.html comes first
    assert_non_null(memmem(fields.lines.p, fields.lines.n, "text/html", 9));
    assert_int_equal(ask(HTTP_GET, "/two/", NULL, 0), STATIC_FOUND);
    assert_int_equal(response.bytes.n, 5);
    assert_int_equal(ask(HTTP_GET, "/three/", NULL, 0), STATIC_FOUND);
    assert_int_equal(response.bytes.n, 6); // its index.html is a folder
    assert_int_equal(ask(HTTP_GET, "/none/", NULL, 0), STATIC_MISSING);
    assert_int_equal(ask(HTTP_GET, "/", NULL, 0), STATIC_MISSING);
    assert_int_equal(ask(HTTP_GET, "/ten.txt/", NULL, 0), STATIC_MISSING);
    assert_int_equal(fields.lines.n, 0);
}

static void missing(void **state)
{
    (void)state;
    static char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    static const char *const paths[] = {"/no", "/no/", "/one/no", "/.x", "/../x", "", longer};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(ask(HTTP_GET, paths[i], NULL, 0), STATIC_MISSING);
    struct http_request r = {.path = STR("/one/index.html"), .encoded_slash = true};
    assert_int_equal(static_answer(root, &options, &r, r.path, NOW, &arena, &fields, &response),
                     STATIC_MISSING);
}

static void missing_slash(void **state)
{
    (void)state;
    static const struct {
        struct str path, request_path, query;
        const char *location;
    } cases[] = {
        {STR("/one"), STR("/one"), STR(""), "/one/"},
        {STR("/one"), STR("/files/one"), STR("a=1&b=%20"), "/files/one/?a=1&b=%20"},
        {STR("/a b\\\xc3\xa9?"), STR("/a b\\\xc3\xa9?"), STR(""), "/a%20b%5C%C3%A9%3F/"},
        {STR("/one"), STR("//evil.example/one"), STR(""), "/evil.example/one/"},
        {STR("/one"), STR("/\\evil.example"), STR(""), "/%5Cevil.example/"},
        {STR("/one"), STR("/100%\r\n"), STR("x\r\ny z#\x7f\xff"),
         "/100%25%0D%0A/?x%0D%0Ay%20z%23%7F%FF"},
        {STR("/one"), STR("/-._~!$&'()*+,;=:@aZ9"), STR("/?[]"), "/-._~!$&'()*+,;=:@aZ9/?/?[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request r = {.path = cases[i].request_path, .query = cases[i].query};
        fields_clear(&fields);
        assert_int_equal(
            static_answer(root, &options, &r, cases[i].path, NOW, &arena, &fields, &response),
            STATIC_REDIRECT);
        assert_int_equal(response.status, 308);
        assert_int_equal(response.body, BODY_NONE);
        assert_null(response.release);
        char want[256];
        snprintf(want, sizeof want,
                 "Location: %s\r\n"
                 "Cache-Control: max-age=10\r\n",
                 cases[i].location);
        expect_fields(want);
    }
}

// The path that was asked for ends with a slash, the one looked up does not.
static void no_redirect_to_itself(void **state)
{
    (void)state;
    struct http_request r = {.path = STR("/app/")};
    assert_int_equal(
        static_answer(root, &options, &r, STR("/one"), NOW, &arena, &fields, &response),
        STATIC_MISSING);
}

static void dates(void **state)
{
    (void)state;
    static const struct {
        int64_t written;
        const char *line; // NULL: no Last-Modified
    } cases[] = {
        {NOW, "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n"},
        {NOW + 1000, "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n"}, // never in the future
        {NOW - 1, "Last-Modified: Sun, 09 Sep 2001 01:46:39 GMT\r\n"},
        {0, "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
        {-1, NULL},
    };
    file("dated.txt", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timespec times[2] = {{0, 0}, {cases[i].written, 0}};
        assert_int_equal(utimensat(AT_FDCWD, "dated.txt", times, 0), 0);
        assert_int_equal(ask(HTTP_GET, "/dated.txt", NULL, 0), STATIC_FOUND);
        const char *line = cases[i].line ? cases[i].line : "Last-Modified";
        void *hit = memmem(fields.lines.p, fields.lines.n, line, strlen(line));
        assert_int_equal(hit != NULL, cases[i].line != NULL);
    }
}

static void what_the_caller_chose(void **state)
{
    (void)state;
    struct static_options bare = {.max_age = -1, .cache = options.cache};
    assert_int_equal(ask(HTTP_GET, "/ten.txt", NULL, 0), STATIC_FOUND); // with other options
    give_up();
    fields_clear(&fields);
    struct http_request r = {.path = STR("/ten.txt")};
    fields_add(&fields, STR("Content-Type"), STR("text/x-mine"));
    assert_int_equal(static_answer(root, &bare, &r, r.path, NOW, &arena, &fields, &response),
                     STATIC_FOUND);
    expect_fields(with_tag("Content-Type: text/x-mine\r\nETag: @\r\nLast-Modified: " DATE
                           "\r\nAccept-Ranges: bytes\r\n",
                           "/ten.txt"));
    r.path = STR("/one/");
    assert_int_equal(static_answer(root, &bare, &r, r.path, NOW, &arena, &fields, &response),
                     STATIC_MISSING); // no index names
}

// The bytes and the descriptor of a response stay its own, whatever becomes of the file meanwhile.
static void a_response_keeps_its_file(void **state)
{
    (void)state;
    static const size_t sizes[] = {STATIC_SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        file("kept.txt", sizes[i]);
        assert_int_equal(ask(HTTP_GET, "/kept.txt", NULL, 0), STATIC_FOUND);
        struct http_response first = response;
        response = (struct http_response){0};
        file("new.txt", 3);
        assert_int_equal(rename("new.txt", "kept.txt"), 0);
        struct http_request r = {.path = STR("/kept.txt")};
        fields_clear(&fields);
        assert_int_equal(
            static_answer(root, &options, &r, r.path, NOW + 1, &arena, &fields, &response),
            STATIC_FOUND);
        assert_int_equal(response.bytes.n, 3);
        give_up();
        response = first;
        expect_content(0, (int64_t)sizes[i]);
        give_up();
    }
}

static void no_right_to_read(void **state)
{
    (void)state;
    bool is_root = geteuid() == 0; // who may read everything
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    enum static_result result = ask(HTTP_GET, "/locked.txt", NULL, 0);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(result, STATIC_FORBIDDEN);
}

// Busy leaves the caller's fields as they were, and no descriptor open.
static void expect_busy(const char *path)
{
    static const struct static_options o = {.max_age = 10, .index = index_names};
    static const struct http_field range = {STR("Range"), STR("bytes=1-20")};
    int before = dup(0);
    close(before);
    struct http_request r = {.path = str_z(path), .fields = &range, .field_count = 1};
    size_t lines = fields.lines.n;
    assert_int_equal(static_answer(root, &o, &r, r.path, NOW, &arena, &fields, &response),
                     STATIC_BUSY);
    assert_int_equal(fields.lines.n, lines);
    assert_int_equal(fields.has, FIELDS_VARY);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

static void busy(void **state)
{
    (void)state;
    fields_add(&fields, STR("Vary"), STR("Accept"));
    arena_fini(&arena);
    arena_init(&arena, 8);
    expect_busy("/one/"); // no memory for the name of an index
    expect_busy("/one");  // nor for a Location
    arena_fini(&arena);
    arena_init(&arena, 64 * 1024);

    struct rlimit normal, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    none = (struct rlimit){3, normal.rlim_max}; // the standard ones are open already
    struct http_request r = {.path = STR("/ten.txt")};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum static_result result =
        static_answer(root, &options, &r, r.path, NOW, &arena, &fields, &response);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
    assert_int_equal(result, STATIC_BUSY);

    char *big = malloc(FIELDS_MAX);
    memset(big, 'v', FIELDS_MAX);
    // Room for some of the fields, not for all of them.
    fields_add(&fields, STR("X"), str_of(big, FIELDS_MAX - fields.lines.n - 5 - 100));
    expect_busy("/ten.txt");
    expect_busy("/large.txt");
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FROM_CACHE(name) {#name " (cached)", name, setup_cache, teardown, NULL}
        TEST(table_of_requests),
        FROM_CACHE(table_of_requests),
        TEST(nothing_stays_open),
        FROM_CACHE(nothing_stays_open),
        TEST(folders),
        FROM_CACHE(folders),
        TEST(missing),
        FROM_CACHE(missing),
        TEST(missing_slash),
        FROM_CACHE(missing_slash),
        TEST(no_redirect_to_itself),
        TEST(dates),
        TEST(what_the_caller_chose),
        FROM_CACHE(what_the_caller_chose),
        TEST(a_response_keeps_its_file),
        FROM_CACHE(a_response_keeps_its_file),
        TEST(no_right_to_read),
        TEST(busy),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}

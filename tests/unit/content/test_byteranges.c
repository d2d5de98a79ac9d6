// Several ranges as one body, taken apart again.
#include "content/byteranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 200 * 1000 };
static char text[SIZE];
static unsigned released;

static void count(void *arg)
{
    assert_ptr_equal(arg, text);
    released++;
}

static int a_file(size_t n)
{
    char name[] = "/tmp/test_byteranges.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, "12345", 5), 5); // the representation begins behind this
    assert_int_equal(write(fd, text, n), n);
    return fd;
}

static struct byteranges_from from(int fd)
{
    return (struct byteranges_from){.fd = fd,
                                    .at = 5,
                                    .bytes = str_of(text, fd < 0 ? SIZE : 0),
                                    .size = SIZE,
                                    .release = count,
                                    .arg = text};
}

// All of it, malloc'ed; NULL when it failed.
static char *pulled(struct body_source *s, size_t *n)
{
    char *all = malloc(4 * SIZE);
    struct str piece;
    enum body_pull how;
    *n = 0;
    while ((how = s->ops->pull(s, &piece)) == BODY_SOME) {
        assert_true(piece.n <= BYTERANGES_BLOCK || piece.p >= text);
        memcpy(all + *n, piece.p, piece.n);
        *n += piece.n;
    }
    if (how == BODY_END)
        return all;
    assert_int_equal(how, BODY_FAILED);
    free(all);
    return NULL;
}

static void expect(const char **at, const char *end, const char *what)
{
    size_t n = strlen(what);
    assert_true((size_t)(end - *at) >= n);
    assert_memory_equal(*at, what, n);
    *at += n;
}

static void ranges_come_as_they_were_asked_for(void **unused)
{
    static const struct {
        unsigned n;
        struct byte_range ranges[4];
    } cases[] = {
        {2, {{0, 0}, {SIZE - 1, SIZE - 1}}},
        {3, {{100, 199}, {0, 99}, {50, 149}}},
        {4, {{0, 0}, {0, 0}, {1, 1}, {0, SIZE - 1}}},
        {2, {{7, 7 + BYTERANGES_BLOCK - 1}, {9, 9 + BYTERANGES_BLOCK}}},
    };
    (void)unused;
    int fd = a_file(SIZE);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        char type[BYTERANGES_TYPE], line[200];
        int64_t length;
        size_t n;
        bool typed = i % 3;
        struct byteranges_from f = from(i % 2 ? fd : -1);
        struct body_source *s = byteranges_new(&f, cases[i / 2].ranges, cases[i / 2].n,
                                               typed ? STR("text/plain") : STR(""), type, &length);
        char *all = pulled(s, &n);
        assert_int_equal((int64_t)n, length);
        assert_memory_equal(type, "multipart/byteranges; boundary=", 31);
        const char *boundary = type + 31, *at = all, *end = all + n;
        for (unsigned k = 0; k < cases[i / 2].n; k++) {
            const struct byte_range *r = &cases[i / 2].ranges[k];
            snprintf(line, sizeof line, "%s--%s\r\n%sContent-Range: bytes %llu-%llu/%d\r\n\r\n",
                     k ? "\r\n" : "", boundary, typed ? "Content-Type: text/plain\r\n" : "",
                     (unsigned long long)r->first, (unsigned long long)r->last, SIZE);
            expect(&at, end, line);
            assert_memory_equal(at, text + r->first, r->last - r->first + 1);
            at += r->last - r->first + 1;
        }
        snprintf(line, sizeof line, "\r\n--%s--\r\n", boundary);
        expect(&at, end, line);
        assert_ptr_equal(at, end);
        released = 0;
        s->ops->close(s);
        assert_int_equal(released, 1);
        free(all);
    }
    close(fd);
}

static void it_may_be_closed_at_any_time(void **unused)
{
    static const struct byte_range ranges[] = {{0, SIZE - 1}, {1, 2}};
    (void)unused;
    int fd = a_file(SIZE);
    for (unsigned pulls = 0; pulls < 9; pulls++) {
        char type[BYTERANGES_TYPE];
        int64_t length;
        struct str piece;
        struct byteranges_from f = from(pulls % 2 ? fd : -1);
        struct body_source *s = byteranges_new(&f, ranges, 2, STR(""), type, &length);
        for (unsigned i = 0; i < pulls; i++)
            s->ops->pull(s, &piece);
        released = 0;
        s->ops->close(s);
        assert_int_equal(released, 1);
    }
    close(fd);
}

static void a_file_that_became_shorter_fails(void **unused)
{
    static const struct byte_range ranges[] = {{0, 9}, {SIZE - 10, SIZE - 1}};
    char type[BYTERANGES_TYPE];
    int64_t length;
    size_t n;
    (void)unused;
    int fd = a_file(1000);
    struct byteranges_from f = from(fd);
    struct body_source *s = byteranges_new(&f, ranges, 2, STR(""), type, &length);
    assert_null(pulled(s, &n));
    released = 0;
    s->ops->close(s);
    assert_int_equal(released, 1);
    close(fd);
}

struct part {
    struct str type; // p NULL: none
    unsigned long long first, last, size;
    struct str data;
};

// The line at *at, without its CRLF.
static struct str line(const char **at, const char *end)
{
    const char *crlf = memmem(*at, (size_t)(end - *at), "\r\n", 2);
    assert_non_null(crlf);
    struct str l = str_of(*at, (size_t)(crlf - *at));
    *at = crlf + 2;
    return l;
}

// A reader that knows nothing of what was asked for: it finds each part's end by the delimiter.
static unsigned take_apart(struct str all, const char *boundary, struct part out[static RANGES_MAX])
{
    char delimiter[BYTERANGES_TYPE + 4];
    int d = snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
    const char *at = all.p, *end = all.p + all.n;
    unsigned n = 0;
    expect(&at, end, delimiter + 2); // the first stands at the very beginning
    while (line(&at, end).n == 0) {
        struct part *p = &out[n];
        assert_true(n++ < RANGES_MAX);
        *p = (struct part){.type = {NULL, 0}};
        for (struct str l; (l = line(&at, end)).n > 0;) {
            char text_of_line[200];
            snprintf(text_of_line, sizeof text_of_line, "%.*s", STR_ARG(l));
            if (strncmp(text_of_line, "Content-Type: ", 14) == 0)
                p->type = str_of(l.p + 14, l.n - 14);
            else
                assert_int_equal(sscanf(text_of_line, "Content-Range: bytes %llu-%llu/%llu",
                                        &p->first, &p->last, &p->size),
                                 3);
        }
        const char *next = memmem(at, (size_t)(end - at), delimiter, (size_t)d);
        assert_non_null(next);
        p->data = str_of(at, (size_t)(next - at));
        at = next + d;
    }
    assert_ptr_equal(at, end); // the line that ended it was "--", the last one
    return n;
}

static void check_parts(const struct byteranges_from *f, const struct byte_range *ranges,
                        unsigned n, struct str content_type)
{
    char type[BYTERANGES_TYPE];
    struct part parts[RANGES_MAX];
    int64_t length;
    size_t size;
    struct body_source *s = byteranges_new(f, ranges, n, content_type, type, &length);
    assert_non_null(s);
    char *all = pulled(s, &size);
    assert_int_equal((int64_t)size, length);
    assert_int_equal(take_apart(str_of(all, size), strchr(type, '=') + 1, parts), n);
    for (unsigned i = 0; i < n; i++) {
        assert_true(parts[i].first == ranges[i].first && parts[i].last == ranges[i].last);
        assert_int_equal(parts[i].size, f->size);
        assert_int_equal(parts[i].data.n, ranges[i].last - ranges[i].first + 1);
        assert_memory_equal(parts[i].data.p, text + ranges[i].first, parts[i].data.n);
        assert_int_equal(parts[i].type.p != NULL, content_type.n > 0);
        assert_true(!content_type.n || str_eq(parts[i].type, content_type));
    }
    released = 0;
    s->ops->close(s);
    assert_int_equal(released, 1);
    free(all);
}

static void any_ranges_of_any_size_come_back(void **unused)
{
    static const uint64_t sizes[] = {1,
                                     2,
                                     1000,
                                     BYTERANGES_BLOCK - 1,
                                     BYTERANGES_BLOCK,
                                     BYTERANGES_BLOCK + 1,
                                     2 * BYTERANGES_BLOCK,
                                     SIZE};
    (void)unused;
    int fd = a_file(SIZE);
    srand(1);
    for (unsigned i = 0; i < 8 * sizeof sizes / sizeof sizes[0]; i++) {
        struct byte_range ranges[RANGES_MAX];
        struct byteranges_from f = from(i % 2 ? fd : -1);
        unsigned n = i < 16 ? RANGES_MAX : (unsigned)rand() % RANGES_MAX + 1;
        uint64_t longest = n > 3 ? SIZE / 8 : SIZE; // what pulled() has room for
        f.size = sizes[i / 2 % (sizeof sizes / sizeof sizes[0])];
        for (unsigned k = 0; k < n; k++) {
            uint64_t first = (uint64_t)rand() % f.size, left = f.size - first;
            uint64_t most = left < longest ? left : longest;
            ranges[k] = (struct byte_range){first, first + (uint64_t)rand() % most};
        }
        ranges[0] = (struct byte_range){f.size - 1, f.size - 1};
        check_parts(&f, ranges, n, i % 3 ? STR("text/plain; charset=utf-8") : STR(""));
    }
    close(fd);
}

static void each_body_has_a_boundary_of_its_own(void **unused)
{
    static const struct byte_range ranges[] = {{0, 0}, {2, 2}};
    char types[100][BYTERANGES_TYPE];
    int64_t length;
    (void)unused;
    for (unsigned i = 0; i < 100; i++) {
        struct byteranges_from f = from(-1);
        struct body_source *s = byteranges_new(&f, ranges, 2, STR(""), types[i], &length);
        s->ops->close(s);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(types[i], types[k]);
    }
}

static void heads_that_are_too_long_leave_all_with_the_caller(void **unused)
{
    static const struct byte_range ranges[RANGES_MAX] = {{0, 0}};
    static char long_type[BYTERANGES_HEADS / RANGES_MAX];
    char type[BYTERANGES_TYPE];
    int64_t length;
    (void)unused;
    memset(long_type, 'a', sizeof long_type);
    struct byteranges_from f = from(-1);
    released = 0;
    assert_null(
        byteranges_new(&f, ranges, RANGES_MAX, str_of(long_type, sizeof long_type), type, &length));
    assert_int_equal(released, 0);
    check_parts(&f, ranges, 2, str_of(long_type, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_come_as_they_were_asked_for),
        cmocka_unit_test(it_may_be_closed_at_any_time),
        cmocka_unit_test(a_file_that_became_shorter_fails),
        cmocka_unit_test(any_ranges_of_any_size_come_back),
        cmocka_unit_test(each_body_has_a_boundary_of_its_own),
        cmocka_unit_test(heads_that_are_too_long_leave_all_with_the_caller),
    };
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i * 7 % 26);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

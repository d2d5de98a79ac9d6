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
    s->ops->close(s);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_come_as_they_were_asked_for),
        cmocka_unit_test(it_may_be_closed_at_any_time),
        cmocka_unit_test(a_file_that_became_shorter_fails),
    };
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i * 7 % 26);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Growable bytes, above all at their maximum.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    static const size_t maxima[] = {0, 1, 10, 255, 256, 257, 511, 512, 1000, 4096};
    for (size_t i = 0; i < sizeof maxima / sizeof *maxima; i++) {
        struct buf b;
        buf_init(&b, maxima[i]);
        for (size_t n = 0; n < maxima[i]; n++) {
            assert_true(buf_addc(&b, (char)n));
            assert_true(b.cap <= b.max);
        }
        assert_false(buf_addc(&b, 'x'));
        assert_false(buf_add(&b, STR("xy")));
        assert_null(buf_room(&b, 1));
        assert_null(buf_room(&b, SIZE_MAX));
        assert_true(buf_add(&b, STR("")));
        assert_int_equal(buf_str(&b).n, maxima[i]);
        for (size_t n = 0; n < maxima[i]; n++)
            assert_int_equal(buf_str(&b).p[n], (char)n);
        buf_fini(&b);
        assert_null(b.p);
        assert_int_equal(b.max, maxima[i]);
    }
}

// A text that fills the buffer to the last byte fits: the NUL of vsnprintf does not count.
static void formats_to_the_last_byte(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_true(buf_addf(&b, "%d-", 12));
    assert_false(buf_addf(&b, "%s", "12345678"));
    assert_int_equal(b.n, 3);
    assert_true(buf_addf(&b, "%s", "1234567"));
    assert_memory_equal(b.p, "12-1234567", 10);
    assert_true(buf_addf(&b, "%s", ""));
    assert_false(buf_addf(&b, "x"));
    buf_fini(&b);
}

static void room_is_the_callers_until_added(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    char *room = buf_room(&b, 700);
    memset(room, 'a', 700);
    assert_int_equal(b.n, 0);
    buf_added(&b, 5);
    assert_memory_equal(b.p, "aaaaa", 5);
    assert_int_equal(buf_str(&b).n, 5);
    buf_fini(&b);
}

static void dropping_and_clearing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_drop(&b, 0);
    buf_add(&b, STR("abcdef"));
    buf_drop(&b, 2);
    assert_true(str_eq(buf_str(&b), STR("cdef")));
    buf_drop(&b, 4);
    assert_int_equal(b.n, 0);
    buf_add(&b, STR("xyz"));
    size_t cap = b.cap;
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.cap, cap);
    buf_fini(&b);
}

// Dropping moves nothing: what is left is moved when its place is needed, and no sooner.
static void a_dropped_front_is_room_again(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 300);
    char *front = buf_room(&b, 300);
    assert_null(buf_room(&b, 301));
    memset(front, 'a', 300);
    front[299] = 'z';
    buf_added(&b, 300);
    buf_drop(&b, 298);
    assert_ptr_equal(b.p, front + 298);
    assert_true(str_eq(buf_str(&b), STR("az")));
    assert_null(buf_room(&b, 299)); // its maximum counts what is in use
    assert_true(buf_addc(&b, 'b'));
    assert_ptr_equal(b.p, front);
    assert_true(str_eq(buf_str(&b), STR("azb")));
    assert_int_equal(b.cap, 300);
    buf_drop(&b, 1);
    buf_drop(&b, 2); // the last of it: at the front again
    assert_ptr_equal(b.p, front);
    assert_int_equal(b.cap, 300);
    assert_true(buf_add(&b, STR("abc")));
    buf_drop(&b, 1);
    buf_clear(&b);
    assert_int_equal(b.cap, 300);
    assert_ptr_equal(b.p, front);
    assert_true(buf_add(&b, STR("abc")));
    buf_drop(&b, 1);
    buf_trim(&b);
    assert_true(str_eq(buf_str(&b), STR("bc")));
    assert_int_equal(b.cap, 2);
    assert_true(buf_addf(&b, "%d", 12345));
    assert_true(str_eq(buf_str(&b), STR("bc12345")));
    buf_drop(&b, 3);
    buf_fini(&b);
    buf_trim(&b);
    assert_null(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_maximum_and_no_further),
        cmocka_unit_test(formats_to_the_last_byte),
        cmocka_unit_test(room_is_the_callers_until_added),
        cmocka_unit_test(dropping_and_clearing),
        cmocka_unit_test(a_dropped_front_is_room_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

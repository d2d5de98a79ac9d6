// The arena: alignment, its bound, the order of cleanups, and what stays after a reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define IS_POISONED(p) __asan_address_is_poisoned(p)
#endif

static void memory_is_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024 * 1024);
    unsigned char *p[200];
    for (size_t i = 0; i < 200; i++) {
        p[i] = arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
        memset(p[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[i][k], i);
    arena_fini(&a);
    assert_null(a.chunk);
    assert_int_equal(a.max, 1024 * 1024);
}

static void the_bound_holds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 10000);
    assert_null(arena_alloc(&a, 10001));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_alloc(&a, 9000)); // larger than a chunk
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_dup(&a, str_of("x", 1000)).p);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 9000));
    arena_fini(&a);

    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 3)); // would wrap when rounded up
    arena_fini(&a);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    struct str s = arena_dup(&a, str_of("abcdef", 3));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.p, "abc");
    s = arena_dup(&a, (struct str){NULL, 0});
    assert_int_equal(s.n, 0);
    assert_string_equal(s.p, "");
    arena_fini(&a);
}

static char order[10];
static struct arena *again;

static void note(void *arg)
{
    strncat(order, arg, 1);
    if (again) { // a cleanup may register another
        struct arena *a = again;
        again = NULL;
        assert_true(arena_defer(a, note, "z"));
    }
}

static void cleanups_run_once_in_reverse(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    order[0] = '\0';
    assert_true(arena_defer(&a, note, "a"));
    assert_true(arena_defer(&a, note, "b"));
    arena_reset(&a);
    assert_string_equal(order, "ba");
    arena_reset(&a);
    assert_string_equal(order, "ba");
    again = &a;
    assert_true(arena_defer(&a, note, "c"));
    assert_true(arena_defer(&a, note, "d"));
    arena_fini(&a);
    assert_string_equal(order, "badzc");

    arena_init(&a, 4);
    assert_false(arena_defer(&a, note, "e"));
    arena_fini(&a);
    assert_string_equal(order, "badzc");
}

// A reset keeps one chunk of the usual size, also when the last one was made for something large.
static void reset_keeps_a_chunk(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024 * 1024);
    void *first = arena_alloc(&a, 10);
    arena_alloc(&a, 100 * 1000);
    arena_reset(&a);
    assert_non_null(a.chunk);
    assert_int_equal(a.used, 0);
    assert_ptr_equal(arena_alloc(&a, 10), first);
    arena_fini(&a);

    arena_alloc(&a, 100 * 1000); // nothing but a large one: not worth keeping
    arena_reset(&a);
    assert_null(a.chunk);
    arena_fini(&a);
}

static void what_was_not_asked_for_is_poisoned(void **state)
{
    (void)state;
#ifndef IS_POISONED
    skip();
#else
    struct arena a;
    arena_init(&a, 1000);
    char *p = arena_alloc(&a, 20);
    assert_false(IS_POISONED(p + 19));
    assert_true(IS_POISONED(p + 20));
    arena_reset(&a);
    assert_true(IS_POISONED(p));
    assert_ptr_equal(arena_alloc(&a, 1), p);
    assert_false(IS_POISONED(p));
    assert_true(IS_POISONED(p + 1));
    arena_fini(&a);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(cleanups_run_once_in_reverse),
        cmocka_unit_test(reset_keeps_a_chunk),
        cmocka_unit_test(what_was_not_asked_for_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

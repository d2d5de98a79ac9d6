// Small blocks: what is kept, for which sizes, and how much of it.
#include "script/vm_blocks.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// after the above
#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

static void test_a_block_serves_its_class_again(void **state)
{
    (void)state;
    static const struct {
        size_t gave, took;
        bool same;
    } rows[] = {
        {1, 8, true},   {8, 1, true},    {8, 9, false},    {24, 9, true},     {24, 25, false},
        {56, 41, true}, {56, 57, false}, {264, 249, true}, {265, 265, false}, {248, 264, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct blocks b = {.kept = 0};
        void *p = blocks_take(&b, rows[i].gave);
        assert_non_null(p);
        memset(p, 'x', rows[i].gave);
        uintptr_t was = (uintptr_t)p;
        blocks_give(&b, p, rows[i].gave);
        bool kept = KEEPS && rows[i].gave <= BLOCKS_LARGEST;
        assert_int_equal(b.kept > 0 && b.kept < BLOCKS_KEPT, kept);
        if (kept) {
            void *q = blocks_take(&b, rows[i].took);
            assert_non_null(q);
            assert_int_equal((uintptr_t)q == was, rows[i].same);
            memset(q, 'y', rows[i].took);
            free(q);
        }
        blocks_drain(&b);
        assert_int_equal(b.kept, 0);
    }
}

// Whole chunks: where the C library has other ones, nothing breaks, but this may be looked at again.
static void test_a_block_fills_what_the_c_library_takes_for_it(void **state)
{
    (void)state;
    for (size_t n = 9; KEEPS && n <= BLOCKS_LARGEST; n++) {
        struct blocks b = {.kept = 0};
        void *p = blocks_take(&b, n);
        assert_non_null(p);
        size_t usable = malloc_usable_size(p);
        assert_true(usable >= n);
        assert_true(usable == 24 || usable == blocks_size(blocks_class(n)));
        free(p);
    }
}

static void test_what_is_kept_has_a_bound(void **state)
{
    (void)state;
    enum { COUNT = 2 * BLOCKS_KEPT / BLOCKS_LARGEST };
    struct blocks b = {.kept = 0};
    void **p = calloc(COUNT, sizeof *p);
    assert_non_null(p);
    for (int i = 0; i < COUNT; i++)
        assert_non_null(p[i] = blocks_take(&b, BLOCKS_LARGEST));
    for (int i = 0; i < COUNT; i++)
        blocks_give(&b, p[i], BLOCKS_LARGEST);
    assert_true(b.kept <= BLOCKS_KEPT);
    blocks_drain(&b);
    free(p);
}

static void test_blocks_grow_and_shrink_with_what_they_hold(void **state)
{
    (void)state;
    static const size_t sizes[] = {5, 8, 9, 24, 25, 250, 264, 265, 5000, 265, 264, 30, 1};
    struct blocks b = {.kept = 0};
    size_t n = 5;
    char *p = blocks_take(&b, n);
    assert_non_null(p);
    memset(p, 'a', n);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        p = blocks_resize(p, n, sizes[i]);
        assert_non_null(p);
        for (size_t j = 0; j < n && j < sizes[i]; j++)
            assert_int_equal(p[j], 'a');
        n = sizes[i];
        memset(p, 'a', n);
    }
    blocks_give(&b, p, n);
    blocks_drain(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_serves_its_class_again),
        cmocka_unit_test(test_a_block_fills_what_the_c_library_takes_for_it),
        cmocka_unit_test(test_what_is_kept_has_a_bound),
        cmocka_unit_test(test_blocks_grow_and_shrink_with_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

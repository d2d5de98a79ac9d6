// The out-queue by itself: no stream, no socket. What goes out is read off its front. The module is
// compiled into this file, so that its allocations can be counted, and fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int allocations_left = -1; // -1: no end
static unsigned made;

static void *test_queue_malloc(size_t n)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    made++;
    return malloc(n);
}

#define malloc test_queue_malloc
#include "../../../src/net/stream_queue.c"
#undef malloc

#include <cmocka.h> // its macros would change the module

enum { BYTES = 5 * STREAM_BLOCK, FILE_FD = 77, FILE_AT = 1000 };

static struct stream_blocks blocks;
static struct stream_queue q;
static char bytes[BYTES], out[2 * BYTES];
static size_t out_n;
static unsigned released;

static int setup(void **state)
{
    (void)state;
    blocks = (struct stream_blocks){0};
    q = (struct stream_queue){.blocks = &blocks};
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    out_n = released = made = 0;
    allocations_left = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    allocations_left = -1;
    stream_queue_clear(&q);
    stream_blocks_free(&blocks);
    return 0;
}

static void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

static bool borrow(size_t from, size_t n, unsigned *count)
{
    return stream_queue_add(&q, &(struct stream_piece){.kind = PIECE_BORROWED,
                                                       .p = bytes + from,
                                                       .n = n,
                                                       .release = count ? count_release : NULL,
                                                       .arg = count});
}

// Of a file whose bytes from FILE_AT on would be ours.
static bool add_file(size_t from, size_t n, unsigned *count)
{
    return stream_queue_add(&q, &(struct stream_piece){.kind = PIECE_FILE,
                                                       .fd = FILE_FD,
                                                       .off = FILE_AT + (off_t)from,
                                                       .n = n,
                                                       .release = count ? count_release : NULL,
                                                       .arg = count});
}

static size_t pieces(void)
{
    size_t n = 0;
    for (const struct stream_piece *p = q.head; p; p = p->next)
        n++;
    return n;
}

// As a socket that takes n bytes would.
static void send_some(size_t n)
{
    size_t left = n;
    for (const struct stream_piece *p = q.head; p && left; p = p->next) {
        size_t part = left < p->n ? left : (size_t)p->n;
        assert_true(out_n + part <= sizeof out);
        if (p->kind == PIECE_FILE)
            assert_int_equal(p->fd, FILE_FD);
        memcpy(out + out_n, p->kind == PIECE_FILE ? bytes + (p->off - FILE_AT) : p->p, part);
        out_n += part;
        left -= part;
    }
    assert_int_equal(left, 0);
    stream_queue_take(&q, n);
}

static void assert_empty(void)
{
    assert_null(q.head);
    assert_null(q.tail);
    assert_int_equal(q.n, 0);
}

static void copied_bytes_lie_in_blocks(void **state)
{
    (void)state;
    enum { N = 3 * STREAM_BLOCK + 77 };
    assert_true(stream_queue_write(&q, str_of(bytes, 0)));
    assert_empty();
    assert_true(stream_queue_write(&q, str_of(bytes, 100)));
    assert_true(stream_queue_write(&q, str_of(bytes + 100, N - 100)));
    assert_int_equal(q.n, N);
    assert_int_equal(pieces(), 4);
    assert_int_equal(stream_queue_spare(&q), STREAM_BLOCK - 77);
    send_some(N);
    assert_memory_equal(out, bytes, N);
    assert_empty();
}

// A block that is full to its last byte is followed by another, not by an empty one before it.
static void a_block_is_filled_to_its_end(void **state)
{
    (void)state;
    assert_true(stream_queue_write(&q, str_of(bytes, STREAM_BLOCK)));
    assert_int_equal(pieces(), 1);
    assert_int_equal(stream_queue_spare(&q), 0);
    assert_true(stream_queue_write(&q, str_of(bytes + STREAM_BLOCK, 1)));
    assert_int_equal(pieces(), 2);
    send_some(STREAM_BLOCK);
    assert_int_equal(pieces(), 1);
    send_some(1);
    assert_memory_equal(out, bytes, STREAM_BLOCK + 1);
}

static char *room(size_t n)
{
    char *p = stream_queue_room(&q, n);
    assert_non_null(p);
    return p;
}

static void room_is_in_the_last_block_or_in_another(void **state)
{
    (void)state;
    char *first = room(STREAM_BLOCK);
    assert_ptr_equal(room(1), first); // nothing was written
    memcpy(first, bytes, 10);
    stream_queue_wrote(&q, 10);
    assert_ptr_equal(room(STREAM_BLOCK - 10), first + 10); // all that is left
    assert_int_equal(pieces(), 1);
    char *second = room(STREAM_BLOCK - 9); // one byte more
    assert_int_equal(pieces(), 2);
    memcpy(second, bytes + 10, 5);
    stream_queue_wrote(&q, 5);
    assert_int_equal(q.n, 15);
    send_some(15);
    assert_memory_equal(out, bytes, 15);
    assert_empty();
}

// What has gone makes no room behind it.
static void bytes_are_added_behind_those_that_are_left(void **state)
{
    (void)state;
    assert_true(stream_queue_write(&q, str_of(bytes, STREAM_BLOCK - 10)));
    send_some(STREAM_BLOCK - 20);
    assert_int_equal(stream_queue_spare(&q), 10);
    assert_true(stream_queue_write(&q, str_of(bytes + STREAM_BLOCK - 10, 30)));
    assert_int_equal(pieces(), 2);
    assert_int_equal(q.n, 40);
    send_some(40);
    assert_memory_equal(out, bytes, STREAM_BLOCK + 20);
}

static void room_that_nothing_was_written_to_is_passed_over(void **state)
{
    (void)state;
    room(100);
    assert_int_equal(q.n, 0);
    assert_true(borrow(0, 2000, &released)); // behind it
    send_some(2000);
    assert_memory_equal(out, bytes, 2000);
    assert_int_equal(released, 1);
    assert_empty();
    room(100);
    stream_queue_drop(&q); // alone
    assert_empty();
    assert_int_equal(blocks.spare_count, 1);
}

// Copied, borrowed, a file, copied, a file, borrowed: their lengths in order.
static const size_t mixed[] = {300, 5000, 700, STREAM_BLOCK + 9, 1, 40};
enum { MIXED = 300 + 5000 + 700 + STREAM_BLOCK + 9 + 1 + 40, LENT = 4 };

static void add_mixed(unsigned counts[static LENT])
{
    size_t at = 0;
    unsigned lent = 0;
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; at += mixed[i++]) {
        if (i == 0 || i == 3)
            assert_true(stream_queue_write(&q, str_of(bytes + at, mixed[i])));
        else if (i == 1 || i == 5)
            assert_true(borrow(at, mixed[i], &counts[lent++]));
        else
            assert_true(add_file(at, mixed[i], &counts[lent++]));
    }
    assert_int_equal(lent, LENT);
    assert_int_equal(q.n, MIXED);
}

// How much of the queue has gone when the last byte of each piece that was lent has.
static const size_t lent_ends[LENT] = {5300, 6000, MIXED - 40, MIXED};

static void the_kinds_go_out_in_order_in_whatever_parts(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 299, 300, 301, 4096, STREAM_BLOCK, MIXED};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        unsigned counts[LENT] = {0};
        out_n = 0;
        add_mixed(counts);
        while (q.n) {
            send_some(steps[s] < q.n ? steps[s] : (size_t)q.n);
            assert_int_equal(q.n, MIXED - out_n);
            for (int i = 0; i < LENT; i++)
                assert_int_equal(counts[i], out_n >= lent_ends[i]);
        }
        assert_memory_equal(out, bytes, MIXED);
        assert_empty();
    }
}

// Wherever the end comes: what has gone was released then, the rest now, and nothing twice.
static void a_cleared_queue_has_released_each_piece_once(void **state)
{
    (void)state;
    static const size_t sent[] = {0, 299, 300, 5299, 5300, 5999, 6000, 6001, MIXED - 41, MIXED - 1};
    for (size_t s = 0; s < sizeof sent / sizeof *sent; s++) {
        unsigned counts[LENT] = {0};
        out_n = 0;
        add_mixed(counts);
        send_some(sent[s]);
        stream_queue_clear(&q);
        for (int i = 0; i < LENT; i++)
            assert_int_equal(counts[i], 1);
        assert_empty();
        stream_queue_clear(&q); // once more changes nothing
        for (int i = 0; i < LENT; i++)
            assert_int_equal(counts[i], 1);
    }
}

static void what_is_lent_without_a_release_just_goes(void **state)
{
    (void)state;
    assert_true(borrow(0, 10, NULL));
    assert_true(add_file(10, 10, NULL));
    assert_true(borrow(20, 10, NULL));
    send_some(15);
    stream_queue_clear(&q);
    assert_memory_equal(out, bytes, 15);
    assert_empty();
}

// Nothing is copied behind a piece that is lent, nor into it.
static void a_lent_piece_has_no_room(void **state)
{
    (void)state;
    assert_true(borrow(0, 10, &released));
    assert_int_equal(stream_queue_spare(&q), 0);
    assert_true(stream_queue_write(&q, str_of(bytes + 10, 5)));
    assert_true(add_file(15, 10, &released));
    assert_int_equal(stream_queue_spare(&q), 0);
    assert_true(stream_queue_write(&q, str_of(bytes + 25, 5)));
    assert_int_equal(pieces(), 4);
    send_some(30);
    assert_memory_equal(out, bytes, 30);
    assert_int_equal(released, 2);
}

static void blocks_that_have_gone_are_used_again_by_any_queue(void **state)
{
    (void)state;
    struct stream_queue other = {.blocks = &blocks};
    assert_true(stream_queue_write(&q, str_of(bytes, 2 * STREAM_BLOCK + 1)));
    assert_int_equal(made, 3);
    send_some(STREAM_BLOCK);
    assert_int_equal(blocks.spare_count, 1);
    assert_true(stream_queue_write(&other, str_of(bytes, 10)));
    assert_int_equal(made, 3);
    assert_int_equal(blocks.spare_count, 0);
    send_some(STREAM_BLOCK + 1);
    assert_int_equal(blocks.spare_count, 2);
    assert_true(stream_queue_write(&other, str_of(bytes + 10, 2 * STREAM_BLOCK)));
    assert_int_equal(made, 3);
    assert_int_equal(blocks.spare_count, 0);
    assert_memory_equal(other.head->p, bytes, STREAM_BLOCK);
    assert_memory_equal(other.head->next->p, bytes + STREAM_BLOCK, STREAM_BLOCK);
    stream_queue_clear(&other);
    assert_int_equal(blocks.spare_count, 3);
}

// A block that was used in part begins anew.
static void a_block_that_comes_back_is_whole(void **state)
{
    (void)state;
    assert_true(stream_queue_write(&q, str_of(bytes, 1000)));
    send_some(400);
    stream_queue_clear(&q);
    room(STREAM_BLOCK);
    assert_int_equal(made, 1);
    assert_int_equal(stream_queue_spare(&q), STREAM_BLOCK);
    assert_ptr_equal(q.head, q.tail);
}

static void spare_blocks_are_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < SPARES_MAX + 10; i++)
        assert_true(stream_queue_add_block(&q));
    assert_int_equal(made, SPARES_MAX + 10);
    stream_queue_clear(&q);
    assert_int_equal(blocks.spare_count, SPARES_MAX);
    for (int i = 0; i < SPARES_MAX; i++)
        assert_true(stream_queue_add_block(&q));
    assert_int_equal(made, SPARES_MAX + 10);
    assert_int_equal(blocks.spare_count, 0);
}

static void without_memory_nothing_is_lost_that_was_there(void **state)
{
    (void)state;
    assert_true(stream_queue_write(&q, str_of(bytes, 10)));
    allocations_left = 0;
    assert_false(stream_queue_add_block(&q));
    assert_null(stream_queue_room(&q, STREAM_BLOCK));
    assert_false(borrow(0, 10, &released));
    assert_false(add_file(0, 10, &released));
    assert_int_equal(released, 0); // they are whose they were
    assert_int_equal(q.n, 10);
    assert_int_equal(pieces(), 1);
    assert_non_null(stream_queue_room(&q, STREAM_BLOCK - 10));
    allocations_left = 1;
    assert_false(stream_queue_write(&q, str_of(bytes + 10, 3 * STREAM_BLOCK)));
    assert_int_equal(q.n, 2 * STREAM_BLOCK); // what there was memory for
    send_some(2 * STREAM_BLOCK);
    assert_memory_equal(out, bytes, 2 * STREAM_BLOCK);
    assert_empty();
    assert_true(stream_queue_add_block(&q)); // of those that have gone
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(copied_bytes_lie_in_blocks),
        TEST(a_block_is_filled_to_its_end),
        TEST(room_is_in_the_last_block_or_in_another),
        TEST(bytes_are_added_behind_those_that_are_left),
        TEST(room_that_nothing_was_written_to_is_passed_over),
        TEST(the_kinds_go_out_in_order_in_whatever_parts),
        TEST(a_cleared_queue_has_released_each_piece_once),
        TEST(what_is_lent_without_a_release_just_goes),
        TEST(a_lent_piece_has_no_room),
        TEST(blocks_that_have_gone_are_used_again_by_any_queue),
        TEST(a_block_that_comes_back_is_whole),
        TEST(spare_blocks_are_bounded),
        TEST(without_memory_nothing_is_lost_that_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

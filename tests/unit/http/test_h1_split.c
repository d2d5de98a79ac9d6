// Whatever the cuts, the same story: every file of a corpus is parsed whole, a byte at a time, and
// in pieces of pseudo-random length 200 times over, with the usual limits and with small ones.
//
//      test_h1_split [FOLDER]      by default tests/fuzz/corpus/h1_parse, from the root of the tree
#include "fuzz/h1_driver.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 200, FILES_MIN = 400, STREAM_MAX = 64 * 1024 };

static const char *folder = "tests/fuzz/corpus/h1_parse";
static _Alignas(16) char room[STREAM_MAX + H1_DRIVE_SLACK];

static struct str read_stream(const char *name)
{
    char path[1024];
    assert_in_range(snprintf(path, sizeof path, "%s/%s", folder, name), 1, sizeof path - 1);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(room, 1, STREAM_MAX, f);
    fclose(f);
    return str_of(room, n);
}

static void compare(const char *name, const struct h1_transcript *whole,
                    const struct h1_transcript *pieces)
{
    if (h1_transcripts_equal(whole, pieces))
        return;
    h1_print_transcript(stderr, "whole", whole);
    h1_print_transcript(stderr, "in pieces", pieces);
    fail_msg("%s: the result depends on the cuts", name);
}

static void check_file(const char *name, const struct h1_limits *limits)
{
    static struct h1_transcript whole, pieces;
    struct str stream = read_stream(name);
    uint64_t seed = 0x9e3779b97f4a7c15;
    h1_drive(&whole, limits, stream, h1_cut_none, NULL);
    assert_true(whole.count > 0);
    h1_drive(&pieces, limits, stream, h1_cut_bytes, NULL);
    compare(name, &whole, &pieces);
    for (int i = 0; i < ROUNDS; i++) {
        h1_drive(&pieces, limits, stream, h1_cut_random, &seed);
        compare(name, &whole, &pieces);
    }
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void check_folder(const struct h1_limits *limits)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, visible, alphasort);
    if (n < FILES_MIN)
        fail_msg("%s: %d files; run this from the root of the tree", folder, n);
    for (int i = 0; i < n; i++) {
        check_file(entries[i]->d_name, limits);
        free(entries[i]);
    }
    free(entries);
}

static void test_usual_limits(void **state)
{
    (void)state;
    check_folder(&(struct h1_limits){16384, 8192, 100});
}

static void test_small_limits(void **state)
{
    (void)state;
    check_folder(&(struct h1_limits){70, 18, 2});
}

// The driver itself: two streams that differ in one byte do not have the same transcript.
static void test_transcripts_tell_streams_apart(void **state)
{
    (void)state;
    static const char text[] = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    const struct h1_limits limits = {16384, 8192, 100};
    static struct h1_transcript first, other;
    struct str stream = str_of(room, sizeof text - 1);
    memcpy(room, text, sizeof text);
    h1_drive(&first, &limits, stream, h1_cut_none, NULL);
    assert_int_equal(first.count, 5); // head, body, head, empty body, end
    for (size_t i = 0; i < stream.n; i++) {
        room[i] ^= 1;
        h1_drive(&other, &limits, stream, h1_cut_none, NULL);
        assert_false(h1_transcripts_equal(&first, &other));
        room[i] ^= 1;
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcripts_tell_streams_apart),
        cmocka_unit_test(test_usual_limits),
        cmocka_unit_test(test_small_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

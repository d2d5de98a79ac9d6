// Fuzzes the HTTP/1 parser: the input is what a client sends on one connection. It is parsed whole,
// a byte at a time, and cut at places that the input itself decides; all three must tell the same
// story. One input in four meets limits so small that it runs into them.
//
// With -DPLANTED_BUG the program under test has a bug that takes some structure to reach (see
// planted below): .ci/fuzz h1_parse RUNS with PLANT=1 shows that it is found.
#include "http/h1_parse.h"

#include <stdlib.h>

#ifdef PLANTED_BUG
// Reads one byte too many when a chunk size overflows in a body that has had an extension.
static volatile char leak;
static enum h1_result planted(struct h1_chunked *c, struct str bytes, size_t *consumed,
                              struct str *data)
{
    enum h1_result r = h1_chunked_parse(c, bytes, consumed, data);
    if (c->ext_total > 0 && r == H1_BAD && c->error == H1_CHUNK_OVERFLOW)
        leak = bytes.p[bytes.n];
    return r;
}
#define H1_DRIVE_CHUNKED planted
#endif

#include "h1_driver.h"

enum { INPUT_MAX = 32 * 1024 };

static _Alignas(16) char room[INPUT_MAX + H1_DRIVE_SLACK];
static struct h1_transcript whole, pieces;

static void compare(const struct h1_limits *limits, struct str stream, h1_cut_fn *cut, void *arg)
{
    h1_drive(&pieces, limits, stream, cut, arg);
    if (h1_transcripts_equal(&whole, &pieces))
        return;
    h1_print_transcript(stderr, "whole", &whole);
    h1_print_transcript(stderr, "in pieces", &pieces);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct h1_limits usual = {16384, 8192, 100}, small = {150, 40, 4};
    const struct h1_limits *limits = size % 4 ? &usual : &small;
    struct str stream = str_of(room, size < INPUT_MAX ? size : INPUT_MAX);
    if (stream.n)
        memcpy(room, data, stream.n);
    uint64_t seed = h1_hash(H1_HASH_START, stream) | 1;
    h1_drive(&whole, limits, stream, h1_cut_none, NULL);
    compare(limits, stream, h1_cut_bytes, NULL);
    compare(limits, stream, h1_cut_random, &seed);
    return 0;
}

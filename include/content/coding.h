// Content codings at work: a whole body at once, or a body_source that codes another.
//
// Levels are those of the configuration, 1 … 9. gzip takes them as they are; brotli's quality is the
// same up to 5 and stays there; zstd's level is half of it, rounded up. What a body costs at level
// 6, in µs of one core for 1, 16 and 64 KiB of JSON: gzip 12, 150, 1400; brotli 29, 250, 1500; zstd
// 6, 40, 160.
//
// Everything here belongs to one thread: that of the loop.
#ifndef LUNETTE_CONTENT_CODING_H
#define LUNETTE_CONTENT_CODING_H

#include "base/buf.h"
#include "content/coding_choice.h"
#include "http/exchange.h"

enum {
    CODING_LEVEL_MIN = 1,
    CODING_LEVEL_MAX = 9,
    CODING_FULL_MAX = 64,     // sources with a full state, see coding_source_new
    CODING_SLICE = 64 * 1024, // bytes that one pull codes at most
    CODING_OUT = 16 * 1024,   // bytes that one pull gives at most
    CODING_FILE_BLOCK = 64 * 1024,
    CODING_TEED_MAX = 16 << 20, // bytes that all tees hold together, see coding_tee
};

// Whether the program can make it: identity and gzip always, the others where their libraries were
// there when it was built.
bool coding_available(enum coding c);
// All of them, as coding_options.offered wants it: gzip and what else was built in.
unsigned coding_all(void);

// Appends in, coded, to out. False when that would pass out's maximum, which a caller sets to what
// is worth it, or memory is out; nothing is then appended. The states of gzip and zstd are kept for
// the next call: up to 1.4 MiB; brotli
// begins anew each time. Identity is copied.
bool coding_whole(enum coding c, int level, struct str in, struct buf *out);
// Gives the kept states back. No source lives.
void coding_fini(void);

// Who wants the coded text as well: a cache. It is collected until the body ends, which is up to the
// client; where all that are under way come to more than CODING_TEED_MAX, the oldest are given up.
struct coding_tee {
    size_t max; // bytes; a text that becomes longer is given up
    // Called at most once, from the pull that ends the body: the whole of it. The memory may be
    // taken, by copying the struct and buf_init of the original; what is left there is freed.
    void (*done)(void *arg, struct buf *coded);
    // Called exactly once, when the source is closed, whether done was or not; NULL: not needed.
    void (*release)(void *arg);
    void *arg;
};

// A source of what inner gives, coded with c, which is available and not identity. Takes inner
// over and closes it when it is closed itself; *tee is copied, NULL: nobody. NULL when memory is
// out: inner and tee->arg are then still the caller's.
//
// A pull takes at most one piece from inner and codes at most CODING_SLICE of it. What it gives may
// be empty although it is BODY_SOME: the coder keeps bytes back. When inner says BODY_LATER, all
// that it gave before is flushed first, so that the client can decode it while it waits; that costs
// some five bytes each time. BODY_FAILED comes from inner or means that memory is out.
//
// The state lives until the body ended or the source is closed, beside CODING_OUT bytes and the
// tee: 262 KiB for gzip, 1.0 MiB for zstd, 1.8 MiB for brotli. When CODING_FULL_MAX sources have
// such a state, the next ones get a small one and code less well: 38, 85, 45 KiB. A thousand of
// gzip together hold 70 MB.
struct body_source *coding_source_new(enum coding c, int level, struct body_source *inner,
                                      const struct coding_tee *tee);

// A source of the n bytes at offset at of a file, read in blocks of CODING_FILE_BLOCK; it fails
// when the file cannot be read or is shorter. release(arg) gives the descriptor back, once, when
// the source is closed; NULL: not needed. NULL when memory is out: fd and arg are then still the
// caller's.
struct body_source *coding_file_source(int fd, off_t at, int64_t n, void (*release)(void *arg),
                                       void *arg);

#endif

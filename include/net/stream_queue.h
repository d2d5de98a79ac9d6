// Private to stream*.c: the out-queue of a stream, pieces of three kinds in the order in which they go
// out. It knows of no socket: stream_out.c sends what stands at its front, and says how much went.
//
// Copied bytes lie in blocks; those that have gone are kept for the next bytes, of any queue of the
// pool. What was lent with a piece is released exactly once: when the last byte of it has gone, or by
// stream_queue_clear.
#ifndef LUNETTE_NET_STREAM_QUEUE_H
#define LUNETTE_NET_STREAM_QUEUE_H

#include "net/stream.h"

enum stream_piece_kind {
    PIECE_COPIED,   // a struct stream_block
    PIECE_BORROWED, // memory of the owner's
    PIECE_FILE,
};

struct stream_piece {
    struct stream_piece *next;
    uint64_t n;  // bytes to be sent
    union {      // the first of them
        char *p; // written to only in blocks
        off_t off;
    };
    stream_release_fn *release; // NULL for none
    void *arg;
    int fd;
    enum stream_piece_kind kind;
};

struct stream_block {
    struct stream_piece piece; // its bytes lie within data; new ones are added behind them
    char data[STREAM_BLOCK];
};

// Blocks that nobody uses; the pool's.
struct stream_blocks {
    struct stream_piece *spares;
    unsigned spare_count;
};
void stream_blocks_free(struct stream_blocks *b);

// Empty when all but blocks is zero.
struct stream_queue {
    struct stream_blocks *blocks;
    struct stream_piece *head, *tail;
    uint64_t n; // bytes
};

// Appends a block. False when memory is out.
bool stream_queue_add_block(struct stream_queue *q);
// Appends a copy of bytes. False when memory is out: the first of them may be there.
bool stream_queue_write(struct stream_queue *q, struct str bytes);
// Appends a copy of *like, which is no block and has bytes. False, with nothing changed, when memory is
// out.
bool stream_queue_add(struct stream_queue *q, const struct stream_piece *like);
// The first n bytes have gone.
void stream_queue_take(struct stream_queue *q, uint64_t n);
// The first piece, which has no bytes left, or never got any: room that nothing was written to.
void stream_queue_drop(struct stream_queue *q);
// Nothing of it will go.
void stream_queue_clear(struct stream_queue *q);

// Bytes that still fit behind those of the last piece.
static inline size_t stream_queue_spare(const struct stream_queue *q)
{
    if (!q->tail || q->tail->kind != PIECE_COPIED)
        return 0;
    const struct stream_block *b = (const struct stream_block *)q->tail;
    return (size_t)(b->data + STREAM_BLOCK - (b->piece.p + b->piece.n));
}

// Room for n bytes behind what is queued, 1 … STREAM_BLOCK; NULL when memory is out.
static inline char *stream_queue_room(struct stream_queue *q, size_t n)
{
    if (stream_queue_spare(q) < n && !stream_queue_add_block(q))
        return NULL;
    return q->tail->p + q->tail->n;
}

// n bytes were written there.
static inline void stream_queue_wrote(struct stream_queue *q, size_t n)
{
    q->tail->n += n;
    q->n += n;
}

#endif

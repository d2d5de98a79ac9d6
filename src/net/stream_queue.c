// The out-queue of a stream: see the header.
#include "net/stream_queue.h"

#include <stdlib.h>
#include <string.h>

enum { SPARES_MAX = 64 }; // blocks that a pool keeps

// --- blocks ---

static struct stream_piece *block_get(struct stream_blocks *b)
{
    struct stream_piece *piece = b->spares;
    if (piece) {
        b->spares = piece->next;
        b->spare_count--;
    } else {
        struct stream_block *block = malloc(sizeof *block);
        if (!block)
            return NULL;
        piece = &block->piece;
    }
    *piece = (struct stream_piece){.p = ((struct stream_block *)piece)->data, .kind = PIECE_COPIED};
    return piece;
}

static void block_put(struct stream_blocks *b, struct stream_piece *piece)
{
    if (b->spare_count >= SPARES_MAX) {
        free(piece);
        return;
    }
    piece->next = b->spares;
    b->spares = piece;
    b->spare_count++;
}

void stream_blocks_free(struct stream_blocks *b)
{
    while (b->spares) {
        struct stream_piece *piece = b->spares;
        b->spares = piece->next;
        free(piece);
    }
}

// --- the queue ---

static void append(struct stream_queue *q, struct stream_piece *piece)
{
    piece->next = NULL;
    if (q->tail)
        q->tail->next = piece;
    else
        q->head = piece;
    q->tail = piece;
}

void stream_queue_drop(struct stream_queue *q)
{
    struct stream_piece *piece = q->head;
    q->head = piece->next;
    if (!q->head)
        q->tail = NULL;
    if (piece->release)
        piece->release(piece->arg);
    if (piece->kind == PIECE_COPIED)
        block_put(q->blocks, piece);
    else
        free(piece);
}

bool stream_queue_add_block(struct stream_queue *q)
{
    struct stream_piece *piece = block_get(q->blocks);
    if (piece)
        append(q, piece);
    return piece;
}

bool stream_queue_write(struct stream_queue *q, struct str bytes)
{
    while (bytes.n) {
        size_t n = stream_queue_spare(q);
        if (n == 0) {
            if (!stream_queue_add_block(q))
                return false;
            n = STREAM_BLOCK;
        }
        if (n > bytes.n)
            n = bytes.n;
        memcpy(q->tail->p + q->tail->n, bytes.p, n);
        stream_queue_wrote(q, n);
        bytes = str_of(bytes.p + n, bytes.n - n);
    }
    return true;
}

bool stream_queue_add(struct stream_queue *q, const struct stream_piece *like)
{
    struct stream_piece *piece = malloc(sizeof *piece);
    if (!piece)
        return false;
    *piece = *like;
    append(q, piece);
    q->n += piece->n;
    return true;
}

void stream_queue_take(struct stream_queue *q, uint64_t n)
{
    q->n -= n;
    while (n) {
        struct stream_piece *piece = q->head;
        uint64_t part = n < piece->n ? n : piece->n;
        piece->n -= part;
        n -= part;
        if (piece->kind == PIECE_FILE)
            piece->off += (off_t)part;
        else
            piece->p += part;
        if (piece->n == 0)
            stream_queue_drop(q);
    }
}

void stream_queue_clear(struct stream_queue *q)
{
    while (q->head)
        stream_queue_drop(q);
    q->n = 0;
}

// Private to stream*.c: a stream, opened. A file calls those below it, never one above:
//
//      stream.c          its life: the pool, birth and death, what the loop says, the end of a turn
//      stream_in.c       what comes: reading, the bytes that the owner left, the end of input
//      stream_out.c      what goes: writes, and sending what they queued
//      stream_watch.c    what it asks of its loop; how it breaks
//      stream_queue.c    the queue, which knows of no stream (stream_queue.h)
//
// Everything that may call the owner starts in one of two places of stream.c: on_ready, the watch's
// function, and on_turn_end, the deferred one; the functions that the owner calls only change
// state, send, and defer.
#ifndef LUNETTE_NET_STREAM_INSIDE_H
#define LUNETTE_NET_STREAM_INSIDE_H

#include "net/stream_queue.h"

struct stream_pool {
    struct loop *loop;
    struct stream_blocks blocks;
    unsigned streams;
    char in[STREAM_READ];
};

// Input that the owner left: n bytes from bytes + at on; bytes is NULL when there are none.
struct stream_kept {
    char *bytes;
    size_t at, n, cap;
};

struct stream {
    struct watch watch;
    struct deferred deferred; // the end of the turn has something to tell or to free
    struct stream_pool *pool;
    const struct stream_events *events;
    void *owner;

    struct stream_queue out;
    uint64_t sent; // bytes, since it was made

    struct stream_kept kept;
    size_t input_max;

    int fd;           // ours to close; watch.fd is -1 when it has left the loop
    int error;        // errno of what broke it
    bool blocked;     // the socket took less than was offered: EPOLLOUT sends on
    bool paused;      // no on_input
    bool giving;      // on_input is running
    bool fin;         // the peer's FIN is known; on_fin was called
    bool eof;         // read returned 0
    bool eof_told;    // on_eof was called
    bool shut;        // no more writes; FIN when the queue is empty
    bool fin_sent;    // that has happened
    bool broken;      // no more input and output; on_broken is deferred, or
    bool broken_told; // was called
    bool closed;      // to be freed at the end of the turn
};
_Static_assert(sizeof(struct stream) <= 192, "idle connections are many");

// Whether the owner may be called, and the socket used.
static inline bool stream_lives(const struct stream *s)
{
    return !s->closed && !s->broken;
}

// stream_watch.c
// Brings what the loop watches for in line with the state.
void stream_ask(struct stream *s);
// It is broken: on_broken comes at the end of the turn. Nothing where it is so already, or closed.
void stream_fail(struct stream *s, int error);

// stream_in.c
// There is something to be read.
void stream_in_ready(struct stream *s);
// The peer's FIN is known.
void stream_in_fin(struct stream *s);
// Shows the owner what was kept from it, and tells of the end behind it.
void stream_in_again(struct stream *s);
void stream_in_free(struct stream *s);

// stream_out.c
// The socket takes something again.
void stream_out_ready(struct stream *s);

#endif

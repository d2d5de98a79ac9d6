// A stream: a connected socket as two byte flows, without readiness, errno or system calls above
// it.
//
// In: bytes arrive in on_input as a slice; the owner says how many it took, the rest is kept and
// given again in front of what comes next. A stream reads into one buffer that all streams of a
// pool share, so that an idle connection holds no memory. Out: a queue of pieces (copied bytes,
// borrowed bytes, file ranges) that goes out with stream_flush in as few system calls as possible,
// and by itself from then on as the socket takes it.
//
// Callbacks come from the loop alone, never from inside a stream function: what stream_flush or a
// write finds wrong is told by on_broken at the end of the turn, and a queue that stream_flush
// itself empties makes no on_drain (ask stream_queued). So an owner is never re-entered in the
// middle of its work.
//
// Closing takes two steps: stream_close marks it, closes the socket, releases the pieces; the
// struct is freed at the end of the turn (of the next, when closed by a deferred call), after
// on_closed was called. No callback but on_closed comes after stream_close.
//
//      stream_new ──> open ──(read 0)──> in_eof ─┐
//                      │  └─(write fails, RST)──┴──> broken: on_broken, then the owner closes
//                      └── stream_close ──> closed ── end of turn: on_closed, free
#ifndef LUNETTE_NET_STREAM_H
#define LUNETTE_NET_STREAM_H

#include "base/str.h"
#include "net/loop.h"

#include <sys/types.h>

struct stream;
struct stream_pool;

struct stream_events {
    // in: every byte not yet taken. Returns how many of the first bytes are taken, 0 … in.n. It is
    // called again only when more bytes have come, or from stream_resume: an owner that takes none
    // of input_max bytes hears no more. May call any stream function, stream_close included (the
    // returned count is then ignored).
    size_t (*on_input)(void *owner, struct str in);
    // The peer will send no more; it may still be reading, or be gone. Comes once, and at once:
    // also while paused, and while bytes wait to be taken or even to be read. Before on_eof.
    void (*on_fin)(void *owner);
    // Nothing more will come. Comes once, after on_input was given every byte: at once when nothing
    // is kept, even while paused, else after stream_resume.
    void (*on_eof)(void *owner);
    // The out-queue fell below STREAM_LOW after stream_queued had been at or above it, or became
    // empty.
    void (*on_drain)(void *owner);
    // The connection is lost (reset, write error, a file that was shorter than said: EIO); error is
    // an errno value. Comes once, at the end of the turn, also while paused. The owner should call
    // stream_close.
    void (*on_broken)(void *owner, int error);
    // The stream is gone: the owner may free itself now.
    void (*on_closed)(void *owner);
};

enum {
    STREAM_READ = 64 * 1024,  // bytes read in one turn at most
    STREAM_LOW = 64 * 1024,   // below it a writer that waited is told to go on
    STREAM_BLOCK = 16 * 1024, // out-queue blocks of copied bytes
};

// What streams of one loop share: the read buffer and spare blocks. The process catches or ignores
// SIGPIPE by itself, since sendfile cannot be told not to raise it. NULL when memory is out.
struct stream_pool *stream_pool_new(struct loop *l);
// Only after the on_closed of all its streams. NULL is harmless.
void stream_pool_free(struct stream_pool *p);

// Takes over the connected, non-blocking socket fd. NULL (fd closed) when memory is out or the loop
// refuses. input_max (at least 1): bytes not taken that the stream keeps at most; when that many
// wait, it stops reading until some are taken. No read is larger.
struct stream *stream_new(struct stream_pool *p, int fd, size_t input_max,
                          const struct stream_events *events, void *owner);

// The three kinds of piece, in the order of the calls. Nothing is sent before stream_flush. The
// queue has no bound of its own: writers wait for on_drain while stream_queued is at or above
// STREAM_LOW.
//
// False when the bytes will not go out: memory is out (the stream is then broken: on_broken comes),
// or the stream was broken, shut down or closed before.
bool stream_write(struct stream *s, struct str bytes); // copied
// Room for n bytes of the copied kind, 1 … STREAM_BLOCK, to be written by the caller, who says with
// stream_wrote how many it used before any other call. NULL where stream_write would be false.
char *stream_room(struct stream *s, size_t n);
void stream_wrote(struct stream *s, size_t n);
// Called exactly once for a piece: when it was sent, at stream_close, or when the call fails. It
// runs inside stream functions and must not call any.
typedef void stream_release_fn(void *arg);
// Borrowed: the bytes stay valid until release(arg). A short piece is copied and released before
// the call returns. release may be NULL.
bool stream_write_ref(struct stream *s, struct str bytes, stream_release_fn *release, void *arg);
// len bytes of file fd from off, by sendfile; fd stays open until release(arg). A file that turns
// out shorter breaks the stream.
bool stream_write_file(struct stream *s, int fd, off_t off, uint64_t len,
                       stream_release_fn *release, void *arg);

// Sends what is queued as far as the socket takes it now; the rest follows by itself.
void stream_flush(struct stream *s);
// Bytes queued and not yet taken by the kernel.
uint64_t stream_queued(const struct stream *s);
// Bytes taken by the kernel since stream_new: the measure of progress.
uint64_t stream_sent(const struct stream *s);

// Bytes that on_input left, valid until the next call; for a look outside of it.
struct str stream_waiting(const struct stream *s);

// No on_input until stream_resume: for an owner that is busy with what it has. The stream may still
// read up to input_max, so that it notices a reset. stream_resume calls on_input from the end of
// the turn if bytes wait. Both may be called twice.
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
// Flushes, and sends a FIN once the queue is empty; input goes on. Later writes are false.
void stream_shutdown(struct stream *s);
// Harmless twice. Bytes that are still queued are lost; so may those be that the peer has not read
// yet, if it sent some that we did not read (the kernel then resets): shut down and read on first.
void stream_close(struct stream *s);
// The same, and over TCP the peer gets a reset, not an end: what it got is not all.
void stream_reset(struct stream *s);

#endif

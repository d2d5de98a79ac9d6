// Growable bytes with a mandatory maximum.
//
// Whoever makes a buffer says how large it may become; an append that would pass that fails and
// changes nothing. Memory comes from malloc, doubles as it grows, and is the buffer's own.
#ifndef LUNETTE_BASE_BUF_H
#define LUNETTE_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p;     // NULL while nothing was ever added
    size_t n;    // bytes in use
    size_t cap;  // bytes there is room for, from p on
    size_t max;  // cap + gone never passes this
    size_t gone; // room before p, of what was dropped: the memory begins at p - gone
};

// An empty buffer that may grow to max bytes. Allocates nothing.
void buf_init(struct buf *b, size_t max);
// Gives the memory back; the buffer is then as after buf_init.
void buf_fini(struct buf *b);

// Room for n more bytes at the end: a pointer to it, valid until the next call, or NULL when that
// would pass max or memory is out. buf_added() makes the bytes written there part of the buffer.
char *buf_grow(struct buf *b, size_t n); // where there is no room yet
static inline char *buf_room(struct buf *b, size_t n)
{
    return b->p && n <= b->cap - b->n ? b->p + b->n : buf_grow(b, n);
}
void buf_added(struct buf *b, size_t n);

// Append; false, with nothing added, when the bytes do not fit.
bool buf_add(struct buf *b, struct str s);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Drops the first n bytes, n <= b->n, by moving p on. The rest stays where it is; buf_room moves it to
// the front of the memory when that makes the room it needs.
void buf_drop(struct buf *b, size_t n);
// Forgets the bytes, keeps the memory.
static inline void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->gone)
        buf_drop(b, 0);
}
// Gives back the memory that is not in use, where malloc can take it.
void buf_trim(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#endif

// Growable bytes: see the header. One byte more than cap is allocated, for the NUL that vsnprintf
// insists on behind a text that fills the buffer.
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

static char *memory(const struct buf *b)
{
    return b->gone ? b->p - b->gone : b->p;
}

void buf_fini(struct buf *b)
{
    free(memory(b));
    buf_init(b, b->max);
}

static void to_front(struct buf *b)
{
    char *front = memory(b);
    if (b->gone && b->n)
        memmove(front, b->p, b->n);
    b->p = front;
    b->cap += b->gone;
    b->gone = 0;
}

char *buf_grow(struct buf *b, size_t n)
{
    if (n > b->max - b->n)
        return NULL;
    if (n > b->cap - b->n)
        to_front(b);
    if (n <= b->cap - b->n && b->p)
        return b->p + b->n;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < b->n + n && cap <= b->max / 2)
        cap *= 2;
    if (cap < b->n + n || cap > b->max)
        cap = b->max;
    char *p = realloc(b->p, cap + 1);
    if (!p)
        return NULL;
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

void buf_added(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->n);
    b->n += n;
}

bool buf_add(struct buf *b, struct str s)
{
    char *room = buf_room(b, s.n);
    if (!room)
        return false;
    if (s.n)
        memcpy(room, s.p, s.n);
    b->n += s.n;
    return true;
}

bool buf_addc(struct buf *b, char c)
{
    return buf_add(b, str_of(&c, 1));
}

bool buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    char *room = buf_room(b, (size_t)n);
    if (!room)
        return false;
    va_start(args, format);
    vsnprintf(room, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
    return true;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (b->n == 0) {
        to_front(b);
        return;
    }
    b->p += n;
    b->cap -= n;
    b->gone += n;
}

void buf_trim(struct buf *b)
{
    to_front(b);
    char *p = b->n ? realloc(b->p, b->n + 1) : NULL;
    if (!p)
        return;
    b->p = p;
    b->cap = b->n;
}

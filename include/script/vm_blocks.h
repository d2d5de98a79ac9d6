// Small blocks of a Lua state, kept for the next allocation of their size.
//
// What Lua allocates for a request are a few tables, and its collector frees them many at a time,
// which is more than the C library keeps at hand for each size: a third of what a request cost in Lua
// went into malloc and free (about 1,000 instructions of 3,000). Every block is malloc's all the same,
// with its size rounded up to its class, so that it may be given to realloc and free at any time.
//
// The C library's chunks are multiples of 16 bytes, of which it needs 8 for itself. So classes are 8
// bytes more than such multiples, and fill their chunks: a table, with its 56 bytes, takes 64 and not 80.
//
// Under AddressSanitizer nothing is kept: it could not see what is used after it was freed.
#ifndef LUNETTE_SCRIPT_VM_BLOCKS_H
#define LUNETTE_SCRIPT_VM_BLOCKS_H

#include <stddef.h>
#include <stdlib.h>

enum {
    BLOCKS_STEP = 16,      // bytes between two classes
    BLOCKS_FIRST = 8,      // bytes of the first class
    BLOCKS_LARGEST = 264,  // bytes of a block that is kept
    BLOCKS_KEPT = 1 << 20, // bytes of all of them at most
};

struct block {
    struct block *next;
};

// All zero at first.
struct blocks {
    struct block *free[BLOCKS_LARGEST / BLOCKS_STEP + 1]; // by class
    size_t kept;                                          // bytes in them
};

static inline size_t blocks_class(size_t n)
{
    return (n + BLOCKS_STEP - 1 - BLOCKS_FIRST) / BLOCKS_STEP;
}

// The bytes of its blocks.
static inline size_t blocks_size(size_t class)
{
    return class * BLOCKS_STEP + BLOCKS_FIRST;
}

// p, which has before bytes, with after of them, at least 1; a new block where p is NULL. NULL: there
// is no memory, and p is as it was.
void *blocks_resize(void *p, size_t before, size_t after);

// n bytes, at least 1; NULL without memory.
static inline void *blocks_take(struct blocks *b, size_t n)
{
    size_t class = blocks_class(n);
    struct block *p = n <= BLOCKS_LARGEST ? b->free[class] : NULL;
    if (!p)
        return blocks_resize(NULL, 0, n);
    b->free[class] = p->next;
    b->kept -= blocks_size(class);
    return p;
}

// p, which was taken with n bytes.
static inline void blocks_give(struct blocks *b, void *p, size_t n)
{
#ifdef __SANITIZE_ADDRESS__
    b->kept = BLOCKS_KEPT;
#endif
    size_t class = blocks_class(n);
    if (n > BLOCKS_LARGEST || b->kept + blocks_size(class) > BLOCKS_KEPT) {
        free(p);
        return;
    }
    ((struct block *)p)->next = b->free[class];
    b->free[class] = p;
    b->kept += blocks_size(class);
}

// Gives everything that is kept to the C library.
void blocks_drain(struct blocks *b);

#endif

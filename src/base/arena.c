// The arena: see the header. Chunks are a linked list, the newest is the one allocated from.
#include "base/arena.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// gcc says it with a macro, clang with a feature.
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { CHUNK_BYTES = 4096, ALIGN = _Alignof(max_align_t) };

struct arena_chunk {
    struct arena_chunk *older;
    size_t cap;  // bytes in data
    size_t used; // of those
    _Alignas(max_align_t) char data[];
};

struct arena_cleanup {
    struct arena_cleanup *older;
    arena_cleanup_fn *fn;
    void *arg;
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void run_cleanups(struct arena *a)
{
    while (a->cleanup) {
        struct arena_cleanup *c = a->cleanup;
        a->cleanup = c->older; // first, so that a cleanup may register another
        c->fn(c->arg);
    }
}

static void free_chunks(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *older = c->older;
        UNPOISON(c->data, c->cap);
        free(c);
        c = older;
    }
}

void arena_fini(struct arena *a)
{
    run_cleanups(a);
    free_chunks(a->chunk);
    arena_init(a, a->max);
}

// Unlinks and returns a chunk of the usual size; NULL when all were made for large requests.
static struct arena_chunk *take_usual_chunk(struct arena *a)
{
    for (struct arena_chunk **at = &a->chunk; *at; at = &(*at)->older) {
        struct arena_chunk *c = *at;
        if (c->cap != CHUNK_BYTES - sizeof *c)
            continue;
        *at = c->older;
        return c;
    }
    return NULL;
}

void arena_reset(struct arena *a)
{
    run_cleanups(a);
    struct arena_chunk *keep = take_usual_chunk(a);
    free_chunks(a->chunk);
    if (keep) {
        keep->older = NULL;
        keep->used = 0;
        POISON(keep->data, keep->cap);
    }
    a->chunk = keep;
    a->used = 0;
}

static struct arena_chunk *new_chunk(struct arena *a, size_t n)
{
    size_t cap = CHUNK_BYTES - sizeof(struct arena_chunk);
    if (n > cap)
        cap = n;
    struct arena_chunk *c = malloc(sizeof *c + cap);
    if (!c)
        return NULL;
    *c = (struct arena_chunk){.older = a->chunk, .cap = cap};
    POISON(c->data, c->cap);
    a->chunk = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max || n > PTRDIFF_MAX)
        return NULL;
    size_t asked = n;
    n = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (n > a->max - a->used)
        return NULL;
    struct arena_chunk *c = a->chunk;
    if (!c || n > c->cap - c->used)
        c = new_chunk(a, n);
    if (!c)
        return NULL;
    void *p = c->data + c->used;
    c->used += n;
    a->used += n;
    UNPOISON(p, asked);
    return p;
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return (struct str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_of(p, s.n);
}

bool arena_defer(struct arena *a, arena_cleanup_fn *fn, void *arg)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);
    if (!c)
        return false;
    *c = (struct arena_cleanup){a->cleanup, fn, arg};
    a->cleanup = c;
    return true;
}

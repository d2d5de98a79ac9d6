// A bump allocator with a list of cleanups: memory that lives as long as one request.
//
// Allocation is a pointer moved forward; nothing is freed alone. arena_reset() runs the cleanups in
// reverse order, gives all chunks but one back, and the arena is empty again. Under ASan every byte
// that was not asked for is poisoned.
#ifndef LUNETTE_BASE_ARENA_H
#define LUNETTE_BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
    struct arena_chunk *chunk;     // newest first; NULL while nothing was allocated
    struct arena_cleanup *cleanup; // newest first
    size_t used;                   // bytes allocated over all chunks, for the bound
    size_t max;                    // used never passes this
};

typedef void arena_cleanup_fn(void *arg);

// An empty arena that may hand out max bytes in all. Allocates nothing.
void arena_init(struct arena *a, size_t max);
// Runs the cleanups and gives everything back; the arena is then as after arena_init.
void arena_fini(struct arena *a);
// Runs the cleanups and forgets all allocations, keeping one chunk for the next user.
void arena_reset(struct arena *a);

// n bytes aligned for any type, not zeroed; NULL when max or memory is reached. n may be 0.
void *arena_alloc(struct arena *a, size_t n);
// A copy of s in the arena, NUL-terminated behind its end; p is NULL when there is no room.
struct str arena_dup(struct arena *a, struct str s);
// fn(arg) will run at the next reset. False, with nothing registered, when there is no room.
bool arena_defer(struct arena *a, arena_cleanup_fn *fn, void *arg);

#endif

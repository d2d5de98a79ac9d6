// Small blocks: see the header.
#include "script/vm_blocks.h"

static size_t rounded(size_t n)
{
    return n > BLOCKS_LARGEST ? n : blocks_size(blocks_class(n));
}

void *blocks_resize(void *p, size_t before, size_t after)
{
    return p && rounded(before) == rounded(after) ? p : realloc(p, rounded(after));
}

void blocks_drain(struct blocks *b)
{
    for (size_t class = 0; class <= BLOCKS_LARGEST / BLOCKS_STEP; class ++) {
        while (b->free[class]) {
            struct block *p = b->free[class];
            b->free[class] = p->next;
            free(p);
        }
    }
    b->kept = 0;
}

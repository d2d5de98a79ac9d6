// What a master does about a death, all at once; for tests, which have nothing else to do meanwhile.
#ifndef LUNETTE_TESTS_TENDED_H
#define LUNETTE_TESTS_TENDED_H

#include "content/cache_inside.h"

#include <errno.h>
#include <sys/wait.h>

enum { CACHE_EMPTIED = CACHE_DAMAGED + 1 }; // and put right
enum { TENDED_TRIES = 50 }; // for a lock that is kept, before that is taken for damage

// One child, from its beginning to its end.
static inline enum cache_tended tend_once(struct cache *c, uint32_t *shard)
{
    pid_t pid;
    int status;
    enum cache_tended what = CACHE_UNTENDED;
    assert_true(cache_is_due(c));
    assert_int_equal(cache_tend(c), 0);
    assert_false(cache_is_due(c));
    do {
        while ((pid = waitpid(c->tender, &status, 0)) < 0 && errno == EINTR)
            continue;
    } while (!cache_tender_ended(c, pid, status, &what, shard));
    return what;
}

static inline int tend_all(struct cache *c)
{
    uint32_t shard;
    enum cache_tended what = tend_once(c, &shard);
    for (int i = 0; i < TENDED_TRIES && what == CACHE_HELD; i++)
        what = tend_once(c, &shard);
    if (what == CACHE_TENDED)
        return what;
    assert_int_equal(cache_renew(c), 0);
    return CACHE_EMPTIED;
}

static inline int cache_worker_died(struct cache *c, unsigned worker)
{
    cache_note_death(c, worker);
    return tend_all(c);
}

static inline int cache_others_died(struct cache *c)
{
    cache_note_others(c);
    return tend_all(c);
}

#endif

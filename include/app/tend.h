// What the master does for the shared cache when a process that used it has ended: it tends it,
// without ever waiting (content/cache.h, "Deaths").
//
//      a death ──> a child takes the locks ──all of them──> done
//                    │       ▲ └──it dies of it──> all workers are ended; new memory; new workers
//                    │       │
//                    └ a lock is kept: again; TEND_SLOW_MS later a warning names its holder, and
//                      TEND_STUCK_MS later the holder is ended, so that the lock passes on
//
// A child that does not come back within TEND_CHILD_MS, as one does that is stopped, is ended, and
// another begins.
//
// The holder is named by memory that workers write. So only a child of the master's is believed to
// be one. A lock that names another process is broken, or held by a worker of the server beside
// this one, while there is one: then it is waited for.
#ifndef LUNETTE_APP_TEND_H
#define LUNETTE_APP_TEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TEND_SLOW_MS = 3 * 1000,   // that a worker keeps a lock before it is told
    TEND_STUCK_MS = 10 * 1000, // and before it is ended. An operation keeps one for less than 1 ms
    // That the child gets: it waits for 0.1 s a shard, and has 6 s of a processor.
    TEND_CHILD_MS = 15 * 1000,
};

struct master;

struct tend {
    int64_t at;     // when the next child may begin
    int64_t wait;   // until then no worker is started while a child is at it
    int64_t until;  // when the child that is at it is ended
    bool damaged;   // the memory is: no worker is started with it
    bool failed;    // the last try, which was told
    uint32_t shard; // whose lock is kept
    pid_t holder;   // as the lock says
    int64_t since;  // it was found so; 0: none is kept
    bool warned;
};

void tend_on_turn(struct master *m);
// Whether no worker is to be started now: the memory is damaged, or will be known to be sound in a
// moment.
bool tend_holds_start(const struct master *m);
int64_t tend_due(const struct master *m); // INT64_MAX: nothing is
// Of a child: whether it was one that tends.
bool tend_on_end(struct master *m, pid_t pid, int status);

#endif

// The folders that workers may use, and may have no more: a folder that is removed and made anew, as by
// a script that deploys, is another one to Landlock, whose rules belong to what was there when a
// worker entered its sandbox. What has another inode when a reload is asked for is noticed, and the
// workers from before are replaced, one after the other, before the reload begins:
//
//      told to leave ──what is open is over──> ended ──> another starts, with the folders of now ──ready──> the next
//
// The others go on meanwhile; of a single worker new connections wait in the queue. Requests under way
// have timeouts.stop, as at any end. A folder that is missing is no other one: it is waited for.
//
// Between reloads one that is another is only told in the log, once. Whether all is there that
// belongs in it is known to who makes it: workers that opened a database before it was brought back
// would lose what they write.
#ifndef LUNETTE_APP_ROOMS_H
#define LUNETTE_APP_ROOMS_H

#include "app/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct master;
struct slot;

struct room {
    char *path;
    bool is_part;         // of the site: matters where it is a link to elsewhere
    struct file_id id;    // as it was seen last
    struct file_id found; // another one, at the last look between reloads; inode 0: none
    bool told;            // that it is there
};

struct rooms {
    struct room *room; // NULL: no sandbox that is bound to them
    size_t n;
    const char *other;    // the one that was found to be another last
    unsigned seen;        // counts the times that one was
    struct slot *leaving; // the worker that was told to
    bool replacing, gave_up;
    int64_t deadline; // for the one that leaves, or for the start of the next
    int64_t look_at;  // between reloads
};

void rooms_init(struct master *m);
void rooms_fini(struct master *m);
// A worker is about to start in the slot, in the folders that are there now.
void rooms_on_start(struct master *m, struct slot *s);
// A worker has ended. Whether that is what it was told to.
bool rooms_on_end(struct master *m, const struct slot *s, pid_t pid, int status);
// Before a reload: whether it may begin. False: workers are being replaced.
bool rooms_settled(struct master *m);
void rooms_on_turn(struct master *m);
int64_t rooms_due(const struct master *m); // INT64_MAX: nothing is

#endif

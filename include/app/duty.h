// Whose turn the server's background work is (script/lua_timer.h), the master's side: one worker's at
// a time, from when it is told until the kernel says that it has ended. So it is never done twice, and
// a dead worker holds nothing up.
//
// While another program takes over (app/replace.h) the old master says when its worker has finished,
// and only then does the new one choose.
#ifndef LUNETTE_APP_DUTY_H
#define LUNETTE_APP_DUTY_H

#include <stdbool.h>
#include <stdint.h>

struct master;
struct slot;

struct duty {
    struct slot *holder; // NULL: nobody has it
    int64_t given, due;  // when it was; when it may be again
    uint32_t pause;      // before that, after one that did not have it for long
    bool free;           // the server that this one replaces has let go of it
    bool untold;         // a worker could not be told yet
};

// Chooses, and tells workers that are new what is theirs.
void duty_on_turn(struct master *m);
int64_t duty_due(const struct master *m);            // INT64_MAX: nothing is
void duty_on_end(struct master *m, struct slot *s);  // of a worker
void duty_on_rest(struct master *m, struct slot *s); // what it did is over, and it does no more
void duty_free(struct master *m, const char *text);  // the old master has said duty_say_rest

enum { DUTY_TEXT = 32 };
// What the old master says, for duty_free: until when times of day are done.
void duty_say_rest(const struct master *m, char text[static DUTY_TEXT]);

#endif

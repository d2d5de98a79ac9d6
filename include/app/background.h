// Background work (script/lua_timer.h), the worker's side: of its generations the one that serves does
// it, from when the master says so until the next one takes over.
//
//      the master gives a share ──> (older generations rest) ──> the current one begins
//      a commit ──> the one before ends ──> (it rests) ──> the current one begins
//      TERM, or another server ──> the current one ends ──> (it rests) ──> rests()
//
// So nothing of the server's work ever overlaps itself: not over a reload, since what still runs of
// the old scripts is waited for; not between workers, since the master gives the server's share to one
// at a time (app/duty.h).
#ifndef LUNETTE_APP_BACKGROUND_H
#define LUNETTE_APP_BACKGROUND_H

#include "app/generations.h"
#include "script/lua_timer.h"

enum {
    BACKGROUND_PATIENCE_MS = 5000, // that a run gets once its work has ended
    BACKGROUND_DEV_MS = 500,       // the same with --dev
};

struct background {
    struct generations *generations;
    struct timers_marks *marks;
    uint32_t patience_ms;
    void (*rests)(void *arg); // called once after background_end, perhaps within it
    void *arg;
    enum timers_share share; // what the master has given
    bool ended, rested;
    struct timeout look;
};

// generations, marks, patience_ms, rests and arg are set already, and the rest is 0.
void background_init(struct background *b);
// Before the generations go: tells the log of runs that go with them.
void background_fini(struct background *b);

void background_give(struct background *b, enum timers_share share);
void background_committed(struct background *b); // another generation is the current one
void background_end(struct background *b);       // nothing begins any more

#endif

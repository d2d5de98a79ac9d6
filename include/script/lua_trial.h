// lunette.trial: what `lunette test` runs the tests of one file of a site with, for the embedded library
// (lunette/command/test.lua, lunette/test.lua).
//
//   file, tap               the file, "tests/notes_test.lua"; whether TAP is wanted
//   data_name               what data/ is called beneath the site's folder; nil: it is elsewhere
//   started(title)          the site is loaded: its tests are what is at fault from here on; title is
//                           what is printed of the file when no test of its is to blame
//   begin(title)            a test runs, of which that is printed
//   count(passed) → number  it is over; how many there were, over all files
//   over()                  the file is done: what ends this process now is no test's fault
//   load(path)              the file as a function, or nil and why not
//   keep()                  what data/ holds is what every test is to start with. true, or nil and why
//   reset()                 data/ is as it was kept, and the cache is empty. true, or nil and why
//   clock(t or nil)         the wall clock stands at t, or runs; cached values age by as much as it is
//                           moved forward
//   log() → text            records of the error log since the last call
//   ask(bytes) → bytes      what the site's server answers on a connection of its own, until it
//                           closes; or nil, why. Waits.
#ifndef LUNETTE_SCRIPT_LUA_TRIAL_H
#define LUNETTE_SCRIPT_LUA_TRIAL_H

#include <lua.h>
#include <stdbool.h>

enum {
    TRIAL_TITLE_MAX = 2560,      // of two names of 255 bytes, each five when it is escaped
    TRIAL_ANSWER_MAX = 64 << 20, // bytes of one answer
    TRIAL_LOG_MAX = 1 << 20,     // of the records of one test; what is more is lost
};

struct server;
struct cache;
struct loop;

// In memory that is shared with the process that waits for this one.
struct trial_score {
    unsigned passed, failed; // over all files
    bool started, over;      // of this file
    // What is printed of the file, and of the test that runs ("": none): nothing else than their names.
    char itself[TRIAL_TITLE_MAX], running[TRIAL_TITLE_MAX];
};

struct trial {
    const char *file;
    bool tap;
    const char *data_name;   // of the site's own data; NULL: it is not in its folder
    const char *data, *kept; // absolute paths: the folder of the site's data, and one like it
    struct trial_score *score;
    // What the site runs with:
    int log; // the error log, in memory
    struct server *server;
    struct cache *cache;
    struct loop *loop;
};

// Memory for the error log: a descriptor, or −errno.
int trial_open_log(void);
// Puts the module into package.preload. t must outlive the state. May raise.
void trial_register(lua_State *L, struct trial *t);
// trial_ask.c. Upvalue 1: the struct trial.
int trial_ask(lua_State *L);

#endif

// A site in a process of its own, without a server: what `lunette check`, `routes`, `why`, `test`
// and `repl` load. There is no socket, no second process, and nobody is restarted.
//
// The process is what a worker under --dev would be: the user who started it, or the site's where
// that was root (solo_become), without capabilities and in the sandbox, with an event loop,
// threads, a cache of its own and one generation of the site's scripts. When these are loaded, or
// have failed, a module of the embedded library is called (src/lua/lunette/command): what a command
// says is its to decide.
#ifndef LUNETTE_APP_SOLO_H
#define LUNETTE_APP_SOLO_H

#include "app/config.h"
#include "script/lua_trial.h"

struct solo_job {
    const char *module;      // "lunette.command.routes": gives function(given) → exit status
    const char *const *word; // given.words; ends with NULL
    bool tap, watch;         // given.tap, given.watch: the options of that name
    bool secret_is_made;     // given.secret_is_made: the settings have none
    const char *unused_data; // the site's own, while it has an empty folder in their place; or NULL
    // Not NULL: the site can be asked, through a server without a socket, by lunette.trial; its log
    // is kept for that module, and its clock can be set. The last four fields are set here.
    struct trial *trial;
};

// Becomes whom the site belongs to, for good, where root gave the command and does not stay root
// (config.h): before anything is made for the site, which that user must be able to write. False,
// with a sentence on stderr.
bool solo_become(const struct config *c);

// given also has `metrics` and `health`, where they are paths of the site, and `error`: what
// main.lua failed with, with its traceback; nil when all is well. One that is no file, or still
// waits after 60 s, has failed. The function runs in a coroutine, where waits work. Returns the
// exit status: the function's, or 1 with a sentence on stderr.
int solo_run(const struct config *c, const struct solo_job *job);

#endif

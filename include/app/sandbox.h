// The sandbox of a worker: what it does not need is given up before any script runs.
//
//      no capabilities, no_new_privs → no core dumps → Landlock → seccomp → (then threads may start)
//
// Landlock (files): the site's folder and what libraries need may be read; data/ and the folder for
// large bodies may be written; what config.lua names in sandbox.read, write and exec comes on top.
// Nothing else can be opened, whatever the file's mode says. A rule belongs to the file or folder
// that is there when a worker starts: a system file that is replaced later (/etc/resolv.conf)
// is read again by workers that start after that; what is the site's is looked at before each reload
// (app/rooms.h). Logs are descriptors that the master has opened.
// From ABI 6 on signals reach no process outside of the sandbox, the master for instance.
//
// seccomp (calls): app/sandbox_calls.h.
#ifndef LUNETTE_APP_SANDBOX_H
#define LUNETTE_APP_SANDBOX_H

#include "base/reach.h"

#include <stdint.h>

enum { SANDBOX_WHY_MAX = 512, SANDBOX_TEXT_MAX = 128 };

// What the kernel has.
struct sandbox_kernel {
    int landlock; // its ABI, or 0
    bool seccomp;
};
struct sandbox_kernel sandbox_kernel(void);

// The sandbox in words, for the line on start: "on (Landlock ABI 7, seccomp)", "partly (seccomp;
// this kernel has no Landlock)", "off (sandbox = false)".
const char *sandbox_describe(bool wanted, struct sandbox_kernel k,
                             char dst[static SANDBOX_TEXT_MAX]);

// Absolute paths.
struct sandbox_options {
    const char *site;
    const char *data;                                     // may be missing
    const char *temp;                                     // for large bodies
    const char *library;                                  // of LUNETTE_LUA, or NULL
    const char *const *read, *const *write, *const *exec; // of config.lua; end with NULL
};

// Fills reach, which is empty, with what a worker may use. False, with a sentence, when a path that
// config.lua names cannot be looked up.
bool sandbox_list(const struct sandbox_options *o, struct reach *reach,
                  char why[static SANDBOX_WHY_MAX]);

// Enters the sandbox with what kernel k has, for good; may_exec: programs may be run, with
// Landlock as far as reach allows it, else all. The process must have one thread. False, with a
// sentence; the process must then end.
bool sandbox_enter(const struct reach *reach, bool may_exec, struct sandbox_kernel k,
                   char why[static SANDBOX_WHY_MAX]);

// For the unit test: the access rights of linux/landlock.h that an ABI knows, and those among them
// that a rule with these rights (enum reach_right) gives for a folder or a file.
uint64_t sandbox_known_access(int abi);
uint64_t sandbox_access(unsigned rights, bool folder, int abi);

#endif

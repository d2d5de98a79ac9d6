// What the program was started with: listening sockets, from systemd (LISTEN_FDS, LISTEN_PID) or
// from the server that this one replaces (LUNETTE_SOCKETS; see replace.h).
#ifndef LUNETTE_APP_INHERIT_H
#define LUNETTE_APP_INHERIT_H

#include "app/cli.h"
#include "net/addr.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { INHERIT_MAX = CLI_LISTEN_MAX + 2 };

struct inherited_socket {
    int fd;
    bool shared; // somebody else keeps it open to go on with it
    bool taken;
    char text[ADDR_TEXT_MAX]; // where it listens, as addr_format says it
};

struct inherited {
    struct inherited_socket socket[INHERIT_MAX];
    unsigned n;
    bool replaces; // they are those of a server that runs still, and more of it:
    int line;      // to it; its end is the end of that server
    int reaper;    // to process 1 of the container (reaper.h)
    int pid_file, control, cache, error_log, access_log; // −1: none
    int out, err;           // stdout and stderr, as log_standard had them; −1: none
    uint64_t control_inode; // of the control socket's file
    unsigned cache_first;   // of our workers in the cache
    // for the next one
    char program[PATH_MAX]; // where it was started from; "": not known
    char *const *argv;
};

// Reads the environment (argv is that of main), and takes what concerns this out of it. What cannot
// be used is closed, with a warning in the log.
void inherit_read(struct inherited *in, char *const *argv);
// The socket that listens on a, which is then taken; NULL: there is none.
const struct inherited_socket *inherit_find(struct inherited *in, const struct addr *a);
// Closes those that nobody took. Each is told in the log.
void inherit_close_rest(struct inherited *in);

// One of the descriptors was taken, or is not wanted: −1 from then on, in place of which it is
// given.
int inherit_take(int *fd);

// A socket for the successor: "FD=ADDRESS", with '+' before the address of one that is shared for
// good, behind what is in dst. False, with nothing added, when that has no room.
bool inherit_note(char *dst, size_t cap, int fd, bool shared, const char *text);

#endif

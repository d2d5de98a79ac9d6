// Private to master*.c, reload*.c and what is named below: the master's state.
#ifndef LUNETTE_APP_MASTER_INSIDE_H
#define LUNETTE_APP_MASTER_INSIDE_H

#include "app/channel.h"
#include "app/config.h"
#include "app/control.h"
#include "app/duty.h"
#include "app/files.h"
#include "app/inherit.h"
#include "app/notify.h"
#include "app/replace.h"
#include "app/rooms.h"
#include "app/temp.h"
#include "app/tend.h"
#include "app/watch.h"
#include "app/worker.h"
#include "base/snapshot.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// What a generation is made from. Number 0 is the start.
struct told {
    unsigned number;
    int scripts;  // a snapshot's descriptor
    int settings; // of config.lua as they were read again; −1: as at the start
};

// A reload: scripts and settings are read once, a process of its own tries them, every worker loads
// them beside what it serves with, and then all of them change over, or none.
//
//      NONE ──HUP──> CHECKING ──the checker has loaded them──> WAITING ──every worker is ready──>
//           LOADING ──every worker has loaded them──> (commit) NONE
//
// Whatever goes wrong on the way, the end of a worker included, leads to NONE with an abort.
struct reload {
    enum reload_stage { RELOAD_NONE, RELOAD_CHECKING, RELOAD_WAITING, RELOAD_LOADING } stage;
    bool again; // it was asked for once more meanwhile
    bool saved; // by what was saved, with --dev: nothing is to be done if that changed nothing
    int64_t again_at; // of untold.c: INT64_MAX, or when what had no room is told again
    struct told new;  // what is tried; number also says how many there were
    pid_t checker;    // 0: none
    int line;         // from it; −1
    bool passed;      // the checker has said so
    bool failed;      // the last one did, and nothing has mended that
    int report;       // why, for the browser, with --dev, until the next one begins; −1: none
    int64_t began, deadline;
};

// How the last reload ended.
struct reload_end {
    unsigned number; // 0: there was none
    bool ok;
    int64_t at, took; // milliseconds of master_now
    unsigned succeeded;
    char why[WORKER_TEXT + 1]; // where it failed: all that was said
};

enum { SOCKETS_MAX = INHERIT_MAX, OWNS_BYTES = SOCKETS_MAX * sizeof(_Atomic bool) };

enum master_state { STARTING, SERVING, STOPPING, ENDING };

// A place for one worker.
struct slot {
    pid_t pid;     // 0: none now
    int channel;   // to it, while there is one
    bool deaf;     // it says nothing more on it
    bool logs_due; // it has the logs of before they were opened again, and no room for a message
    bool ready;
    uint32_t pause;          // before the next start after one that was never ready
    int64_t start_at;        // when pid is 0
    bool ended_soon;         // the one before did, after it was ready
    pid_t replaces;          // the dead one, for the log; 0 at first
    int status;              // its end
    char held[FLIGHTS_TEXT]; // what it had under way
    bool loaded;             // the scripts of the reload under way
    int64_t since;           // when it was started, or was ready
    unsigned ends;           // of workers in this place, so far
    int64_t asked_at; // when it first asked for the CHANNEL_CURRENT it waits for; 0: it does not
    bool failure_due; // it is to be told whether the last reload failed
    enum timers_share share; // of the background work, as it was told
    bool rests;              // it does none any more: it ends
    unsigned rooms_seen;     // rooms.seen when it was started
};

struct master {
    const struct config *config;
    struct inherited *inherited;
    struct notify notify;
    int *sockets;               // −1: not opened yet
    struct file_id *socket_ids; // of the unix sockets among them
    bool *socket_shared;        // not ours alone: neither shut down nor removed
    _Atomic bool *owns_socket;  // the reverse of it, for workers to read: in shared memory
    unsigned socket_count;
    struct worker_shared *shared;
    struct places places;
    struct figures *figures; // of metrics; NULL: nobody asks
    struct cache *cache;
    bool cache_is_shared; // with the server that this one replaces, while that lives
    struct tend tend;     // of it
    struct slot *slots;
    const char *temp;     // where large bodies wait
    struct temp own_temp; // the same, where we made it
    int pid_fd, signal_fd;
    enum master_state state;
    int64_t deadline; // of STOPPING and ENDING
    int status;
    sigset_t signals;
    uint32_t stop_ms; // timeouts.stop of the settings in force
    struct told told; // what workers start with: the scripts and settings in force
    struct reload reload;
    struct watch_tree *watch;      // of scripts/, with --dev; NULL: none
    struct watch_tree *watch_site; // the same of site/
    uint32_t saves;                // of that so far
    bool bare;                     // no scripts could be loaded since the start, with --dev
    struct replace replace;
    struct duty duty;
    struct rooms rooms;
    struct reload_end last;
    int log_fds[2];   // the error and the access log, opened again; −1: as at the start
    int64_t logs_due; // when workers that have old logs are told again; INT64_MAX: none has
    int64_t began;
    time_t began_wall;
    struct control *control; // NULL: none
    char control_path[PATH_MAX];
    struct file_id control_id;
    int64_t control_look; // when its file is looked for again
    bool control_lost;    // that it is gone for good was said
    int control_fd;       // of the server that this one replaces, until it is ready; −1
};

int64_t master_now(void); // milliseconds

// master_workers.c
void master_start_due(struct master *m);   // in places without a worker that have waited
void master_end_unready(struct master *m); // those that do not get so far in a server that serves
int64_t master_workers_due(const struct master *m); // INT64_MAX: nothing is
void master_hear_all(struct master *m);             // what they have said
void master_reap(struct master *m);                 // children that have ended
void master_signal_workers(const struct master *m, int signo);
unsigned master_count_workers(const struct master *m);
struct slot *master_slot(const struct master *m, pid_t pid);
bool master_all_ready(const struct master *m);
// What has come on a channel, with its text ended. 1, 0 when there is nothing now, −errno.
int master_hear(int channel, struct worker_word *word);
// In a process that was just forked: what is the master's alone is closed, and the job is filled
// in. mine: what the process is to load, m->told or m->reload.new; the other one is closed as well.
void master_leave(const struct master *m, const struct told *mine, struct worker_job *job);

// master_logs.c
void master_reopen_logs(struct master *m);
void master_give_due_logs(struct master *m); // to workers that had no room for them

// reload.c
bool reload_first(struct master *m,
                  char why[static SNAPSHOT_WHY_MAX]); // what the first workers start with
// The number of the reload that will answer it; 0: none will, the server stops.
unsigned reload_ask(struct master *m);
void reload_on_word(struct master *m, struct slot *s, const struct worker_word *word);
void reload_on_checker_word(struct master *m);   // there may be one
bool reload_on_end(struct master *m, pid_t pid); // of a child: whether it was the checker
void reload_on_worker_end(struct master *m);
void reload_on_saved(struct master *m); // the watch may have something to tell
void reload_on_turn(struct master *m);
int64_t reload_due(const struct master *m); // INT64_MAX: nothing is
void reload_stop(struct master *m);         // the server stops
void reload_give_back(struct master *m);

// saves.c, with --dev
void saves_watch(struct master *m);
void saves_give_back(struct master *m);
bool saves_found(struct master *m); // scripts/ or site/, which was not there before
void saves_look(struct master *m);  // at site/
void saves_open_report(struct reload *r);
void saves_close_report(struct reload *r);
void saves_write_report(int report, struct str text);
void saves_tell_failure(struct master *m, const char *why);
void saves_tell_new(struct master *m, struct slot *s); // who has come after it
void saves_mended(struct master *m);                   // what is saved is what runs
bool saves_tell_due(struct master *m);                 // false: somebody has no room for it now
// Appends the lines around the place that a message begins with, each behind a line feed; nothing
// where it begins with none. scripts: a snapshot.
enum { SAVES_EXCERPT = 4096 };
void saves_add_excerpt(int scripts, struct str message, struct buf *out);

// master_sockets.c: false, said on stderr
bool master_open_sockets(struct master *m);
// Those that the site's user binds, whom root has become.
bool master_open_late_sockets(struct master *m);

// master_start.c
bool master_start(struct master *m); // false, said on stderr or in the log
// Once all workers are ready. declared: with --dev, what the site is; else "".
void master_say_start(const struct master *m, const char *declared);
void master_tell_ready(struct master *m); // the service manager
void master_address(const struct master *m, unsigned i, char dst[static ADDR_TEXT_MAX]);

// master_control.c: what is heard on the control socket
void master_place_control(struct master *m); // as root: makes the folder for its user
bool master_open_control(struct master *m);  // false, said on stderr: the start fails
void master_keep_control(struct master *m);  // a file that is gone is made anew
int64_t master_control_due(const struct master *m);
void master_take_control(struct master *m); // that of the server that this one replaces
void master_stopped(struct master *m);      // who waits for that hears it, and the socket goes

// master.c, for those
void master_share_socket(struct master *m, unsigned i, bool shared);
void master_stop(struct master *m);     // as TERM does
void master_end(struct master *m);      // as QUIT does
void master_leave_to(struct master *m); // another has taken over: stops, but not the workers
bool master_complain(const struct master *m, const char *format, ...)
    __attribute__((format(printf, 2, 3))); // false

#endif

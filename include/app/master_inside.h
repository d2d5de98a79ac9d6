// Private to master.c and reload.c: the master's state.
#ifndef LUNETTE_APP_MASTER_INSIDE_H
#define LUNETTE_APP_MASTER_INSIDE_H

#include "app/config.h"
#include "app/files.h"
#include "app/worker.h"
#include "base/snapshot.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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
    bool again;      // it was asked for once more meanwhile
    struct told new; // what is tried; number also says how many there were
    pid_t checker;   // 0: none
    bool passed;     // the checker has said so
    int64_t began, deadline;
};

enum master_state { STARTING, SERVING, STOPPING, ENDING };

// A place for one worker.
struct slot {
    pid_t pid;   // 0: none now
    int channel; // to it, while there is one
    bool ready;
    uint32_t pause;          // before the next start after one that was never ready
    int64_t start_at;        // when pid is 0
    pid_t replaces;          // the dead one, for the log; 0 at first
    int status;              // its end
    char held[FLIGHTS_TEXT]; // what it had under way
    bool loaded;             // the scripts of the reload under way
};

struct master {
    const struct config *config;
    int *sockets;
    struct file_id *socket_ids; // of the unix sockets among them
    unsigned socket_count;
    struct worker_shared *shared;
    struct cache *cache;
    struct slot *slots;
    const char *temp;  // where large bodies wait
    char own_temp[32]; // the same, where we made it; else ""
    int pid_fd, signal_fd;
    int ready_pipe[2];
    enum master_state state;
    int64_t deadline; // of STOPPING and ENDING
    int status;
    sigset_t signals;
    uint32_t stop_ms; // timeouts.stop of the settings in force
    struct told told; // what workers start with: the scripts and settings in force
    struct reload reload;
};

int64_t master_now(void); // milliseconds
struct slot *master_slot(struct master *m, pid_t pid);
bool master_all_ready(const struct master *m);
// In a process that was just forked: what is the master's alone is closed, and the job is filled in.
// mine: what the process is to load, m->told or m->reload.new; the other one is closed as well.
void master_leave(const struct master *m, const struct told *mine, struct worker_job *job);

// reload.c
bool reload_first(struct master *m,
                  char why[static SNAPSHOT_WHY_MAX]); // what the first workers start with
void reload_ask(struct master *m);
void reload_on_word(struct master *m, struct slot *s, const struct worker_word *word);
void reload_on_checker_word(struct master *m, const struct worker_word *word);
bool reload_on_end(struct master *m, pid_t pid); // of a child: whether it was the checker
void reload_on_worker_end(struct master *m);
void reload_on_turn(struct master *m);
int64_t reload_due(const struct master *m); // INT64_MAX: nothing is
void reload_stop(struct master *m);         // the server stops
void reload_give_back(struct master *m);

#endif

// One connection to a SQLite database, with the statements that it keeps prepared.
//
// Everything here blocks, and is called by one thread at a time: a thread of the pool that has the
// connection for a job. Only `stop` may be set by another, to end what runs.
#ifndef LUNETTE_SCRIPT_SQLITE_CONN_H
#define LUNETTE_SCRIPT_SQLITE_CONN_H

#include "base/str.h"
#include "script/sqlite_error.h"
#include "script/sqlite_guard.h"

#include <stdatomic.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

enum {
    SQL_BYTES_MAX = 1 << 20, // of the SQL of one call
    VALUES_MAX = 32766,      // of one call
    // Of statements. A LIKE or GLOB is one instruction, which nothing stops: of a megabyte it takes 0.4 s
    // with the worst pattern of so many bytes.
    LIKE_BYTES_MAX = 256,
    EXPRESSION_DEPTH_MAX = 500,
    COMPOUND_MAX = 250, // SELECTs that UNION and the like put together; rows of VALUES are none
    INSTRUCTIONS_MAX = 500000,
    ARGUMENTS_MAX = 100,        // of a function
    TRIGGER_DEPTH_MAX = 100,    // triggers that set off triggers
    VALUE_BYTES_MAX = 64 << 20, // of a text, a blob, or a row of a table
    MEMORY_BYTES_MAX =
        256 << 20, // that SQLite may take in a worker: page caches, sorting, :memory:
    JOURNAL_BYTES_MAX = 16 << 20, // to which the write-ahead log is cut when it starts anew
    CURSORS_MAX = 16,             // statements under way on one connection: loops within loops
};

// How the connections to a database are made. Outlives them.
struct sqlite_setup {
    const char *path;    // absolute; NULL: in memory, and so one connection only
    unsigned statements; // that a connection keeps prepared at most
    bool full;           // synchronous=FULL: a commit survives a power failure at once
    // Set by the first connection that finds that the file system cannot have a write-ahead log, which is
    // in the log then.
    atomic_bool without_wal;
};

struct sqlite_stmt {
    struct sqlite_stmt *next; // in `cursors` or `kept`
    struct sqlite3_stmt *stmt;
    struct str sql; // the whole of it; its bytes are behind the struct
    uint64_t id;    // of a cursor; never 0
    bool inserts;   // INSERT, REPLACE: as opposed to what its triggers do
};

struct sqlite_conn {
    struct sqlite_setup *setup;
    bool reader;        // cannot write
    struct sqlite3 *db; // NULL: not open
    struct sqlite_guard guard;
    struct sqlite_stmt *cursors; // under way
    struct sqlite_stmt *kept;    // prepared, the one used last first
    unsigned cursor_count, kept_count;
    uint64_t cursors_begun;
    int64_t row_watched; // whether a row with this rowid
    bool row_inserted;   // was inserted, by whatever: a statement, a trigger, a virtual table
    uint64_t deadline;   // on sqlite_conn_now(): until when it waits for other connections' locks
    atomic_bool stop;    // what runs ends with SQLITE_INTERRUPT, what waits with SQLITE_BUSY
    bool transaction;    // begun by QUERY_DO
    bool unchecked;      // so are foreign keys that are not looked at
    bool bad;            // a failure after which it is not used again
};

// Milliseconds of the monotonic clock.
uint64_t sqlite_conn_now(void);

// Opens the file, which is made when it is missing, if the connection is not open yet: write-ahead log,
// foreign keys, temporary things in memory. The first one loads SQLite. False with a failure.
bool sqlite_conn_open(struct sqlite_conn *c, struct sqlite_failure *f);
void sqlite_conn_close(struct sqlite_conn *c);
// Ends what is under way: cursors, and a transaction, which is rolled back.
void sqlite_conn_tidy(struct sqlite_conn *c);
// Whether there is anything to tidy. It calls nothing of SQLite's, which makes it fit for the loop.
bool sqlite_conn_is_untidy(const struct sqlite_conn *c);

// The first statement of sql as a cursor, kept or newly prepared. *rest is what follows it, without
// blanks and comments. NULL with a failure; and without one where there is no statement at all.
struct sqlite_stmt *sqlite_conn_prepare(struct sqlite_conn *c, struct str sql, struct str *rest,
                                        struct sqlite_failure *f);
struct sqlite_stmt *sqlite_conn_cursor(const struct sqlite_conn *c, uint64_t id); // or NULL
// The cursor is over: reset, and kept for the next time.
void sqlite_conn_end(struct sqlite_conn *c, struct sqlite_stmt *s);

// Statements of ours: BEGIN IMMEDIATE, COMMIT, savepoints, pragmas. False with a failure.
bool sqlite_conn_do(struct sqlite_conn *c, const char *sql, struct sqlite_failure *f);
// Notes that the call of SQLite that was last failed with code.
void sqlite_conn_fail(struct sqlite_conn *c, int code, struct sqlite_failure *f);

#endif

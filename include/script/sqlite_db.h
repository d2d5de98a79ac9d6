// A database of one generation: its connections, and who has which of them.
//
// Several connections read, one writes. Whoever wants one takes a lease; where none is free the wish
// waits in line, first come first served, and at most for the database's timeout. So of the writers
// of a worker one at a time is in a thread of the pool, where it may have to wait for those of other
// workers.
//
// Loops over rows hold their connection for as long as they like, and what is done in them may need
// another: they never get the last one.
//
// drawing:
//   free ──take──► leased ──job──► working ──job over──► leased ──end──┐
//     ▲                               │ lease ended meanwhile          │
//     │                               ▼                                ▼
//     └──────────── tidied in a thread, if there is anything ◄─── not leased
//
// A lease that ends while a thread works for it (its handler was cancelled) tells the thread to stop; the
// connection is free when it has. A database that is closed is gone when the last thread is done.
// All functions belong to the loop's thread.
#ifndef LUNETTE_SCRIPT_SQLITE_DB_H
#define LUNETTE_SCRIPT_SQLITE_DB_H

#include "net/pool.h"
#include "net/timeout.h"
#include "script/sqlite_conn.h"

struct sqlite_db;
struct sqlite_link; // a connection of it

enum { DATABASES_MAX = 256 }; // of a worker, over all of its generations

struct sqlite_db_options {
    char *path; // as in struct sqlite_setup; sqlite_db_new takes it over
    unsigned statements;
    bool full;
    unsigned readers;    // connections that read, at least 2
    uint32_t timeout_ms; // for a connection, and for the locks of other processes, together
    struct loop *loop;
    struct pool *pool;
};

enum sqlite_use {
    USE_READ, // for one call
    USE_LOOP, // for rows of which each may take its time
    USE_WRITE,
    USE_TRANSACTION,
};

struct sqlite_lease {
    struct sqlite_link *link; // NULL: none
};

// A wish that waits. Valid until ready, or sqlite_db_leave.
struct sqlite_turn {
    void (*ready)(
        struct sqlite_turn *t); // lease->link is the connection, or NULL: too late, or closed
    struct sqlite_lease *lease; // outlives the turn
    enum sqlite_use use;
    uint64_t serial;   // of the co: see sqlite_db_would_block
    uint64_t deadline; // on sqlite_conn_now()
    struct timeout timeout;
    struct sqlite_db *db; // NULL: it does not wait
    struct sqlite_turn *next, **link;
};

// NULL with errno: ENOMEM, or EMFILE when there are DATABASES_MAX (path is freed). Nothing is opened yet.
struct sqlite_db *sqlite_db_new(const struct sqlite_db_options *o);
// Nothing is leased any more; what is leased or works goes on to its end.
void sqlite_db_close(struct sqlite_db *db);
// How many of this process were closed and still have connections: what they do to their files (the last
// one writes its log back, and removes it by its name) is not over.
unsigned sqlite_db_closing(void);
// Closes the connections that are free, here and now; they are opened again when they are wanted. Whether
// that was all, so that the file has everything and may be copied.
bool sqlite_db_rest(struct sqlite_db *db);
const struct sqlite_db_options *sqlite_db_options(const struct sqlite_db *db);
bool sqlite_db_in_memory(const struct sqlite_db *db);

// Whether the co with that serial would wait for itself: it is in a transaction that has the
// connection which is wanted.
bool sqlite_db_would_block(const struct sqlite_db *db, enum sqlite_use use, uint64_t serial);
// What has the connections that are waited for.
unsigned sqlite_db_loops(const struct sqlite_db *db);      // loops over rows that have one
bool sqlite_db_in_transaction(const struct sqlite_db *db); // a transaction has the one that writes
enum sqlite_taken {
    TAKEN,        // t->lease has a connection, t is not used any more
    TAKEN_LATER,  // t->ready will be called
    TAKEN_FAILED, // no memory
};
// t has ready, lease, use and serial.
enum sqlite_taken sqlite_db_take(struct sqlite_db *db, struct sqlite_turn *t);
// The wish is withdrawn, if it still waits.
void sqlite_db_leave(struct sqlite_turn *t);
// The connection goes back. NULL is fine.
void sqlite_lease_end(struct sqlite_lease *l);
// The loop over the cursor was left: it is ended by the next job of the lease, or its end.
void sqlite_lease_leave_cursor(struct sqlite_lease *l, uint64_t cursor);

// A job begins on the connection: at most one at a time, and none where one was stopped.
bool sqlite_lease_is_free(const struct sqlite_lease *l);
struct sqlite_link *sqlite_link_begin(struct sqlite_lease *l);
struct sqlite_conn *sqlite_link_conn(struct sqlite_link *link);
// Moves the cursors that were left to ids; how many.
unsigned sqlite_link_left(struct sqlite_link *link, uint64_t ids[static CURSORS_MAX]);
void sqlite_link_stop(struct sqlite_link *link); // nobody wants the job's outcome
void sqlite_link_over(struct sqlite_link *link); // the job is over, or was never begun

#endif

// The connections of a database, and who has which of them.
//
// Several connections read, one writes; a database in memory has the one that writes for everything. They
// are made when they are first wanted. Whoever wants one takes a lease.
//
// Loops over rows hold their connection for as long as they like, and what is done in them may need
// another: they never get the last one.
//
// drawing:
//   free ──lease──► leased ──job──► working ──job over──► leased ──end──┐
//     ▲                                │ lease ended meanwhile          │
//     │                                ▼                                ▼
//     └───────────── tidied in a thread, if there is anything ◄─── not leased
//
// A lease that ends while a thread works for it (its handler was cancelled) tells the thread to stop; the
// connection is free when it has. Where the set is closed, closing takes the place of being free.
// All functions belong to the loop's thread.
#ifndef LUNETTE_SCRIPT_SQLITE_LINK_H
#define LUNETTE_SCRIPT_SQLITE_LINK_H

#include "net/pool.h"
#include "script/sqlite_conn.h"

struct sqlite_link; // a connection of the set

enum sqlite_use {
    USE_READ, // for one call
    USE_LOOP, // for rows of which each may take its time
    USE_WRITE,
    USE_TRANSACTION,
};

struct sqlite_lease {
    struct sqlite_link *link; // NULL: none
};

// All of a database. Zeroed but for setup, pool, most_readers and changed, it has none yet.
struct sqlite_links {
    struct sqlite_setup setup;
    struct pool *pool;
    unsigned most_readers; // at least 2
    // A connection is free, or the last one of a closed set is gone. It may lease others; nothing of the
    // set is touched after it, so that it may free the set when that is closed and count is 0.
    void (*changed)(struct sqlite_links *ls);

    struct sqlite_link *free_readers;
    struct sqlite_link *to_close; // of a closed set: those that are free
    struct sqlite_link *writer;
    unsigned readers; // there are
    unsigned loops;   // of them, leased for loops
    unsigned count;   // all of them
    bool closed;
    bool closes; // one of them does
};

// Whether that use has a connection that only reads.
bool sqlite_links_reads(const struct sqlite_links *ls, enum sqlite_use use);
// A connection for the use if one may be had now, to be leased at once; *lacks is set when only memory
// was missing.
struct sqlite_link *sqlite_links_find(struct sqlite_links *ls, enum sqlite_use use, bool *lacks);
// Whether a transaction has the one that writes; *serial is that of its co.
bool sqlite_links_in_transaction(const struct sqlite_links *ls, uint64_t *serial);
// Closes those that are free, here and now; they are opened again when they are wanted. Whether those
// were all.
bool sqlite_links_rest(struct sqlite_links *ls);
// Once: those that are free are closed, one after the other, and others when they are given back.
// changed is called before this returns when that needs no thread, and not at all where there are none:
// the caller keeps the set until then.
void sqlite_links_close(struct sqlite_links *ls);

// l, which has none, has the connection, which was found for that use. deadline is that of its locks, on
// sqlite_conn_now().
void sqlite_lease_begin(struct sqlite_lease *l, struct sqlite_link *link, enum sqlite_use use,
                        uint64_t serial, uint64_t deadline);
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

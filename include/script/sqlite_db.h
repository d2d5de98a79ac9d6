// A database of one generation: its connections (script/sqlite_link.h), and who waits for one.
//
// Where none is free the wish waits in line, first come first served, and at most for the database's
// timeout. So of the writers of a worker one at a time is in a thread of the pool, where it may have to
// wait for those of other workers. A database that is closed is gone when the last thread is done.
// All functions belong to the loop's thread.
#ifndef LUNETTE_SCRIPT_SQLITE_DB_H
#define LUNETTE_SCRIPT_SQLITE_DB_H

#include "net/timeout.h"
#include "script/sqlite_link.h"

struct sqlite_db;

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

#endif

// What a site's SQL must not do to a connection that other handlers use after it, nor to files.
//
// Statements are judged when they are prepared (sqlite3_set_authorizer):
//   - ATTACH, DETACH and VACUUM INTO, which reach other files;
//   - BEGIN, COMMIT, SAVEPOINT …: transactions are db:transaction's;
//   - TEMP tables, indices, triggers and views, which would stay, and whatever else makes or changes
//     something in the schema "temp";
//   - pragmas that change the connection; those that ask, and those that change the database file
//     alone, are allowed;
//     PRAGMA defer_foreign_keys = ON is one of a transaction, which ends it; what several statements begin
//     with is judged before theirs is begun;
//   - load_extension().
#ifndef LUNETTE_SCRIPT_SQLITE_GUARD_H
#define LUNETTE_SCRIPT_SQLITE_GUARD_H

#include <stdbool.h>

struct sqlite3;

struct sqlite_guard {
    struct sqlite3 *db;
    bool judging; // a site's statement is being prepared; all else is lunette's or SQLite's own
    const char *refused; // why it was refused: a sentence; NULL: it was not
    bool pragma;         // what was judged last is one: it may do its work while it is prepared
    bool inserts;        // it inserts by itself, and not by a trigger
    bool deferred;       // foreign keys are looked at when the transaction ends
};

void sqlite_guard_set(struct sqlite_guard *g, struct sqlite3 *db);

#endif

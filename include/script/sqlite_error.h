// What went wrong with a call of SQLite, kept until somebody in Lua is there to be told.
//
// Filled in a thread of the pool, so it holds its text itself.
#ifndef LUNETTE_SCRIPT_SQLITE_ERROR_H
#define LUNETTE_SCRIPT_SQLITE_ERROR_H

#include <stdbool.h>

struct sqlite3;

enum { FAILURE_TEXT_MAX = 512 }; // longer messages are cut

struct sqlite_failure {
    int code; // SQLite's extended result code; 0 (SQLITE_OK): nothing went wrong
    char text[FAILURE_TEXT_MAX];
};

// Notes a failure with a sentence of ours; of two, the first counts.
void sqlite_fail(struct sqlite_failure *f, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The same with what SQLite says about the last call with db.
void sqlite_fail_db(struct sqlite_failure *f, int code, struct sqlite3 *db);

// The word for a code that sites branch on: "constraint", "busy", "full", "readonly", "corrupt",
// "sql", "misuse", "interrupt", "io", …; src/lua/lunette/sqlite.lua lists them.
const char *sqlite_kind(int code);
// "SQLITE_CONSTRAINT_UNIQUE"
const char *sqlite_code_name(int code);
// Whether a connection that failed so is better closed than used again.
bool sqlite_is_fatal(int code);

#endif

// SQLite's functions: see the header.
#include "script/sqlite_library.h"

struct sqlite_functions sqlite;

#define SQLITE_NAME(name) "sqlite3_" #name "\0"

const char *sqlite_library_load(void)
{
    static struct library library = {
        .what = "SQLite",
        .file = "libsqlite3.so.0", // of all versions of SQLite 3
        .names = SQLITE_FUNCTIONS(SQLITE_NAME),
        .pointers = &sqlite,
        .size = sizeof sqlite,
    };
    return library_load(&library);
}

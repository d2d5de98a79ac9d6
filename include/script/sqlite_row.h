// How rows are encoded on their way from a thread to Lua; sqlite_query.h has the decoding.
#ifndef LUNETTE_SCRIPT_SQLITE_ROW_H
#define LUNETTE_SCRIPT_SQLITE_ROW_H

#include "script/sqlite_query.h"

// The number of columns and their names. These return false when b may not grow so far, or there is no
// memory.
bool sqlite_add_names(struct buf *b, struct sqlite3_stmt *stmt);
// The row that stmt is at.
bool sqlite_add_row(struct buf *b, struct sqlite3_stmt *stmt);

#endif

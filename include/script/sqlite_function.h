// Functions of SQL that take SQLite's place, since its own may run for hours within one instruction of its
// machine, where nothing can stop them: it looks for the second argument at every byte of the first.
//
// instr and replace find it in linear time, with the same results; trim, ltrim and rtrim refuse a set of
// more than TRIM_BYTES_MAX bytes.
#ifndef LUNETTE_SCRIPT_SQLITE_FUNCTION_H
#define LUNETTE_SCRIPT_SQLITE_FUNCTION_H

#include <stdbool.h>

struct sqlite3;

enum { TRIM_BYTES_MAX = 128 }; // of the characters that trim(x, characters) takes away

// False without memory.
bool sqlite_function_register(struct sqlite3 *db);

#endif

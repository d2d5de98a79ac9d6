// A call of a site's, done on a connection in a thread of the pool: values in, rows out as bytes.
//
// Neither side looks at the other's memory: what Lua asks is copied into the query before, and rows
// come back encoded, in batches, so that a result may be larger than what is held at a time.
#ifndef LUNETTE_SCRIPT_SQLITE_QUERY_H
#define LUNETTE_SCRIPT_SQLITE_QUERY_H

#include "base/buf.h"
#include "script/sqlite_conn.h"

enum {
    BATCH_BYTES = 64 << 10, // of encoded rows: as soon as there are so many they are handed over
    ROW_BYTES_MAX = VALUE_BYTES_MAX + (1 << 20), // of one row of a result
};

enum sqlite_mode {
    QUERY_EXEC, // the statement to its end, without its rows; without values also several, as one
                // transaction
    QUERY_ROWS, // one statement: its first batch of rows
    QUERY_ROW,  // one statement: its first row alone
    QUERY_MORE, // the next batch of `cursor`
    QUERY_DO,   // a statement of ours: BEGIN IMMEDIATE, COMMIT, savepoints
};

enum sqlite_type { VALUE_NULL, VALUE_INTEGER, VALUE_FLOAT, VALUE_TEXT, VALUE_BLOB };

// A value for a parameter.
struct sqlite_value {
    enum sqlite_type type;
    union {
        int64_t integer;
        double number;
        struct str bytes;
    };
    struct str name; // with values by name: of the key, without ':'
    bool used;
};

struct sqlite_query {
    // what is asked
    enum sqlite_mode mode;
    struct str sql; // ends with a NUL that is not counted, and has none
    struct sqlite_value *values;
    unsigned value_count;
    bool named;                 // the values came in one table
    uint64_t cursor;            // of QUERY_MORE
    uint64_t left[CURSORS_MAX]; // cursors that are wanted no more, and are ended first
    unsigned left_count;

    // what came of it
    struct sqlite_failure failure;
    bool writes;     // it would write, and the connection cannot: nothing was done
    struct buf rows; // names, then rows: see below
    unsigned row_count;
    uint64_t more;   // the cursor of a result that goes on; 0: it was all
    int64_t changes; // rows that EXEC inserted, updated or deleted
    bool inserted;
    int64_t last_id; // the rowid of the last row that it inserted, if it did
};

void sqlite_query_init(struct sqlite_query *q);
void sqlite_query_run(struct sqlite_conn *c, struct sqlite_query *q);

// q->rows begins with the number of columns and their names; each row is a value for every column.
// Readers of it: each takes what it returns off the front of *s.
uint32_t sqlite_take_count(struct str *s);
struct str sqlite_take_bytes(struct str *s);
struct sqlite_value sqlite_take_value(struct str *s);

#endif

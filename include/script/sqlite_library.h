// SQLite's functions, loaded when the first database is opened (base/library.h): a server without
// one has 0.4 MiB less at rest. sqlite3_step is sqlite.step, and so on.
//
// Opening a connection loads it (script/sqlite_conn.h), so that who has one has the functions.
#ifndef LUNETTE_SCRIPT_SQLITE_LIBRARY_H
#define LUNETTE_SCRIPT_SQLITE_LIBRARY_H

#include "base/library.h"

#include <sqlite3.h>

// All that is called of it.
#define SQLITE_FUNCTIONS(X) \
    X(bind_blob64)          \
    X(bind_double)          \
    X(bind_int64)           \
    X(bind_null)            \
    X(bind_parameter_count) \
    X(bind_parameter_name)  \
    X(bind_text64)          \
    X(busy_handler)         \
    X(changes64)            \
    X(clear_bindings)       \
    X(close)                \
    X(column_blob)          \
    X(column_bytes)         \
    X(column_count)         \
    X(column_double)        \
    X(column_int64)         \
    X(column_name)          \
    X(column_text)          \
    X(column_type)          \
    X(context_db_handle)    \
    X(create_function_v2)   \
    X(data_count)           \
    X(db_config)            \
    X(db_handle)            \
    X(errcode)              \
    X(errmsg)               \
    X(errstr)               \
    X(exec)                 \
    X(finalize)             \
    X(free)                 \
    X(get_autocommit)       \
    X(hard_heap_limit64)    \
    X(last_insert_rowid)    \
    X(limit)                \
    X(malloc64)             \
    X(mprintf)              \
    X(open_v2)              \
    X(prepare_v3)           \
    X(progress_handler)     \
    X(randomness)           \
    X(reset)                \
    X(result_error)         \
    X(result_error_nomem)   \
    X(result_error_toobig)  \
    X(result_int64)         \
    X(result_text64)        \
    X(result_value)         \
    X(set_authorizer)       \
    X(step)                 \
    X(stmt_readonly)        \
    X(total_changes64)      \
    X(update_hook)          \
    X(user_data)            \
    X(value_blob)           \
    X(value_bytes)          \
    X(value_dup)            \
    X(value_free)           \
    X(value_text)           \
    X(value_type)

#define SQLITE_POINTER(name) typeof(sqlite3_##name) *name;
struct sqlite_functions {
    SQLITE_FUNCTIONS(SQLITE_POINTER)
};
#undef SQLITE_POINTER

extern struct sqlite_functions sqlite; // all NULL until it is loaded

// NULL: they are there, for good. Else why not: library_load. From any thread.
const char *sqlite_library_load(void);

#endif

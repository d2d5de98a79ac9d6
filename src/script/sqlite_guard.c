// The authorizer: see the header.
#include "script/sqlite_guard.h"

#include <sqlite3.h>
#include <stddef.h>
#include <strings.h>

// Pragmas that scripts may use. Those with `sets` may be given a value: it is kept in the file, or
// ends with the transaction, or is the name of what is asked for.
static const struct {
    const char *name;
    bool sets;
} pragmas[] = {
    {"analysis_limit", false},    {"application_id", true},    {"auto_vacuum", true},
    {"cache_size", false},        {"collation_list", false},   {"compile_options", false},
    {"data_version", false},      {"database_list", false},    {"defer_foreign_keys", true},
    {"encoding", false},          {"foreign_key_check", true}, {"foreign_key_list", true},
    {"foreign_keys", false},      {"freelist_count", false},   {"function_list", false},
    {"incremental_vacuum", true}, {"index_info", true},        {"index_list", true},
    {"index_xinfo", true},        {"integrity_check", true},   {"journal_mode", false},
    {"module_list", false},       {"optimize", true},          {"page_count", false},
    {"page_size", false},         {"pragma_list", false},      {"quick_check", true},
    {"schema_version", false},    {"synchronous", false},      {"table_info", true},
    {"table_list", true},         {"table_xinfo", true},       {"user_version", true},
    {"wal_checkpoint", true},
};

static bool is_pragma_allowed(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
        if (strcasecmp(pragmas[i].name, name) == 0)
            return pragmas[i].sets || !value;
    return false;
}

// Why the action is refused; NULL: it is not.
static const char *judge(int action, const char *a, const char *b)
{
    switch (action) {
    case SQLITE_ATTACH:
        // VACUUM attaches a database of no name while it runs, which is not judged.
        return "ATTACH is not for scripts: every database is opened with sqlite.open";
    case SQLITE_DETACH:
        return "DETACH is not for scripts";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        return "transactions are begun and ended by db:transaction(function(tx) … end)";
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
        return "TEMP tables, views and triggers would stay on a connection that others use";
    case SQLITE_PRAGMA:
        return is_pragma_allowed(a, b)
                   ? NULL
                   : "this pragma is not for scripts: it would change a connection that others use";
    case SQLITE_FUNCTION:
        return b && strcasecmp(b, "load_extension") == 0 ? "load_extension is not for scripts"
                                                         : NULL;
    default:
        return NULL;
    }
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    (void)database, (void)trigger;
    struct sqlite_guard *g = arg;
    if (!g->judging) {
        // VACUUM INTO comes to its file only when it runs.
        bool named = action == SQLITE_ATTACH && !(a && !*a);
        if (named)
            g->refused = "VACUUM INTO is not for scripts: it would write another file";
        return named ? SQLITE_DENY : SQLITE_OK;
    }
    const char *why = judge(action, a, b);
    if (!why)
        return SQLITE_OK;
    g->refused = why;
    return SQLITE_DENY;
}

void sqlite_guard_set(struct sqlite_guard *g, struct sqlite3 *db)
{
    sqlite3_set_authorizer(db, authorize, g);
}

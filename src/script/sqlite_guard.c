// The authorizer: see the header.
#include "script/sqlite_guard.h"
#include "script/sqlite_library.h"

#include <stddef.h>
#include <strings.h>

// Pragmas that scripts may use. Those with `sets` may be given a value: it is kept in the file, or
// ends with the transaction, or is the name of what is asked for.
static const struct {
    const char *name;
    bool sets;
} pragmas[] = {
    {"analysis_limit", false},   {"application_id", true},   {"auto_vacuum", true},
    {"cache_size", false},       {"collation_list", false},  {"compile_options", false},
    {"data_version", false},     {"database_list", false},   {"encoding", false},
    {"foreign_key_check", true}, {"foreign_key_list", true}, {"foreign_keys", false},
    {"freelist_count", false},   {"function_list", false},   {"incremental_vacuum", true},
    {"index_info", true},        {"index_list", true},       {"index_xinfo", true},
    {"integrity_check", true},   {"journal_mode", false},    {"module_list", false},
    {"optimize", true},          {"page_count", false},      {"page_size", false},
    {"pragma_list", false},      {"quick_check", true},      {"schema_version", false},
    {"synchronous", false},      {"table_info", true},       {"table_list", true},
    {"table_xinfo", true},       {"user_version", true},     {"wal_checkpoint", true},
};

static const char in_temp[] =
    "TEMP tables, views and triggers would stay on a connection that others use";

static const char *judge_defer(struct sqlite_guard *g, const char *value)
{
    if (!value)
        return NULL;
    if (sqlite.get_autocommit(g->db))
        return "PRAGMA defer_foreign_keys is set in a transaction, and holds until that ends";
    g->deferred = true;
    return NULL;
}

static bool is_pragma_allowed(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
        if (strcasecmp(pragmas[i].name, name) == 0)
            return pragmas[i].sets || !value;
    return false;
}

// Why the action is refused; NULL: it is not.
static const char *judge(struct sqlite_guard *g, int action, const char *a, const char *b)
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
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
        return in_temp;
    case SQLITE_PRAGMA:
        g->pragma = true;
        if (strcasecmp(a, "defer_foreign_keys") == 0)
            return judge_defer(g, b);
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

// What makes, changes or drops something in the schema that is named "temp", which is the connection's own:
// it would stay there, and take the place of what main has under the same name. Tables are not the only
// way to it: virtual ones have no action of their own for "temp", and a trigger of it on a table of main is
// seen by its row in temp's schema alone.
static bool stays_in_temp(int action, const char *a, const char *b, const char *database)
{
    switch (action) {
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_VTABLE:
    case SQLITE_REINDEX:
    case SQLITE_ANALYZE:
    case SQLITE_INSERT:
        break;
    case SQLITE_ALTER_TABLE:
        database = a;
        break;
    case SQLITE_PRAGMA:
        if (!b)
            return false;
        break;
    default:
        return false;
    }
    return database && strcasecmp(database, "temp") == 0;
}

// What the statement itself inserts into; SQLite's own tables are those of CREATE.
static bool is_insert(int action, const char *table, const char *trigger)
{
    return action == SQLITE_INSERT && !trigger && strncasecmp(table, "sqlite_", 7) != 0;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    struct sqlite_guard *g = arg;
    if (!g->judging) {
        // VACUUM INTO comes to its file only when it runs.
        bool named = action == SQLITE_ATTACH && !(a && !*a);
        if (named)
            g->refused = "VACUUM INTO is not for scripts: it would write another file";
        return named ? SQLITE_DENY : SQLITE_OK;
    }
    g->inserts = g->inserts || is_insert(action, a, trigger);
    const char *why = stays_in_temp(action, a, b, database) ? in_temp : judge(g, action, a, b);
    if (!why)
        return SQLITE_OK;
    g->refused = why;
    return SQLITE_DENY;
}

void sqlite_guard_set(struct sqlite_guard *g, struct sqlite3 *db)
{
    g->db = db;
    sqlite.set_authorizer(db, authorize, g);
}

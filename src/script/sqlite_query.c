// Calls on a connection: see the header.
#include "script/sqlite_query.h"

#include "script/sqlite_library.h"
#include "script/sqlite_row.h"

#include <stdlib.h>
#include <string.h>

void sqlite_query_init(struct sqlite_query *q)
{
    buf_init(&q->rows, BATCH_BYTES + ROW_BYTES_MAX);
}

// Values ------------------------------------------------------------------------------------------

// The memory of a query is gone when the next batch is asked for.
static int bind_value(struct sqlite3_stmt *stmt, int i, const struct sqlite_value *v, bool kept)
{
    sqlite3_destructor_type copy = kept ? SQLITE_STATIC : SQLITE_TRANSIENT;
    switch (v->type) {
    case VALUE_INTEGER:
        return sqlite.bind_int64(stmt, i, v->integer);
    case VALUE_FLOAT:
        return sqlite.bind_double(stmt, i, v->number);
    case VALUE_TEXT:
        return sqlite.bind_text64(stmt, i, v->bytes.p, v->bytes.n, copy, SQLITE_UTF8);
    case VALUE_BLOB:
        return sqlite.bind_blob64(stmt, i, v->bytes.p, v->bytes.n, copy);
    default:
        return sqlite.bind_null(stmt, i);
    }
}

static bool bind(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite3_stmt *stmt, int i,
                 const struct sqlite_value *v)
{
    int rc = bind_value(stmt, i, v, q->mode != QUERY_ROWS);
    if (rc == SQLITE_TOOBIG)
        sqlite_fail(&q->failure, rc, "the value of parameter %d has more than %d bytes", i,
                    VALUE_BYTES_MAX);
    else if (rc != SQLITE_OK)
        sqlite_conn_fail(c, rc, &q->failure);
    return rc == SQLITE_OK;
}

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

// ":title", "@title" and "$title" are names; "?" and "?1" are not.
static const char *name_of(struct sqlite3_stmt *stmt, int i)
{
    const char *name = sqlite.bind_parameter_name(stmt, i);
    return name && *name != '?' ? name + 1 : NULL;
}

static bool bind_in_order(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite3_stmt *stmt)
{
    unsigned count = (unsigned)sqlite.bind_parameter_count(stmt);
    for (unsigned i = 1; i <= count; i++) {
        const char *name = name_of(stmt, (int)i);
        if (!name)
            continue;
        sqlite_fail(&q->failure, SQLITE_MISUSE, ":%s takes its value from one table: { %s = … }",
                    name, name);
        return false;
    }
    if (count != q->value_count) {
        sqlite_fail(&q->failure, SQLITE_MISUSE, "the SQL has %u parameter%s, and %u value%s given",
                    count, plural(count), q->value_count, q->value_count == 1 ? " was" : "s were");
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        if (!bind(c, q, stmt, (int)i + 1, &q->values[i]))
            return false;
    return true;
}

static struct sqlite_value *find_value(struct sqlite_query *q, const char *name)
{
    for (unsigned i = 0; i < q->value_count; i++)
        if (str_eq(q->values[i].name, str_z(name)))
            return &q->values[i];
    return NULL;
}

// A name without a value is NULL, as nil is; a value without a name is a slip.
static bool bind_by_name(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite3_stmt *stmt)
{
    int count = sqlite.bind_parameter_count(stmt);
    for (int i = 1; i <= count; i++) {
        const char *name = name_of(stmt, i);
        if (!name) {
            sqlite_fail(&q->failure, SQLITE_MISUSE,
                        "parameter %d is a ?, which takes a value and not a table", i);
            return false;
        }
        struct sqlite_value *v = find_value(q, name);
        if (v && !bind(c, q, stmt, i, v))
            return false;
        if (v)
            v->used = true;
    }
    for (unsigned i = 0; i < q->value_count; i++) {
        struct str name = q->values[i].name;
        if (q->values[i].used)
            continue;
        sqlite_fail(&q->failure, SQLITE_MISUSE,
                    "a value named '%.*s' was given, and the SQL has no :%.*s", STR_ARG(name),
                    STR_ARG(name));
        return false;
    }
    return true;
}

// Statements --------------------------------------------------------------------------------------

static bool add_row(struct sqlite_query *q, struct sqlite3_stmt *stmt)
{
    bool named = q->row_count > 0 || sqlite_add_names(&q->rows, stmt);
    q->row_count++;
    if (named && sqlite_add_row(&q->rows, stmt))
        return true;
    sqlite_fail(&q->failure, SQLITE_TOOBIG,
                "a row of the result has more than %d bytes, or there is no memory for it",
                ROW_BYTES_MAX);
    return false;
}

// Steps until the rows that are wanted are there, or all are. What writes is brought to its end, which
// is where it is committed. True when there may be more.
static bool fetch(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite_stmt *s)
{
    bool writes = !sqlite.stmt_readonly(s->stmt);
    int rc;
    while ((rc = sqlite.step(s->stmt)) == SQLITE_ROW) {
        bool first_alone = q->mode == QUERY_ROW;
        if (q->mode == QUERY_EXEC || (first_alone && q->row_count > 0))
            continue;
        if (!add_row(q, s->stmt))
            return false;
        if (first_alone && !writes)
            return false;
        if (!first_alone && q->rows.n >= BATCH_BYTES)
            return true;
    }
    if (rc != SQLITE_DONE)
        sqlite_conn_fail(c, rc, &q->failure);
    return false;
}

// The cursor is over, unless there is more of it.
static void run_cursor(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite_stmt *s)
{
    if (fetch(c, q, s))
        q->more = s->id;
    else
        sqlite_conn_end(c, s);
}

// The id of the last row that a statement inserted is what last_insert_rowid() gives, which is left alone:
// the next statement may ask for it. An INSERT that inserts nothing (OR IGNORE, DO UPDATE) leaves it at what
// it was before, and so does one into a table WITHOUT ROWID; but a new row may have the same id, too.
static void note_insert(struct sqlite_conn *c, struct sqlite_query *q)
{
    int64_t id = sqlite.last_insert_rowid(c->db);
    if (id == c->row_watched && !c->row_inserted)
        return;
    q->inserted = true;
    q->last_id = id;
}

// Runs a statement that is at its beginning, and adds up what it changed.
static void run_counted(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite_stmt *s)
{
    int64_t before = sqlite.total_changes64(c->db);
    c->row_watched = sqlite.last_insert_rowid(c->db);
    c->row_inserted = false;
    bool inserts = s->inserts; // s may be gone then
    run_cursor(c, q, s);
    if (sqlite.total_changes64(c->db) != before)
        q->changes += sqlite.changes64(c->db);
    if (inserts)
        note_insert(c, q);
}

static void run_statement(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite_stmt *s)
{
    q->writes = c->reader && !sqlite.stmt_readonly(s->stmt);
    bool bound =
        !q->writes && (q->named ? bind_by_name(c, q, s->stmt) : bind_in_order(c, q, s->stmt));
    if (bound)
        run_counted(c, q, s);
    else
        sqlite_conn_end(c, s);
}

// Several statements: all of them, or none. The first is prepared.
static void run_script(struct sqlite_conn *c, struct sqlite_query *q, struct sqlite_stmt *s,
                       struct str rest)
{
    static const char *const around[2][3] = {
        {"SAVEPOINT lunette_script", "RELEASE lunette_script",
         "ROLLBACK TO lunette_script; RELEASE lunette_script"},
        {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"},
    };
    bool alone = sqlite.get_autocommit(c->db);
    struct sqlite_failure ignored = {0};
    if (!sqlite_conn_do(c, around[alone][0], &q->failure)) {
        sqlite_conn_end(c, s);
        return;
    }
    while (s) {
        run_statement(c, q, s);
        s = q->failure.code ? NULL : sqlite_conn_prepare(c, rest, &rest, &q->failure);
    }
    if (!q->failure.code && sqlite_conn_do(c, around[alone][1], &q->failure))
        return;
    if (!sqlite.get_autocommit(c->db)) // else SQLite has done it by itself
        sqlite_conn_do(c, around[alone][2], &ignored);
}

static void begin(struct sqlite_conn *c, struct sqlite_query *q)
{
    struct str rest;
    struct sqlite_stmt *s = sqlite_conn_prepare(c, q->sql, &rest, &q->failure);
    if (!s) {
        sqlite_fail(&q->failure, SQLITE_MISUSE, "there is no statement in the SQL");
        return;
    }
    if (rest.n == 0) {
        run_statement(c, q, s);
        return;
    }
    if (q->mode == QUERY_EXEC && q->value_count == 0) {
        run_script(c, q, s, rest);
        return;
    }
    sqlite_conn_end(c, s);
    sqlite_fail(
        &q->failure, SQLITE_MISUSE,
        "one statement at a time: only exec without values takes several; what follows is: %.60s",
        rest.p);
}

static void go_on(struct sqlite_conn *c, struct sqlite_query *q)
{
    struct sqlite_stmt *s = sqlite_conn_cursor(c, q->cursor);
    if (s)
        run_cursor(c, q, s);
    else
        sqlite_fail(&q->failure, SQLITE_ABORT, "the rows were rolled back meanwhile");
}

static void do_ours(struct sqlite_conn *c, struct sqlite_query *q)
{
    int checks = 1;
    sqlite_conn_do(c, q->sql.p, &q->failure);
    sqlite.db_config(c->db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &checks);
    c->transaction = !sqlite.get_autocommit(c->db);
    c->unchecked = !checks;
}

static void end_left(struct sqlite_conn *c, const struct sqlite_query *q)
{
    for (unsigned i = 0; i < q->left_count; i++) {
        struct sqlite_stmt *s = sqlite_conn_cursor(c, q->left[i]);
        if (s)
            sqlite_conn_end(c, s);
    }
}

void sqlite_query_run(struct sqlite_conn *c, struct sqlite_query *q)
{
    if (!sqlite_conn_open(c, &q->failure))
        return;
    end_left(c, q);
    if (c->transaction && sqlite.get_autocommit(c->db)) {
        sqlite_fail(&q->failure, SQLITE_ABORT_ROLLBACK,
                    "SQLite has rolled the transaction back, after the error before this one");
        return;
    }
    if (q->mode == QUERY_DO)
        do_ours(c, q);
    else if (q->mode == QUERY_MORE)
        go_on(c, q);
    else
        begin(c, q);
}

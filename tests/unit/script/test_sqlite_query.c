// Connections and queries, without Lua or threads: what comes of SQL, what scripts may not do, and what is
// left behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "script/sqlite_function.h"
#include "script/sqlite_query.h"

struct bench {
    char folder[32], path[64];
    struct sqlite_setup setup;
    struct sqlite_conn writer, reader;
    char told[8192];
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    strcpy(b->folder, "/tmp/lunette-sql-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/x.db", b->folder);
    b->setup = (struct sqlite_setup){.path = b->path, .statements = 4};
    b->writer = (struct sqlite_conn){.setup = &b->setup};
    b->reader = (struct sqlite_conn){.setup = &b->setup, .reader = true};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[64];
    sqlite_conn_close(&b->writer);
    sqlite_conn_close(&b->reader);
    snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
    assert_int_equal(system(command), 0);
    free(b);
    return 0;
}

static void say(struct bench *b, const char *format, ...)
{
    size_t n = strlen(b->told);
    va_list args;
    va_start(args, format);
    vsnprintf(b->told + n, sizeof b->told - n, format, args);
    va_end(args);
}

static void say_value(struct bench *b, struct str *bytes)
{
    struct sqlite_value v = sqlite_take_value(bytes);
    if (v.type == VALUE_INTEGER)
        say(b, "%lld", (long long)v.integer);
    else if (v.type == VALUE_FLOAT)
        say(b, "%gf", v.number);
    else if (v.type == VALUE_TEXT)
        say(b, "'%.*s'", STR_ARG(v.bytes));
    else
        say(b, "NULL");
}

static void say_rows(struct bench *b, const struct sqlite_query *q)
{
    struct str bytes = buf_str(&q->rows);
    if (q->row_count == 0)
        return;
    uint32_t columns = sqlite_take_count(&bytes);
    for (uint32_t i = 0; i < columns; i++) {
        struct str name = sqlite_take_bytes(&bytes);
        say(b, "%s%.*s", i ? "," : "", STR_ARG(name));
    }
    for (unsigned r = 0; r < q->row_count; r++)
        for (uint32_t i = 0; i < columns; i++) {
            say(b, i ? "," : " ");
            say_value(b, &bytes);
        }
    assert_int_equal(bytes.n, 0);
}

// What came of it, as text.
static void say_outcome(struct bench *b, const struct sqlite_query *q)
{
    b->told[0] = '\0';
    if (q->failure.code)
        say(b, "%s: %s", sqlite_kind(q->failure.code), q->failure.text);
    else if (q->writes)
        say(b, "it writes");
    else if (q->mode == QUERY_EXEC && q->inserted)
        say(b, "%lld changes, id %lld", (long long)q->changes, (long long)q->last_id);
    else if (q->mode == QUERY_EXEC)
        say(b, "%lld changes", (long long)q->changes);
    else
        say_rows(b, q);
    if (q->more)
        say(b, " and more");
}

static uint64_t ask(struct bench *b, struct sqlite_conn *c, struct sqlite_query q)
{
    buf_init(&q.rows, BATCH_BYTES + ROW_BYTES_MAX);
    sqlite_query_run(c, &q);
    say_outcome(b, &q);
    buf_fini(&q.rows);
    return q.more;
}

static const char *exec(struct bench *b, const char *sql)
{
    ask(b, &b->writer, (struct sqlite_query){.mode = QUERY_EXEC, .sql = str_z(sql)});
    return b->told;
}

static const char *rows(struct bench *b, const char *sql)
{
    ask(b, &b->reader, (struct sqlite_query){.mode = QUERY_ROWS, .sql = str_z(sql)});
    return b->told;
}

static const char *does(struct bench *b, const char *sql)
{
    ask(b, &b->writer, (struct sqlite_query){.mode = QUERY_DO, .sql = str_z(sql)});
    return b->told;
}

static const char *with(struct bench *b, enum sqlite_mode mode, const char *sql, bool named,
                        struct sqlite_value *values, unsigned n)
{
    ask(b, &b->writer,
        (struct sqlite_query){
            .mode = mode, .sql = str_z(sql), .named = named, .values = values, .value_count = n});
    return b->told;
}

static void make_table(struct bench *b)
{
    assert_string_equal(exec(b, "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b)"),
                        "0 changes");
}

static void statements_change_and_count(void **state)
{
    struct bench *b = *state;
    make_table(b);
    assert_string_equal(exec(b, "INSERT INTO t (a) VALUES (1), (2), (3)"), "3 changes, id 3");
    assert_string_equal(exec(b, "UPDATE t SET b = a * 1.5 WHERE a > 1"), "2 changes");
    assert_string_equal(exec(b, "CREATE INDEX i ON t (b)"), "0 changes"); // not those before it
    assert_string_equal(exec(b, "INSERT OR IGNORE INTO t (a) VALUES (1)"), "0 changes");
    assert_string_equal(exec(b, "DELETE FROM t WHERE a = 9"), "0 changes");
    assert_string_equal(exec(b, "SELECT * FROM t"), "0 changes");
    assert_string_equal(rows(b, "SELECT a, b FROM t ORDER BY a"), "a,b 1,NULL 2,3f 3,4.5f");
    assert_string_equal(rows(b, "SELECT a FROM t WHERE a = 9"), "");
    assert_string_equal(rows(b, " -- a comment\n SELECT 'x' AS n, x'00ff' IS NULL;  /* end */ -- "),
                        "n,x'00ff' IS NULL 'x',0");
}

// A statement's own last_id, and SQL's last_insert_rowid() of the statement before.
static void the_last_rowid_is_left_to_sql(void **state)
{
    struct bench *b = *state;
    exec(b,
         "CREATE TABLE p (id INTEGER PRIMARY KEY, a UNIQUE, n); CREATE TABLE c (p);"
         "CREATE TABLE w (k PRIMARY KEY) WITHOUT ROWID; CREATE TABLE log (id INTEGER PRIMARY KEY);"
         "CREATE TRIGGER u AFTER UPDATE ON p BEGIN INSERT INTO log VALUES (500); END");
    assert_string_equal(exec(b, "INSERT INTO p (id, a) VALUES (41, 1);"
                                "INSERT INTO c VALUES (last_insert_rowid())"),
                        "2 changes, id 1");
    assert_string_equal(rows(b, "SELECT p FROM c"), "p 41");
    exec(b, "DELETE FROM c");
    exec(b, "INSERT INTO p (id, a) VALUES (42, 2)");
    assert_string_equal(exec(b, "UPDATE p SET n = 1 WHERE id = last_insert_rowid()"), "1 changes");
    exec(b, "DELETE FROM log");
    assert_string_equal(exec(b, "INSERT INTO p (a) VALUES (2) ON CONFLICT DO UPDATE SET n = 2"),
                        "1 changes");
    assert_string_equal(exec(b, "INSERT OR IGNORE INTO p (a) VALUES (2)"), "0 changes");
    assert_string_equal(exec(b, "INSERT INTO w VALUES ('x')"), "1 changes");
    assert_string_equal(exec(b, "INSERT INTO c VALUES (last_insert_rowid())"), "1 changes, id 1");
    assert_string_equal(rows(b, "SELECT p FROM c"), "p 42");
    assert_string_equal(exec(b, "DELETE FROM c"), "1 changes");
    assert_string_equal(exec(b, "INSERT INTO c VALUES (7)"), "1 changes, id 1"); // the same again
    exec(
        b,
        "CREATE TRIGGER i AFTER INSERT ON c BEGIN INSERT INTO log VALUES (900); END; DELETE FROM c");
    assert_string_equal(exec(b, "INSERT INTO c VALUES (8)"), "1 changes, id 1"); // and another's
    assert_string_equal(exec(b, "CREATE TABLE d AS SELECT 1 AS x"), "0 changes");
}

static void failures_have_their_kind(void **state)
{
    static const struct {
        const char *sql, *outcome;
    } cases[] = {
        {"INSERT INTO t (a) VALUES (1)", "constraint: UNIQUE constraint failed: t.a"},
        {"SELEC 1", "sql: near \"SELEC\": syntax error"},
        {"SELECT * FROM nowhere", "sql: no such table: nowhere"},
        {"SELECT \"no column\" FROM t", "sql: no such column: no column"},
        {"", "misuse: there is no statement in the SQL"},
        {" ; -- nothing\n/* at all */", "misuse: there is no statement in the SQL"},
        {"INSERT INTO t (a) VALUES (?)",
         "misuse: the SQL has 1 parameter, and 0 values were given"},
        {"INSERT INTO t (id) VALUES ('x')", "mismatch: datatype mismatch"},
        {"SELECT abs(-9223372036854775808)", "sql: integer overflow"},
        {"ATTACH 'other.db' AS o",
         "denied: ATTACH is not for scripts: every database is opened with sqlite.open"},
        {"ATTACH '' AS o",
         "denied: ATTACH is not for scripts: every database is opened with sqlite.open"},
        {"ATTACH 'oth' || 'er' AS o",
         "denied: ATTACH is not for scripts: every database is opened with sqlite.open"},
        {"DETACH main", "denied: DETACH is not for scripts"},
        {"VACUUM INTO '/tmp/lunette-stolen.db'",
         "denied: VACUUM INTO is not for scripts: it would write another file"},
        {"BEGIN", "denied: transactions are begun and ended by db:transaction(function(tx) … end)"},
        {"SAVEPOINT x",
         "denied: transactions are begun and ended by db:transaction(function(tx) … end)"},
        {"CREATE TEMP TABLE x (a)",
         "denied: TEMP tables, views and triggers would stay on a connection that others use"},
        {"PRAGMA foreign_keys = OFF", "denied: this pragma is not for scripts: it would change a "
                                      "connection that others use"},
        {"PRAGMA temp_store_directory = '/'",
         "denied: this pragma is not for scripts: it would change a connection that others use"},
        {"SELECT load_extension('x')", "denied: load_extension is not for scripts"},
        {"PRAGMA writable_schema = ON",
         "denied: this pragma is not for scripts: it would change a connection that others use"},
        {"DELETE FROM sqlite_master", "sql: table sqlite_master may not be modified"},
        {"SELECT randomblob(70000000)", "too_big: string or blob too big"},
    };
    struct bench *b = *state;
    make_table(b);
    exec(b, "INSERT INTO t (a) VALUES (1)");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(exec(b, cases[i].sql), cases[i].outcome);
    assert_int_not_equal(access("/tmp/lunette-stolen.db", F_OK), 0);
    assert_string_equal(exec(b, "INSERT INTO t (a) VALUES (2)"), "1 changes, id 2");
}

// Nothing of one request is there for the next, nor hides a table of the file.
static void nothing_is_made_in_temp(void **state)
{
    static const char denied[] =
        "denied: TEMP tables, views and triggers would stay on a connection that "
        "others use";
    static const char *const cases[] = {
        "CREATE VIRTUAL TABLE temp.leak USING fts5(a)",
        "CREATE VIRTUAL TABLE Temp.t USING rtree(id, x0, x1)",
        "CREATE TABLE temp.t (a)",
        "CREATE VIEW temp.v AS SELECT 1",
        "CREATE TRIGGER temp.tr AFTER INSERT ON main.t BEGIN SELECT 1; END",
        "PRAGMA temp.user_version = 7",
        "PRAGMA temp.application_id = 7",
    };
    struct bench *b = *state;
    make_table(b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(exec(b, cases[i]), denied);
    assert_string_equal(rows(b, "SELECT count(*) AS n FROM sqlite_temp_master"), "n 0");
    assert_string_equal(exec(b, "INSERT INTO t (a) VALUES (1)"), "1 changes, id 1");
    assert_string_equal(exec(b, "ALTER TABLE t RENAME TO u"), "0 changes");
    assert_string_equal(exec(b, "REINDEX; ANALYZE; DROP TABLE u"), "0 changes");
}

static void foreign_keys_are_deferred_within_a_transaction_alone(void **state)
{
    static const char child[] = "INSERT INTO c VALUES (9)";
    static const char failed[] = "constraint: FOREIGN KEY constraint failed";
    static const char denied[] =
        "denied: PRAGMA defer_foreign_keys is set in a transaction, and holds until that ends";
    static const char on[] = "PRAGMA defer_foreign_keys = ON";
    struct bench *b = *state;
    exec(b, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p)");
    for (int i = 0; i < 2; i++) { // it is not kept prepared, which would pass the guard
        assert_string_equal(exec(b, on), denied);
        assert_string_equal(exec(b, "EXPLAIN PRAGMA defer_foreign_keys = 1"), denied);
        assert_string_equal(exec(b, child), failed);
        does(b, "BEGIN IMMEDIATE");
        assert_string_equal(exec(b, on), "0 changes");
        assert_string_equal(exec(b, child), "1 changes, id 1");
        assert_string_equal(does(b, "COMMIT"), failed);
        assert_true(sqlite_conn_is_untidy(&b->writer));
        sqlite_conn_tidy(&b->writer);
        assert_false(sqlite_conn_is_untidy(&b->writer));
    }
    assert_string_equal(exec(b,
                             "SELECT 1; PRAGMA defer_foreign_keys = ON; INSERT INTO c VALUES (7);"
                             "INSERT INTO p VALUES (7)"),
                        "2 changes, id 7");
    assert_string_equal(exec(b, child), failed);
    assert_string_equal(rows(b, "PRAGMA defer_foreign_keys"), "defer_foreign_keys 0");
}

static void statements_have_limits(void **state)
{
    static const struct {
        const char *before, *piece, *after, *outcome;
        int times; // one less is allowed
    } cases[] = {
        {"SELECT 'x' LIKE '", "a", "' AS r", "sql: LIKE or GLOB pattern too complex",
         LIKE_BYTES_MAX + 1},
        {"SELECT 'x' GLOB '", "?", "' AS r", "sql: LIKE or GLOB pattern too complex",
         LIKE_BYTES_MAX + 1},
        {"SELECT 'x' = 0", " OR 0", " AS r",
         "sql: Expression tree is too large (maximum depth 500)", EXPRESSION_DEPTH_MAX - 1},
        {"SELECT 0 AS r", " UNION SELECT 0", "", "sql: too many terms in compound SELECT",
         COMPOUND_MAX},
        {"SELECT max(0", ",0", ") AS r", "sql: too many arguments on function max", ARGUMENTS_MAX},
        {"SELECT trim('', '", "x", "') IS NULL AS r",
         "sql: trim takes away a set of at most 128 bytes of characters", TRIM_BYTES_MAX + 1},
    };
    struct bench *b = *state;
    static char sql[8192];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int less = 0; less < 2; less++) {
            strcpy(sql, cases[i].before);
            for (int n = less; n < cases[i].times; n++)
                strcat(sql, cases[i].piece);
            strcat(sql, cases[i].after);
            assert_string_equal(rows(b, sql), less ? "r 0" : cases[i].outcome);
        }
}

// These ran for hours, with nothing to stop them.
static void long_texts_are_searched_in_linear_time(void **state)
{
    struct bench *b = *state;
    static const char long_texts[] =
        "WITH t(h, n) AS (SELECT printf('%.8000000c', 'a'), printf('%.4000000c', 'a') || 'b')";
    char sql[256];
    uint64_t begun = sqlite_conn_now();
    snprintf(sql, sizeof sql, "%s SELECT instr(h, n) AS r FROM t", long_texts);
    assert_string_equal(rows(b, sql), "r 0");
    snprintf(sql, sizeof sql, "%s SELECT length(replace(h, n, '')) AS r FROM t", long_texts);
    assert_string_equal(rows(b, sql), "r 8000000");
    snprintf(sql, sizeof sql, "%s SELECT trim(h, n) AS r FROM t", long_texts);
    assert_string_equal(rows(b, sql),
                        "sql: trim takes away a set of at most 128 bytes of characters");
    assert_true(sqlite_conn_now() - begun < 30000);
}

// Our functions against SQLite's own.
static void functions_do_as_those_they_replace(void **state)
{
    static const char *const texts[] = {
        "NULL",
        "''",
        "'a'",
        "'aa'",
        "'aab'",
        "'b'",
        "'ab'",
        "'äöä'",
        "'ö'",
        "'€ä'",
        "'abcabcabc'",
        "'bc'",
        "'cab'",
        "x'61'",
        "x'c3'",
        "x'a4'",
        "x'a4c3a4'",
        "x'c3a4c3a4'",
        "x''",
        "12121",
        "21",
        "1.5",
        "'a'||char(0)||'b'",
        "char(0)",
        "x'6100'",
        "x'8080'",
        "'  aa '",
        "' a'",
    };
    static const char *const asks[] = {
        "SELECT quote(instr(%s, %s))",        "SELECT quote(replace(%s, %s, 'xyz'))",
        "SELECT quote(replace('a', %s, %s))", "SELECT quote(trim(%s, %s))",
        "SELECT quote(ltrim(%s, %s))",        "SELECT quote(rtrim(%s, %s))",
    };
    enum { TEXTS = sizeof texts / sizeof *texts, ASKS = sizeof asks / sizeof *asks };
    struct sqlite3 *db;
    struct bench *b = *state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    for (int i = 0; i < TEXTS * TEXTS * ASKS; i++) {
        char sql[128], expected[256];
        struct sqlite3_stmt *stmt;
        snprintf(sql, sizeof sql, asks[i % ASKS], texts[i / ASKS % TEXTS], texts[i / ASKS / TEXTS]);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        snprintf(expected, sizeof expected, "%s '%s'", sqlite3_column_name(stmt, 0),
                 (const char *)sqlite3_column_text(stmt, 0));
        sqlite3_finalize(stmt);
        assert_string_equal(rows(b, sql), expected);
    }
    sqlite3_close(db);
    assert_string_equal(rows(b,
                             "SELECT replace(printf('%.10000000c', 'a'), printf('%.10000c', 'a'), "
                             "printf('%.80000c', 'b'))"),
                        "too_big: string or blob too big");
}

static void what_changes_no_connection_is_allowed(void **state)
{
    struct bench *b = *state;
    make_table(b);
    assert_string_equal(exec(b, "PRAGMA user_version = 7"), "0 changes");
    assert_string_equal(rows(b, "PRAGMA user_version"), "user_version 7");
    assert_string_equal(rows(b, "PRAGMA foreign_keys"), "foreign_keys 1");
    assert_string_equal(rows(b, "PRAGMA journal_mode"), "it writes"); // so SQLite thinks
    with(b, QUERY_ROWS, "PRAGMA journal_mode", false, NULL, 0);
    assert_string_equal(b->told, "journal_mode 'wal'");
    assert_string_equal(rows(b, "PRAGMA synchronous"), "synchronous 1");
    assert_string_equal(rows(b, "SELECT name FROM pragma_table_info('t')"), "name 'id' 'a' 'b'");
    assert_string_equal(exec(b, "VACUUM"), "0 changes");
    assert_string_equal(exec(b, "ANALYZE"), "0 changes");
    assert_string_equal(rows(b, "PRAGMA integrity_check"), "integrity_check 'ok'");
}

// Its triggers reach a virtual table, its virtual tables ask with SQL of their own.
static void search_works_with_triggers_and_on_a_new_connection(void **state)
{
    struct bench *b = *state;
    exec(b, "CREATE TABLE n (id INTEGER PRIMARY KEY, text);"
            "CREATE VIRTUAL TABLE f USING fts5(text, content='n', content_rowid='id');"
            "CREATE TRIGGER ai AFTER INSERT ON n BEGIN"
            " INSERT INTO f (rowid, text) VALUES (new.id, new.text); END;"
            "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)");
    assert_string_equal(exec(b, "INSERT INTO n (text) VALUES ('the moon'), ('the sun')"),
                        "2 changes, id 2");
    assert_string_equal(exec(b, "INSERT INTO r VALUES (7, 1, 2)"), "1 changes, id 7");
    assert_string_equal(rows(b, "SELECT rowid, snippet(f, 0, '<', '>', '', 9) AS s FROM f('moon')"),
                        "rowid,s 1,'the <moon>'");
    assert_string_equal(rows(b, "SELECT id FROM r WHERE x0 < 2"), "id 7");
    assert_string_equal(rows(b, "SELECT json_extract('{\"a\":[1,2]}', '$.a[1]') AS j"), "j 2");
}

static void several_statements_are_done_together_or_not_at_all(void **state)
{
    struct bench *b = *state;
    assert_string_equal(exec(b, "CREATE TABLE t (a UNIQUE); -- first\n"
                                "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);"),
                        "2 changes, id 2");
    assert_string_equal(exec(b, "INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)"),
                        "constraint: UNIQUE constraint failed: t.a");
    assert_string_equal(exec(b, "INSERT INTO t VALUES (4); garbage"),
                        "sql: near \"garbage\": syntax error");
    assert_string_equal(exec(b, "INSERT INTO t VALUES (5); INSERT INTO t VALUES (?)"),
                        "misuse: the SQL has 1 parameter, and 0 values were given");
    assert_string_equal(
        exec(b, "INSERT INTO t VALUES (6); ROLLBACK; INSERT INTO t VALUES (6)"),
        "denied: transactions are begun and ended by db:transaction(function(tx) … end)");
    assert_string_equal(rows(b, "SELECT a FROM t"), "a 1 2");
    assert_string_equal(
        rows(b, "SELECT 1; SELECT 2"),
        "misuse: one statement at a time: only exec without values takes several; what "
        "follows is: SELECT 2");
    struct sqlite_value one = {.type = VALUE_INTEGER, .integer = 9};
    assert_string_equal(
        with(b, QUERY_EXEC, "INSERT INTO t VALUES (?); DELETE FROM t", false, &one, 1),
        "misuse: one statement at a time: only exec without values takes several; what "
        "follows is: DELETE FROM t");
    assert_false(sqlite_conn_is_untidy(&b->writer));
}

static void a_script_in_a_transaction_leaves_that_as_it_was(void **state)
{
    struct bench *b = *state;
    make_table(b);
    does(b, "BEGIN IMMEDIATE");
    exec(b, "INSERT INTO t (a) VALUES (1)");
    assert_string_equal(exec(b, "INSERT INTO t (a) VALUES (2); INSERT INTO t (a) VALUES (1)"),
                        "constraint: UNIQUE constraint failed: t.a");
    assert_string_equal(does(b, "COMMIT"), "");
    assert_string_equal(rows(b, "SELECT a FROM t"), "a 1");
}

static void values_are_bound(void **state)
{
    struct bench *b = *state;
    static const char sql[] = "SELECT ?, ?, typeof(?), typeof(?), ?";
    struct sqlite_value values[] = {
        {.type = VALUE_INTEGER, .integer = INT64_MIN},
        {.type = VALUE_FLOAT, .number = 0.5},
        {.type = VALUE_BLOB, .bytes = STR("a\0b")},
        {.type = VALUE_TEXT, .bytes = STR("a\0b")},
        {.type = VALUE_NULL},
    };
    assert_string_equal(with(b, QUERY_ROW, sql, false, values, 5),
                        "?,?,typeof(?),typeof(?),? -9223372036854775808,0.5f,'blob','text',NULL");
    assert_string_equal(with(b, QUERY_ROW, sql, false, values, 4),
                        "misuse: the SQL has 5 parameters, and 4 values were given");
    assert_string_equal(with(b, QUERY_ROW, "SELECT ?2", false, values, 1),
                        "misuse: the SQL has 2 parameters, and 1 value was given");
    assert_string_equal(with(b, QUERY_ROW, "SELECT :x", false, values, 1),
                        "misuse: :x takes its value from one table: { x = … }");
    struct sqlite_value big = {.type = VALUE_TEXT,
                               .bytes = {b->folder, (size_t)VALUE_BYTES_MAX + 1}};
    assert_string_equal(with(b, QUERY_ROW, "SELECT ?", false, &big, 1),
                        "too_big: the value of parameter 1 has more than 67108864 bytes");
}

static void values_are_bound_by_name(void **state)
{
    struct bench *b = *state;
    struct sqlite_value values[] = {
        {.type = VALUE_INTEGER, .integer = 1, .name = STR("x")},
        {.type = VALUE_TEXT, .bytes = STR("two"), .name = STR("y")},
    };
    assert_string_equal(
        with(b, QUERY_ROW, "SELECT :x AS a, @y AS b, $x AS c, :z AS d", true, values, 2),
        "a,b,c,d 1,'two',1,NULL");
    values[0].used = values[1].used = false;
    assert_string_equal(with(b, QUERY_ROW, "SELECT :x", true, values, 2),
                        "misuse: a value named 'y' was given, and the SQL has no :y");
    assert_string_equal(with(b, QUERY_ROW, "SELECT ?", true, values, 1),
                        "misuse: parameter 1 is a ?, which takes a value and not a table");
}

static void a_reader_writes_nothing(void **state)
{
    struct bench *b = *state;
    make_table(b);
    assert_string_equal(rows(b, "INSERT INTO t (a) VALUES (1) RETURNING a"), "it writes");
    assert_string_equal(rows(b, "WITH x AS (SELECT 1) DELETE FROM t"), "it writes");
    assert_string_equal(rows(b, "SELECT count(*) AS n FROM t"), "n 0");
    ask(b, &b->writer,
        (struct sqlite_query){.mode = QUERY_ROW,
                              .sql = STR("INSERT INTO t (a) VALUES (1), (2) RETURNING a")});
    assert_string_equal(b->told, "a 1"); // the first alone, and all of it done
    assert_string_equal(rows(b, "SELECT count(*) AS n FROM t"), "n 2");
}

static void large_results_come_in_batches(void **state)
{
    struct bench *b = *state;
    static const char sql[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
        " SELECT i, zeroblob(10000) AS z FROM n";
    struct sqlite_query q = {.mode = QUERY_ROWS, .sql = str_z(sql)};
    unsigned got = 0, batches = 0;
    sqlite_query_init(&q);
    do {
        sqlite_query_run(&b->reader, &q);
        assert_int_equal(q.failure.code, SQLITE_OK);
        assert_true(q.rows.n < BATCH_BYTES + 11000);
        got += q.row_count;
        batches++;
        buf_fini(&q.rows);
        q = (struct sqlite_query){.mode = QUERY_MORE, .cursor = q.more};
        sqlite_query_init(&q);
    } while (q.cursor);
    assert_int_equal(got, 40);
    assert_in_range(batches, 5, 8);
    assert_false(sqlite_conn_is_untidy(&b->reader));
}

static void what_is_under_way_is_tidied(void **state)
{
    struct bench *b = *state;
    make_table(b);
    does(b, "BEGIN IMMEDIATE");
    exec(b, "INSERT INTO t (a) VALUES (1)");
    uint64_t id =
        ask(b, &b->writer,
            (struct sqlite_query){.mode = QUERY_ROWS,
                                  .sql = STR("SELECT zeroblob(50000) FROM t, (VALUES (1), (2), "
                                             "(3))")});
    assert_true(id > 0 && sqlite_conn_is_untidy(&b->writer));
    sqlite_conn_tidy(&b->writer);
    assert_false(sqlite_conn_is_untidy(&b->writer));
    assert_string_equal(rows(b, "SELECT count(*) AS n FROM t"), "n 0");
    ask(b, &b->writer, (struct sqlite_query){.mode = QUERY_MORE, .cursor = id});
    assert_string_equal(b->told, "abort: the rows were rolled back meanwhile");
}

static void cursors_that_were_left_are_ended(void **state)
{
    struct bench *b = *state;
    struct sqlite_query q = {.mode = QUERY_ROWS,
                             .sql = STR("SELECT zeroblob(40000) FROM (VALUES (1), (2), (3))")};
    for (int i = 0; i < CURSORS_MAX; i++)
        q.left[0] = ask(b, &b->reader, q);
    ask(b, &b->reader, q);
    assert_string_equal(b->told, "misuse: 16 loops over rows are open in this transaction already");
    q.left_count = 1;
    assert_true(ask(b, &b->reader, q) > 0);
}

static void statements_are_kept_up_to_a_bound(void **state)
{
    struct bench *b = *state;
    char sql[32];
    for (int i = 0; i < 10; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i % 6);
        rows(b, sql);
        assert_true(b->reader.kept_count <= 4);
    }
    const struct sqlite3_stmt *first = b->reader.kept->stmt;
    rows(b, sql);
    assert_ptr_equal(b->reader.kept->stmt, first);
    assert_int_equal(b->reader.kept_count, 4);
}

static void a_kept_statement_sees_a_new_schema(void **state)
{
    struct bench *b = *state;
    make_table(b);
    exec(b, "INSERT INTO t (a) VALUES (1)");
    assert_string_equal(rows(b, "SELECT * FROM t"), "id,a,b 1,1,NULL");
    exec(b, "ALTER TABLE t ADD c DEFAULT 'new'");
    assert_string_equal(rows(b, "SELECT * FROM t"), "id,a,b,c 1,1,NULL,'new'");
}

static void a_lock_is_waited_for_until_the_deadline(void **state)
{
    struct bench *b = *state;
    struct sqlite_conn other = {.setup = &b->setup};
    struct sqlite_query q = {.mode = QUERY_DO, .sql = STR("BEGIN IMMEDIATE")};
    make_table(b);
    does(b, "BEGIN IMMEDIATE");
    uint64_t begun = sqlite_conn_now();
    other.deadline = begun + 50;
    ask(b, &other, q);
    assert_string_equal(b->told, "busy: database is locked");
    assert_true(sqlite_conn_now() >= begun + 50);
    other.deadline = UINT64_MAX;
    atomic_store(&other.stop, true);
    ask(b, &other, q); // at once
    assert_string_equal(b->told, "busy: database is locked");
    atomic_store(&other.stop, false);
    does(b, "COMMIT");
    ask(b, &other, q);
    assert_string_equal(b->told, "");
    assert_true(other.transaction);
    sqlite_conn_tidy(&other);
    sqlite_conn_close(&other);
}

static void what_runs_can_be_stopped(void **state)
{
    struct bench *b = *state;
    static const char endless[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    rows(b, "SELECT 1");
    atomic_store(&b->reader.stop, true);
    assert_string_equal(rows(b, endless), "interrupt: interrupted");
    sqlite_conn_tidy(&b->reader);
    assert_string_equal(rows(b, "SELECT 2 AS n"), "n 2");
}

static void memory_has_a_bound(void **state)
{
    struct bench *b = *state;
    assert_string_equal(rows(b, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                                " SELECT i, hex(zeroblob(1000000)) AS h FROM n ORDER BY h"),
                        "memory: out of memory");
    assert_string_equal(rows(b, "SELECT 2 AS n"), "n 2");
}

static void a_file_that_is_no_database_says_so(void **state)
{
    struct bench *b = *state;
    FILE *f = fopen(b->path, "w");
    for (int i = 0; i < 100; i++)
        fputs("This is no database. ", f);
    fclose(f);
    assert_string_equal(rows(b, "SELECT 1"), "corrupt: file is not a database");
    assert_null(b->reader.db);
}

static void a_link_is_not_followed(void **state)
{
    struct bench *b = *state;
    char other[80];
    snprintf(other, sizeof other, "%s/other.db", b->folder);
    assert_int_equal(symlink(other, b->path), 0);
    assert_string_equal(rows(b, "SELECT 1"), "open: unable to open database file");
    assert_int_not_equal(access(other, F_OK), 0);
}

static void codes_have_names(void **state)
{
    (void)state;
    assert_string_equal(sqlite_code_name(SQLITE_CONSTRAINT_UNIQUE), "SQLITE_CONSTRAINT_UNIQUE");
    assert_string_equal(sqlite_kind(SQLITE_CONSTRAINT_UNIQUE), "constraint");
    assert_string_equal(sqlite_code_name(SQLITE_BUSY | 77 << 8), "SQLITE_BUSY");
    assert_string_equal(sqlite_kind(SQLITE_BUSY | 77 << 8), "busy");
    assert_string_equal(sqlite_kind(SQLITE_IOERR_NOMEM), "memory");
    assert_string_equal(sqlite_kind(98), "other");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(statements_change_and_count),
        TEST(the_last_rowid_is_left_to_sql),
        TEST(failures_have_their_kind),
        TEST(nothing_is_made_in_temp),
        TEST(foreign_keys_are_deferred_within_a_transaction_alone),
        TEST(statements_have_limits),
        TEST(long_texts_are_searched_in_linear_time),
        TEST(functions_do_as_those_they_replace),
        TEST(what_changes_no_connection_is_allowed),
        TEST(search_works_with_triggers_and_on_a_new_connection),
        TEST(several_statements_are_done_together_or_not_at_all),
        TEST(a_script_in_a_transaction_leaves_that_as_it_was),
        TEST(values_are_bound),
        TEST(values_are_bound_by_name),
        TEST(a_reader_writes_nothing),
        TEST(large_results_come_in_batches),
        TEST(what_is_under_way_is_tidied),
        TEST(cursors_that_were_left_are_ended),
        TEST(statements_are_kept_up_to_a_bound),
        TEST(a_kept_statement_sees_a_new_schema),
        TEST(a_lock_is_waited_for_until_the_deadline),
        TEST(what_runs_can_be_stopped),
        TEST(memory_has_a_bound),
        TEST(a_file_that_is_no_database_says_so),
        TEST(a_link_is_not_followed),
        TEST(codes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

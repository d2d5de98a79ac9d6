// Connections and their statements: see the header.
#include "script/sqlite_conn.h"

#include "base/log.h"
#include "script/sqlite_function.h"
#include "script/sqlite_library.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_EVERY = 1000, // instructions of SQLite's machine between two looks at `stop`
    // Between two tries to get a lock that another process has. Writers of one worker come one right
    // after the other, so that those of another have to look often.
    WAIT_LEAST_US = 200,
    WAIT_MOST_US = 5000,
};

uint64_t sqlite_conn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// Waiting and stopping ----------------------------------------------------------------------------

static bool may_wait(const struct sqlite_conn *c)
{
    return !atomic_load_explicit(&c->stop, memory_order_relaxed) && sqlite_conn_now() < c->deadline;
}

// Longer each time, and never quite as long as others wait.
static void wait_a_little(int tries)
{
    uint32_t random;
    long most = WAIT_LEAST_US << (tries < 8 ? tries : 8);
    if (most > WAIT_MOST_US)
        most = WAIT_MOST_US;
    sqlite.randomness(sizeof random, &random);
    long us = WAIT_LEAST_US + (long)(random % (unsigned long)most);
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static int on_busy(void *arg, int tries)
{
    const struct sqlite_conn *c = arg;
    if (!may_wait(c))
        return 0;
    wait_a_little(tries);
    return 1;
}

static int on_progress(void *arg)
{
    const struct sqlite_conn *c = arg;
    return atomic_load_explicit(&c->stop, memory_order_relaxed);
}

static void on_update(void *arg, int what, const char *database, const char *table,
                      sqlite3_int64 rowid)
{
    struct sqlite_conn *c = arg;
    (void)database, (void)table;
    c->row_inserted = c->row_inserted || (what == SQLITE_INSERT && rowid == c->row_watched);
}

// Statements --------------------------------------------------------------------------------------

void sqlite_conn_fail(struct sqlite_conn *c, int code, struct sqlite_failure *f)
{
    if (c->guard.refused)
        sqlite_fail(f, SQLITE_AUTH, "%s", c->guard.refused);
    else
        sqlite_fail_db(f, code, c->db);
    c->bad = c->bad || sqlite_is_fatal(code);
}

// What is left of sql after blanks, semicolons and comments.
static struct str skip_blanks(struct str s)
{
    while (s.n) {
        if (memchr(" \t\r\n\f;", s.p[0], 6)) {
            s = str_of(s.p + 1, s.n - 1);
            continue;
        }
        bool line = s.n >= 2 && memcmp(s.p, "--", 2) == 0;
        if (!line && !(s.n >= 2 && memcmp(s.p, "/*", 2) == 0))
            break;
        const char *end = line ? memchr(s.p, '\n', s.n) : memmem(s.p + 2, s.n - 2, "*/", 2);
        if (!end)
            return str_of(s.p + s.n, 0);
        end += line ? 1 : 2;
        s = str_of(end, s.n - (size_t)(end - s.p));
    }
    return s;
}

static struct sqlite_stmt *take_kept(struct sqlite_conn *c, struct str sql)
{
    for (struct sqlite_stmt **at = &c->kept; *at; at = &(*at)->next) {
        struct sqlite_stmt *s = *at;
        if (!str_eq(s->sql, sql))
            continue;
        *at = s->next;
        c->kept_count--;
        return s;
    }
    return NULL;
}

static struct sqlite_stmt *make(struct str sql, struct sqlite3_stmt *stmt, struct sqlite_failure *f)
{
    struct sqlite_stmt *s = malloc(sizeof *s + sql.n);
    if (!s) {
        sqlite.finalize(stmt);
        sqlite_fail(f, SQLITE_NOMEM, "not enough memory");
        return NULL;
    }
    char *bytes = (char *)(s + 1);
    if (sql.n)
        memcpy(bytes, sql.p, sql.n);
    *s = (struct sqlite_stmt){.stmt = stmt, .sql = str_of(bytes, sql.n)};
    return s;
}

// Only what is the whole of its text can be found by it again: others have none here. Nor have pragmas,
// which are judged by what the connection is at: when they are prepared.
static struct sqlite_stmt *prepare_new(struct sqlite_conn *c, struct str sql, struct str *rest,
                                       struct sqlite_failure *f)
{
    struct sqlite3_stmt *stmt = NULL;
    const char *tail = sql.p;
    c->guard.judging = true;
    c->guard.pragma = c->guard.inserts = false;
    int rc = sqlite.prepare_v3(c->db, sql.p, (int)sql.n, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    c->guard.judging = false;
    if (rc != SQLITE_OK) {
        sqlite_conn_fail(c, rc, f);
        return NULL;
    }
    *rest = skip_blanks(str_of(tail, sql.n - (size_t)(tail - sql.p)));
    if (!stmt)
        return NULL;
    struct sqlite_stmt *s = make(rest->n || c->guard.pragma ? str_of(sql.p, 0) : sql, stmt, f);
    if (s)
        s->inserts = c->guard.inserts;
    return s;
}

static void begin(struct sqlite_conn *c, struct sqlite_stmt *s)
{
    s->id = ++c->cursors_begun;
    s->next = c->cursors;
    c->cursors = s;
    c->cursor_count++;
}

struct sqlite_stmt *sqlite_conn_prepare(struct sqlite_conn *c, struct str sql, struct str *rest,
                                        struct sqlite_failure *f)
{
    c->guard.refused = NULL;
    if (c->cursor_count == CURSORS_MAX) {
        sqlite_fail(f, SQLITE_MISUSE, "%d loops over rows are open in this transaction already",
                    CURSORS_MAX);
        return NULL;
    }
    sql = skip_blanks(sql);
    *rest = str_of(sql.p + sql.n, 0);
    if (sql.n == 0)
        return NULL;
    struct sqlite_stmt *s = take_kept(c, sql);
    if (!s)
        s = prepare_new(c, sql, rest, f);
    if (s)
        begin(c, s);
    return s;
}

struct sqlite_stmt *sqlite_conn_cursor(const struct sqlite_conn *c, uint64_t id)
{
    struct sqlite_stmt *s = c->cursors;
    while (s && s->id != id)
        s = s->next;
    return s;
}

static void drop(struct sqlite_stmt *s)
{
    sqlite.finalize(s->stmt);
    free(s);
}

static void drop_last_kept(struct sqlite_conn *c)
{
    struct sqlite_stmt **at = &c->kept;
    while ((*at)->next)
        at = &(*at)->next;
    drop(*at);
    *at = NULL;
    c->kept_count--;
}

void sqlite_conn_end(struct sqlite_conn *c, struct sqlite_stmt *s)
{
    struct sqlite_stmt **at = &c->cursors;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    c->cursor_count--;
    sqlite.reset(s->stmt);
    sqlite.clear_bindings(s->stmt); // it holds values that may be large
    if (s->sql.n == 0 || c->setup->statements == 0) {
        drop(s);
        return;
    }
    s->next = c->kept;
    c->kept = s;
    if (++c->kept_count > c->setup->statements)
        drop_last_kept(c);
}

bool sqlite_conn_do(struct sqlite_conn *c, const char *sql, struct sqlite_failure *f)
{
    c->guard.refused = NULL;
    int rc = sqlite.exec(c->db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        sqlite_conn_fail(c, rc, f);
    return rc == SQLITE_OK;
}

// Opening and closing -----------------------------------------------------------------------------

static void set_limits(struct sqlite3 *db)
{
    static const struct {
        int limit, value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX},
        {SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX},
        {SQLITE_LIMIT_ATTACHED, 1}, // for VACUUM; see sqlite_guard.h
        {SQLITE_LIMIT_WORKER_THREADS, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_BYTES_MAX},
        {SQLITE_LIMIT_EXPR_DEPTH, EXPRESSION_DEPTH_MAX},
        {SQLITE_LIMIT_COMPOUND_SELECT, COMPOUND_MAX},
        {SQLITE_LIMIT_VDBE_OP, INSTRUCTIONS_MAX},
        {SQLITE_LIMIT_FUNCTION_ARG, ARGUMENTS_MAX},
        {SQLITE_LIMIT_VARIABLE_NUMBER, VALUES_MAX},
        {SQLITE_LIMIT_TRIGGER_DEPTH, TRIGGER_DEPTH_MAX},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite.limit(db, limits[i].limit, limits[i].value);
}

// The schema cannot be written by hand, and "x" is never a text. Schemas are trusted: without that no
// trigger could keep a search (FTS5) up to date, and there are no functions here that could harm.
static void set_config(struct sqlite3 *db)
{
    static const struct {
        int option, on;
    } config[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1}, {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
    };
    for (size_t i = 0; i < sizeof config / sizeof *config; i++)
        sqlite.db_config(db, config[i].option, config[i].on, NULL);
}

// The pragma's row: the mode that the file is in.
static int see_mode(void *arg, int n, char **values, char **names)
{
    bool *wal = arg;
    (void)names;
    *wal = n == 1 && values[0] && strcmp(values[0], "wal") == 0;
    return 0;
}

// SQLite goes on with what there is: a rollback journal, with which those who read wait for who writes.
static void warn_without_wal(struct sqlite_setup *setup)
{
    if (!atomic_exchange_explicit(&setup->without_wal, true, memory_order_relaxed))
        log_write(LOG_WARN,
                  "%s has no write-ahead log, which its file system cannot do: calls that read it "
                  "wait for those that write, and may be \"busy\"",
                  setup->path);
}

// The switch to a write-ahead log needs the file for itself, and does not always ask on_busy.
static bool use_wal(struct sqlite_conn *c, struct sqlite_failure *f)
{
    static const char wal[] = "PRAGMA journal_mode=WAL";
    for (int tries = 0;; tries++) {
        bool is_wal = false;
        int rc = sqlite.exec(c->db, wal, see_mode, &is_wal, NULL);
        if (rc == SQLITE_OK && !is_wal)
            warn_without_wal(c->setup);
        if (rc == SQLITE_OK)
            return true;
        if ((rc & 0xff) != SQLITE_BUSY || !may_wait(c)) {
            sqlite_conn_fail(c, rc, f);
            return false;
        }
        wait_a_little(tries);
    }
}

static bool set_pragmas(struct sqlite_conn *c, struct sqlite_failure *f)
{
    const char *sync = c->setup->full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL";
    char *journal = sqlite.mprintf("PRAGMA journal_size_limit=%d", JOURNAL_BYTES_MAX);
    bool ok = sqlite_conn_do(c, "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0", f) &&
              (!c->setup->path || use_wal(c, f)) && sqlite_conn_do(c, sync, f) &&
              (journal && sqlite_conn_do(c, journal, f)) &&
              (!c->reader || sqlite_conn_do(c, "PRAGMA query_only=ON", f));
    sqlite.free(journal);
    if (!ok)
        sqlite_fail(f, SQLITE_NOMEM, "not enough memory");
    return ok;
}

bool sqlite_conn_open(struct sqlite_conn *c, struct sqlite_failure *f)
{
    static const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                             SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    if (c->db)
        return true;
    const char *why = sqlite_library_load();
    if (why) {
        sqlite_fail(f, SQLITE_CANTOPEN, "%s", why);
        return false;
    }
    sqlite.hard_heap_limit64(MEMORY_BYTES_MAX);
    bool file = c->setup->path;
    int rc = sqlite.open_v2(file ? c->setup->path : ":memory:", &c->db,
                            flags | (file ? SQLITE_OPEN_NOFOLLOW : SQLITE_OPEN_MEMORY), NULL);
    if (rc != SQLITE_OK) {
        sqlite_fail_db(f, rc, c->db);
        sqlite_conn_close(c);
        return false;
    }
    sqlite.busy_handler(c->db, on_busy, c);
    sqlite.progress_handler(c->db, LOOK_EVERY, on_progress, c);
    sqlite.update_hook(c->db, on_update, c);
    set_limits(c->db);
    set_config(c->db);
    sqlite_guard_set(&c->guard, c->db);
    if (!sqlite_function_register(c->db))
        sqlite_fail(f, SQLITE_NOMEM, "not enough memory");
    else if (set_pragmas(c, f))
        return true;
    sqlite_conn_close(c);
    return false;
}

bool sqlite_conn_is_untidy(const struct sqlite_conn *c)
{
    return c->cursors || c->transaction || c->unchecked || c->guard.deferred;
}

void sqlite_conn_tidy(struct sqlite_conn *c)
{
    struct sqlite_failure ignored = {0};
    atomic_store_explicit(&c->stop, false, memory_order_relaxed);
    while (c->cursors)
        sqlite_conn_end(c, c->cursors);
    if (c->db && !sqlite.get_autocommit(c->db) && !sqlite_conn_do(c, "ROLLBACK", &ignored))
        c->bad = true; // closing it rolls back
    if (c->unchecked && !sqlite_conn_do(c, "PRAGMA foreign_keys=ON", &ignored))
        c->bad = true;
    // A commit that was none of ours may have failed to.
    if (c->guard.deferred && !sqlite_conn_do(c, "PRAGMA defer_foreign_keys=OFF", &ignored))
        c->bad = true;
    c->transaction = c->unchecked = c->guard.deferred = false;
}

void sqlite_conn_close(struct sqlite_conn *c)
{
    while (c->cursors)
        sqlite_conn_end(c, c->cursors);
    while (c->kept)
        drop_last_kept(c);
    if (c->db) {
        int rc = sqlite.close(c->db);
        assert(rc == SQLITE_OK); // all of its statements are finalized
        c->db = NULL;
    }
    c->transaction = c->unchecked = c->guard.deferred = c->bad = false;
    atomic_store_explicit(&c->stop, false, memory_order_relaxed);
}

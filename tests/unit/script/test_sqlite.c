// lunette.sqlite on threads of a pool: results and errors; who waits for whom; and that whatever becomes of
// a handler, its connection comes back as it was.
#include "script_test.h"

#include <sqlite3.h>

// The data folder is the fixture's own, where lunette.core would name the site's.
static void open_library(struct fixture *f)
{
    char chunk[512];
    snprintf(chunk, sizeof chunk,
             "package.preload['lunette.core'] = function() return {data = '%s/data'} end "
             "sqlite, task = require 'lunette.sqlite', require 'lunette.task' "
             "db = sqlite.open('x.db', {timeout = '1s'}) "
             "db:exec('CREATE TABLE t (a UNIQUE, b)') "
             // ends when it is stopped
             "endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
             "SELECT max(i) FROM n' "
             "return 'opened'",
             f->site);
    assert_int_equal(
        luaL_dostring(vm_state(f->vm),
                      "for _, n in ipairs{'sqlite', 'task', 'db', 'endless', 'memory', 'log'}"
                      " do rawset(_G, n, false) end"),
        LUA_OK);
    expect(f, chunk, "opened");
}

static int setup_sqlite(void **state)
{
    setup(state);
    open_library(*state);
    return 0;
}

static int setup_sqlite_collecting(void **state)
{
    setup_sqlite(state);
    ((struct fixture *)*state)->collect = true;
    return 0;
}

static int teardown_sqlite(void **state)
{
    struct fixture *f = *state;
    vm_free(f->vm);
    f->vm = NULL;
    for (int turns = 0; turns < 20; turns++) // connections are closed by threads
        loop_turn(f->loop, 1);
    return teardown(state);
}

static void rows_come_as_tables(void **state)
{
    static const struct story stories[] = {
        {"return db:exec('INSERT INTO t VALUES (?, ?)', 1, nil).changes", "1"},
        {"local r = db:exec('INSERT INTO t VALUES (?, ?), (?, ?)', 2, 'two', 3, sqlite.blob 'x')"
         " return r.changes, r.last_id",
         "2,3"},
        {"local r = db:rows('SELECT a, b, typeof(b) AS k FROM t ORDER BY a')"
         " return #r, r[1].a, r[1].b, r[1].k, r[2].b, r[2].k, r[3].b, r[3].k",
         "3,1,nil,null,two,text,x,blob"},
        {"return db:row('SELECT a FROM t WHERE b = :b', {b = 'two'}).a", "2"},
        {"return db:row('SELECT a FROM t WHERE a = 9')", "nil"},
        {"return db:value('SELECT b FROM t WHERE a = 1'), db:value('SELECT a FROM t WHERE a = 9')",
         "nil,nil"},
        {"return require 'lunette.json'.encode(db:rows 'SELECT a FROM t WHERE a = 9')", "[]"},
        {"return math.type(db:value('SELECT ?', 2^53 // 1)), math.type(db:value('SELECT ?', 7)), "
         "db:value('SELECT ?', math.mininteger), db:value('SELECT ?', true)",
         "float,integer,-9223372036854775808,1"},
        {"return #db:value('SELECT ?', 'a\\0b'), db:value('SELECT ?', require 'lunette.json'.null)",
         "3,nil"},
        {"return db:row('SELECT 1 AS a, 2 AS a').a, db:row('SELECT 1 AS a, NULL AS a').a", "2,nil"},
        {"local n, sum = 0, 0 for row in db:each('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
         "SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n') do n = n + 1 sum = sum + row.i end"
         " return n, sum",
         "20000,200010000"},
        {"local r = db:rows('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
         "i < 20000) SELECT i FROM n') return #r, r[20000].i",
         "20000,20000"},
        {"for row in db:each 'SELECT 1 AS a WHERE 0' do return 'never' end return 'none'", "none"},
        {"local n = 0 for row in db:each \"INSERT INTO t VALUES (4), (5) RETURNING a\" do"
         " n = n + row.a end return n",
         "error: t:1: table t has 2 columns but 1 values were supplied (in: INSERT INTO t VALUES (4), (5) "
         "RETURNING a)"},
        {"local n = 0 for row in db:each 'INSERT INTO t (a) VALUES (4), (5) RETURNING a' do"
         " n = n + row.a end return n, db:value 'SELECT count(*) FROM t'",
         "9,5"},
        {"return sqlite.open('./x.db') == db, tostring(db)", "true,database x.db"},
    };
    tell(*state, stories);
}

static void errors_say_what_and_where(void **state)
{
    static const struct story stories[] = {
        {"db:exec('INSERT INTO t VALUES (1, 1)')\n db:exec('INSERT INTO t\\n  VALUES (?, ?)', 1, 2)",
         "error: t:2: UNIQUE constraint failed: t.a (in: INSERT INTO t VALUES (?, ?))"},
        {"local ok, e = pcall(db.exec, db, 'INSERT INTO t VALUES (?, ?)', 1, 2)"
         " return e.kind, e.code, e.message, e.sql, sqlite.is_error(e), sqlite.is_error('x')",
         "constraint,SQLITE_CONSTRAINT_UNIQUE,UNIQUE constraint failed: t.a,INSERT INTO t VALUES (?, ?),"
         "true,false"},
        {"local ok, e = pcall(db.rows, db, 'SELEC ' .. ('\u00e9'):rep(5000)) local text = tostring(e)"
         " return #text < 200, utf8.len(text) ~= nil, #e.sql",
         "true,true,1000"},
        {"db:rows('SELECT ?', {})",
         "error: t:1: parameter 1 is a ?, which takes a value and not a table (in: SELECT ?)"},
        {"db:rows('SELECT ?, ?', 1, {})",
         "error: t:1: value 2 is a table, which is not kept: nil, a boolean, a number, a string or "
         "sqlite.blob(s) (in: SELECT ?, ?)"},
        {"db:rows('SELECT :x', {x = 0/0})",
         "error: t:1: value x is NaN, which is not kept: nil, a boolean, a number, a string or "
         "sqlite.blob(s) (in: SELECT :x)"},
        {"db:rows('SELECT :x', {1})",
         "error: t:1: a table of values has names as keys: { title = … } (in: SELECT :x)"},
        {"db:rows('SELECT ?', nil, nil)",
         "error: t:1: the SQL has 1 parameter, and 2 values were given (in: SELECT ?)"},
        {"db:rows()", "error: t:1: the SQL must be a string, not nil"},
        {"db:rows('SELECT 1\\0')",
         "error: t:1: the SQL has a NUL byte: values are given as parameters (in: SELECT 1\0)"},
        {"db.exec('SELECT 1')", "error: t:1: call with a colon: db:exec()"},
        {"db:transaction('x')",
         "error: t:1: db:transaction: the argument must be a function, not the string \"x\""},
        {"sqlite.open('../x.db')",
         "error: t:1: sqlite.open: the path leads out of data/: \"../x.db\""},
        {"sqlite.open('/tmp/x.db')",
         "error: t:1: sqlite.open: the path is beneath data/: \"/tmp/x.db\""},
        {"sqlite.open('a/')", "error: t:1: sqlite.open: \"a/\" names no file"},
        {"sqlite.open('a\\0b')", "error: t:1: sqlite.open: the path has a NUL byte"},
        {"sqlite.open('y.db', {timeot = 1})",
         "error: t:1: sqlite.open: unknown option \"timeot\" (the nearest "
         "known one is \"timeout\")"},
        {"sqlite.open('y.db', {readers = 1})",
         "error: t:1: sqlite.open: readers must be an integer from 2 to 32, not the number 1"},
        {"sqlite.open('x.db', {timeout = 2})",
         "error: t:1: sqlite.open: x.db is open with other options"},
        {"table.sort({1, 2}, function() db:rows 'SELECT 1' end)",
         "error: t:1: cannot wait inside table.sort"},
    };
    tell(*state, stories);
}

// What is copied to a thread has a bound, for one call and for all of them.
static void the_values_of_a_call_have_a_bound(void **state)
{
    static const struct story stories[] = {
        {"memory = ('x'):rep(8 << 20) local values = {} for i = 1, 250 do values[i] = memory end"
         " local ok, e = pcall(db.value, db, 'SELECT 1', table.unpack(values))"
         " return ok, e.kind, e.code, e.message",
         "false,too_big,SQLITE_TOOBIG,the SQL and the values of one call have more than 68157440 bytes "
         "together"},
        {"local names = {} for i = 1, 9 do names['n' .. i] = memory end"
         " local ok, e = pcall(db.value, db, 'SELECT 1', names) return ok, e.kind",
         "false,too_big"},
        {"local ok, e = pcall(db.value, db, (' '):rep(2 << 20)) return ok, e.kind, e.message",
         "false,too_big,the SQL has more than 1048576 bytes"},
        {"local y = sqlite.open('y.db', {readers = 8}) local values, tasks, kinds = {}, {}, {}"
         " for i = 1, 8 do values[i] = memory end"
         " for i = 1, 8 do tasks[i] = task.spawn(pcall, y.value, y,"
         "   'SELECT 7 WHERE ?1||?2||?3||?4||?5||?6||?7||?8 IS NULL OR 1', table.unpack(values)) end"
         " for i = 1, 8 do local ok, e = tasks[i]:join() local kind = ok and 'ok' or e.kind"
         "   kinds[kind] = (kinds[kind] or 0) + 1 end"
         " return kinds.memory > 0, (kinds.ok or 0) + kinds.memory + (kinds.too_big or 0)",
         "true,8"},
        {"return db:value('SELECT length(?)', memory)", "8388608"}, // all of it was given back
        {"return db:value('SELECT length(?) + length(?) + length(?) + length(?) + length(?) + length(?)',"
         " memory, memory, memory, memory, memory, memory)",
         "50331648"},
    };
    tell(*state, stories);
}

static void misuse_has_its_kind(void **state)
{
    static const char *const slips[] = {
        "db.exec('SELECT 1')",
        "db:rows()",
        "db:rows('SELECT ?', {})",
        "db:rows('SELECT ?', print)",
        "db:transaction('x')",
        "db:migrate(1)",
        "db:migrate{5}",
        "db:migrate{'x', extra = 'y'}",
        "db:transaction(function(tx) tx.exec 'x' end)",
        "db:transaction(function(tx) tx:transaction(1) end)",
        "db:transaction(function(tx) db:exec 'SELECT 1' end)",
        "db:transaction(function(tx) return tx end):exec 'SELECT 1'",
        "sqlite.open(nil)",
        "sqlite.open '../x.db'",
        "sqlite.open '/tmp/x.db'",
        "sqlite.open 'a/'",
        "sqlite.open 'a\\0b'",
        "sqlite.open('y.db', {timeot = 1})",
        "sqlite.open('y.db', {timeout = 'x'})",
        "sqlite.open('y.db', {readers = 1})",
        "sqlite.open('y.db', {synchronous = 1})",
        "sqlite.open('y.db', 7)",
        "sqlite.open('x.db', {timeout = 2})",
        "sqlite.blob(7)",
    };
    char chunk[256];
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        snprintf(chunk, sizeof chunk,
                 "local ok, e = pcall(function() %s end) return ok, e.kind, e.code, e.place",
                 slips[i]);
        expect(*state, chunk, "false,misuse,SQLITE_MISUSE,t:1");
    }
}

static void a_path_through_a_link_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/data/link.db", f->site);
    assert_int_equal(symlink("/tmp/lunette-elsewhere.db", path), 0);
    snprintf(path, sizeof path, "%s/data/folder", f->site);
    assert_int_equal(symlink("/tmp", path), 0);
    expect(f, "sqlite.open 'link.db'",
           "error: t:1: link.db cannot be opened: the path leads out of the data "
           "folder, or through a link");
    expect(f, "sqlite.open 'folder/y.db'",
           "error: t:1: folder/y.db cannot be opened: the path leads out of "
           "the data folder, or through a link");
    expect(f, "sqlite.open 'new/folder/y.db' return sqlite.open 'new/folder/y.db':value 'SELECT 1'",
           "1");
    expect(f, "sqlite.open 'new'", "error: t:1: new cannot be opened: Is a directory");
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    struct fixture *f = *state;
    write_file(f, "data/text.db",
               "This is a text, and it is longer than the head of a database, which has 100 "
               "bytes: so many that this sentence has to go on for a while.");
    expect(f, "local y = sqlite.open 'text.db'",
           "error: t:1: text.db cannot be opened: file is not a database");
    expect(f, "local ok, e = pcall(sqlite.open, 'text.db') return e.kind, e.code",
           "corrupt,SQLITE_NOTADB");
}

// SQLite's ways to a file without shared memory are as a file system that cannot map it.
static void a_file_system_without_wal_is_warned_of_once(void **state)
{
    struct fixture *f = *state;
    char text[4096], warning[256];
    assert_int_equal(sqlite3_vfs_register(sqlite3_vfs_find("unix-none"), 1), SQLITE_OK);
    logged(
        f,
        "local y = sqlite.open 'y.db' y:exec 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'"
        " task.all {function() y:value 'SELECT a FROM t' end, function() y:value 'SELECT a FROM t' end}"
        " return y:value 'PRAGMA journal_mode'",
        text, sizeof text);
    assert_int_equal(sqlite3_vfs_register(sqlite3_vfs_find("unix"), 1), SQLITE_OK);
    assert_string_equal(f->result, "delete");
    snprintf(warning, sizeof warning, "%s/data/y.db has no write-ahead log", f->site);
    const char *first = strstr(text, warning);
    assert_non_null(first);
    assert_null(strstr(first + 1, warning));
    logged(f, "return sqlite.open 'z.db':value 'SELECT 1'", text, sizeof text);
    assert_string_equal(text, "");
}

static void transactions_commit_or_roll_back(void **state)
{
    static const struct story stories[] = {
        {"return db:transaction(function(tx) tx:exec 'INSERT INTO t (a) VALUES (1)' return 'a', nil, 'c' end)",
         "a,nil,c"},
        {"return pcall(db.transaction, db, function(tx) tx:exec 'INSERT INTO t (a) VALUES (2)' error('no', 0)"
         " end)",
         "false,no"},
        {"local e = {} local ok, got = pcall(db.transaction, db, function(tx)"
         " tx:exec 'INSERT INTO t (a) VALUES (2)' error(e) end) return ok, got == e",
         "false,true"},
        {"local seen = {} db:transaction(function(tx) tx:exec 'INSERT INTO t (a) VALUES (3)'"
         " seen[1] = tx:value 'SELECT count(*) FROM t' seen[2] = db:value 'SELECT count(*) FROM t' end)"
         " return seen[1], seen[2], db:value 'SELECT count(*) FROM t'",
         "2,1,2"},
        {"return db:transaction(function(tx) db:exec 'DELETE FROM t' end)",
         "error: t:1: this handler is in a transaction of the database, and would wait for itself: use tx (in: "
         "DELETE FROM t)"},
        {"return db:transaction(function(tx) db:transaction(print) end)",
         "error: t:1: this handler is in a transaction of the database, and would wait for itself: use tx (in: "
         "BEGIN IMMEDIATE)"},
        {"local kept = db:transaction(function(tx) return tx end) kept:exec 'DELETE FROM t'",
         "error: t:1: tx:exec: the transaction is over"},
        {"db:transaction(function(tx) tx.exec 'x' end)",
         "error: t:1: call with a colon: tx:exec()"},
        // savepoints
        {"db:transaction(function(tx) tx:exec 'INSERT INTO t (a) VALUES (10)'"
         " pcall(tx.transaction, tx, function(sp) sp:exec 'INSERT INTO t (a) VALUES (11)'"
         "   sp:transaction(function(sp2) sp2:exec 'INSERT INTO t (a) VALUES (12)' end) error 'x' end)"
         " tx:transaction(function(sp) sp:exec 'INSERT INTO t (a) VALUES (13)' end) end)"
         " local r = {} for row in db:each 'SELECT a FROM t WHERE a >= 10 ORDER BY a' do r[#r + 1] = row.a end"
         " return table.concat(r, ' ')",
         "10 13"},
        {"db:transaction(function(tx) tx:transaction(function() tx:transaction(print) end) end)",
         "error: t:1: tx:transaction: a savepoint is open in this transaction: use its own tx"},
        // loops inside of loops, some of them left
        {"return db:transaction(function(tx) local n = 0"
         " for i = 1, 50 do for row in tx:each 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
         " WHERE i < 20000) SELECT i FROM n' do n = n + 1"
         "   for inner in tx:each 'SELECT 1 AS x' do n = n + inner.x end break end end return n end)",
         "100"},
        {"local it db:transaction(function(tx) it = tx:each 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT"
         " i + 1 FROM n WHERE i < 20000) SELECT i FROM n' end) for i = 1, 20000 do it() end",
         "error: t:1: tx:each: the transaction is over"},
        // a constraint that is looked at when all is done
        {"db:exec 'CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE"
         " INITIALLY DEFERRED)' db:transaction(function(tx) tx:exec 'INSERT INTO c VALUES (9)' end)",
         "error: t:1: FOREIGN KEY constraint failed (in: COMMIT)"},
        {"return db:value 'SELECT count(*) FROM c', db:exec('INSERT INTO p VALUES (9)').changes",
         "0,1"},
    };
    tell(*state, stories);
}

static void memory_is_one_connection(void **state)
{
    static const struct story stories[] = {
        {"memory = sqlite.open ':memory:' memory:exec 'CREATE TABLE t (a)'"
         " for i = 1, 3 do memory:exec('INSERT INTO t VALUES (?)', i) end return memory:value"
         " 'SELECT sum(a) FROM t'",
         "6"},
        {"for row in memory:each 'SELECT a FROM t' do memory:exec('DELETE FROM t WHERE a = ?', row.a) end"
         " return memory:value 'SELECT count(*) FROM t'",
         "0"},
        {"memory:transaction(function(tx) memory:value 'SELECT 1' end)",
         "error: t:1: this handler is in a transaction of the database, and would wait for itself: use tx (in: "
         "SELECT 1)"},
    };
    tell(*state, stories);
}

static void migrations_are_applied_once(void **state)
{
    static const struct story stories[] = {
        {"db:exec 'DROP TABLE t' steps = {'CREATE TABLE t (a); INSERT INTO t VALUES (1)',"
         " function(tx) tx:exec 'INSERT INTO t VALUES (2)' end} return db:migrate(steps)",
         "0"},
        {"return db:migrate(steps), db:value 'SELECT count(*) FROM t', db:value 'PRAGMA user_version'",
         "2,2,2"},
        {"steps[3] = 'INSERT INTO t VALUES (3); SELECT nonsense' local ok, e = pcall(db.migrate, db, steps)"
         " return e.step, e.message, db:value 'SELECT count(*) FROM t', db:value 'PRAGMA user_version'",
         "3,step 3 of migrate: no such column: nonsense,2,2"},
        // A table made anew, which others refer to; and one that leaves them alone.
        {"steps[3] = 'CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
         " CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); INSERT INTO c VALUES (1)'"
         " steps[4] = 'CREATE TABLE q (id INTEGER PRIMARY KEY, more); INSERT INTO q (id) SELECT id FROM p;"
         " DROP TABLE p; ALTER TABLE q RENAME TO p' db:migrate(steps)"
         " return db:value 'SELECT count(*) FROM c', db:value 'PRAGMA user_version'",
         "1,4"},
        {"steps[5] = 'DELETE FROM p' local ok, e = pcall(db.migrate, db, steps) return e.kind, e.message",
         "constraint,step 5 of migrate: row 1 of table c refers to nothing in p"},
        {"db:exec 'DELETE FROM p' return db:value 'SELECT count(*) FROM c'",
         "0"}, // they are checked again
        {"for i = 5, 2, -1 do steps[i] = nil end db:migrate(steps)",
         "error: t:1: the database is at version 4, and these scripts know 1"},
        {"db:migrate {'x', 5}",
         "error: t:1: db:migrate: step 2 must be SQL or a function(tx), not a number"},
        {"db:migrate {'x', extra = 'y'}",
         "error: t:1: db:migrate: a list of SQL or functions is expected, "
         "without other keys"},
    };
    struct fixture *f = *state;
    assert_int_equal(luaL_dostring(vm_state(f->vm), "rawset(_G, 'steps', false)"), LUA_OK);
    tell(f, stories);
}

static void who_writes_waits_in_line(void **state)
{
    static const struct story stories[] = {
        // Transactions do not mix, and go in the order in which they came.
        {"log = {} local function work(name) return function() db:transaction(function(tx)"
         " for i = 1, 3 do tx:exec('INSERT INTO t VALUES (?, ?)', name .. i, i) log[#log + 1] = name"
         " task.sleep(0.001) end end) end end"
         " task.all {work 'a', work 'b', work 'c'} return table.concat(log)",
         "aaabbbccc"},
        {"local hs = {} for i = 1, 200 do hs[i] = task.spawn(db.exec, db, 'INSERT INTO t VALUES (?, 0)', i) end"
         " for _, h in ipairs(hs) do h:join() end return db:value 'SELECT count(*) FROM t WHERE b = 0'",
         "200"},
        // Those that read do not wait for one that writes.
        {"return db:transaction(function(tx) tx:exec 'DELETE FROM t' local h = task.spawn(db.value, db,"
         " 'SELECT count(*) FROM t') return h:join() end)",
         "209"},
    };
    tell(*state, stories);
}

static void a_turn_that_does_not_come_is_busy(void **state)
{
    static const struct story stories[] = {
        {"return db:transaction(function(tx) local ok, e = pcall(function()"
         " task.all {function() db:exec 'DELETE FROM t' end} end) return ok, e.kind, e.message end)",
         "false,busy,the database was not free in time: the transaction begun at t:1 has it"},
        {"local h h = task.spawn(function()\n db:transaction(function() task.sleep(1.4) end) end) task.sleep(0)"
         " local ok, e = pcall(db.transaction, db, print) h:join() return e.message",
         "the database was not free in time: the transaction begun at t:2 has it"},
        // Loops leave one reader to the others.
        {"local n = 0 for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do"
         " n = n + db:value 'SELECT 1' "
         " local ok, e = pcall(function() for _ in db:each 'SELECT 1' do end end)"
         " n = n + (ok and 10 or 1) return n, e.kind, e.message, e.place end end",
         "2,busy,the database was not free in time: 2 loops over rows are open,t:1"},
        // What is made and not begun holds nothing; what is begun, and left, until it is closed.
        {"local a, b, c = db:each 'SELECT 1 AS x', db:each 'SELECT 2', db:each 'SELECT 3'"
         " for r in db:each 'SELECT 4' do for _ in db:each 'SELECT 5' do return 'free' end end",
         "free"},
        {"local a, _, _, lease = db:each 'SELECT 1 AS x UNION SELECT 2' local first = a().x"
         " local closing <close> = lease return first, a().x, a(), a()",
         "1,2,nil,nil"},
        // A step that takes a while: the other task is there before it is over.
        {"local it, _, _, lease = db:each [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
         " FROM n WHERE i < 300000) SELECT count(*) - 299999 AS x FROM n]] local h = task.spawn(pcall, it)"
         " local closing <close> = lease local x = it().x local ok, e = h:join()"
         " return x, ok, e.kind, e.message",
         "1,false,misuse,another task is at the first step of this loop"},
        {"local it = db:each 'SELECT nonsense' local ok, e = pcall(it) return ok, e.kind, it()",
         "false,sql,nil"},
        {"for row in db:each 'WITH x(a) AS (SELECT 31) INSERT INTO t (a) SELECT a FROM x RETURNING a' do"
         " return row.a, db:exec('DELETE FROM t WHERE a = 31').changes end",
         "31,1"},
        {"for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do return 'free again' end end",
         "free again"},
        {"for _ in db:each 'SELECT 1' do error 'x' end", "error: t:1: x"},
        {"for i = 1, 5 do pcall(db.each, db, 'nonsense') pcall(db.each, db, 'SELECT nonsense') end"
         " for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do return 'free' end end",
         "free"},
    };
    tell(*state, stories);
}

static void a_closed_database_says_so(void **state)
{
    static const struct story stories[] = {
        {"local y = sqlite.open 'y.db' local h, e"
         " y:transaction(function(tx) h = task.spawn(pcall, y.exec, y, 'SELECT 1') task.sleep(0) y:close()"
         " y:close() tx:exec 'CREATE TABLE t (a)' end)"
         " local ok, e = h:join() return ok, e.message",
         "false,the database is closed"},
        {"local y = sqlite.open 'y.db' y:exec 'INSERT INTO t VALUES (1)' local z = y y:close()"
         " y = sqlite.open 'y.db' return y ~= z, y:value 'SELECT count(*) FROM t', pcall(z.value, z, 'SELECT 1')",
         "true,1,false,t:1: the database is closed (in: SELECT 1)"},
    };
    tell(*state, stories);
}

static void many_databases_are_refused(void **state)
{
    struct fixture *f = *state;
    expect(
        f,
        "local kept = {} for i = 1, 300 do local ok, e = pcall(sqlite.open, i .. '.db')"
        " if not ok then return #kept > 200, e.kind, (e.message:gsub('^.-: ', '')) end kept[i] = e end",
        "true,open,256 databases are open in this worker already");
    // Those that nobody has any more make room.
    expect(
        f,
        "collectgarbage() task.sleep(0.3) for i = 1, 300 do sqlite.open('lost' .. i .. '.db') end return 'all'",
        "all");
}

// A failure gives up what it had, though nothing is collected.
static void a_database_that_cannot_be_opened_is_closed(void **state)
{
    struct fixture *f = *state;
    write_file(f, "data/text.db", "This is a text, and no database.");
    expect(f,
           "collectgarbage 'stop' for i = 1, 300 do local ok, e = pcall(sqlite.open, 'text.db')"
           " if ok or e.kind ~= 'corrupt' then return i, tostring(e) end end"
           " local kept = {} for i = 1, 200 do kept[i] = sqlite.open(i .. '.db') end"
           " collectgarbage 'restart' return #kept",
           "200");
    // Of those who open a file at the same moment all get one database.
    expect(
        f,
        "collectgarbage() task.sleep(0.3) collectgarbage 'stop' for i = 1, 40 do local hs = {}"
        " for n = 1, 8 do hs[n] = task.spawn(sqlite.open, 'same.db') end"
        " local db = hs[1]:join() for n = 2, 8 do if hs[n]:join() ~= db then return 'another' end end"
        " db:close() task.sleep(0.001) end collectgarbage 'restart' return 'one'",
        "one");
}

// What a handler was doing when it was cancelled, killed, or its state freed.
static const char *const doings[] = {
    "db:value(endless)",
    "db:exec('INSERT INTO t VALUES (99, (' .. endless .. '))')",
    "db:transaction(function(tx) tx:exec 'INSERT INTO t VALUES (98, 0)' tx:value(endless) end)",
    "db:transaction(function(tx) tx:exec 'INSERT INTO t VALUES (97, 0)' task.sleep(100) end)",
    "db:transaction(function(tx) tx:transaction(function(sp) sp:exec 'INSERT INTO t VALUES (96, 0)'"
    " task.sleep(100) end) end)",
    "for row in db:each 'SELECT 1' do task.sleep(100) end",
    "for row in db:each(endless) do task.sleep(100) end",
    "db:exec(endless .. '; ' .. endless)",
    // those that wait for a connection
    "db:transaction(function(tx) task.all {function() db:exec 'INSERT INTO t VALUES (92, 0)' end} end)",
    "for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do end end end",
};
enum { DOINGS = sizeof doings / sizeof *doings };

static struct co *begin(struct fixture *f, int doing)
{
    char chunk[512];
    snprintf(chunk, sizeof chunk, "return pcall(function() %s end)", doings[doing]);
    struct co *co = start(f, chunk);
    for (int turns = 0; turns < 10; turns++) // its thread is at work, or it sleeps
        loop_turn(f->loop, 3);
    assert_int_equal(f->ended, 0);
    return co;
}

static void expect_untouched(struct fixture *f)
{
    expect(f, "return db:value 'SELECT count(*) FROM t WHERE a > 90'", "0");
    expect(f, "return db:transaction(function(tx) return tx:exec('DELETE FROM t').changes end)",
           "0");
    expect(f, "for _ in db:each 'SELECT 1' do for _ in db:each 'SELECT 1' do return 'free' end end",
           "free");
}

static void what_is_cancelled_is_undone(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < DOINGS; i++) {
        struct co *co = begin(f, i);
        co_cancel(co, "gone");
        assert_string_equal(finish(f), "false,gone");
        expect_untouched(f);
    }
}

static void what_is_killed_is_undone(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < DOINGS; i++) {
        co_kill(begin(f, i));
        expect_untouched(f);
    }
}

static void what_ends_with_its_state_is_undone(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < DOINGS; i++) {
        begin(f, i);
        vm_free(f->vm);
        open_vm(f, (struct vm_options){.memory = 64 << 20, .request_memory = 16 << 20});
        lua_State *L = vm_state(f->vm);
        assert_int_equal(luaL_dostring(L, "for _, n in ipairs{'sqlite', 'task', 'db', 'endless'} do"
                                          " rawset(_G, n, false) end"),
                         LUA_OK);
        char chunk[512];
        snprintf(chunk, sizeof chunk,
                 "package.preload['lunette.core'] = function() return {data = '%s/data'} end "
                 "sqlite, task = require 'lunette.sqlite', require 'lunette.task' "
                 "db = sqlite.open('x.db', {timeout = '1s'}) "
                 "endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                 "SELECT max(i) FROM n'",
                 f->site);
        expect(f, chunk, "");
        expect_untouched(f);
    }
}

// The transaction of a handler that was cancelled works for the last time when that is told; in its
// __close functions it is as good as over.
static void a_cancelled_transaction_is_used_no_more(void **state)
{
    struct fixture *f = *state;
    struct co *co =
        start(f, "local said = 'nothing' pcall(db.transaction, db, function(tx)"
                 " local x <close> = setmetatable({}, {__close = function()"
                 " said = select(2, pcall(tx.exec, tx, 'INSERT INTO t VALUES (95, 0)')).message"
                 " end}) tx:value(endless) end) return said");
    for (int turns = 0; turns < 10; turns++)
        loop_turn(f->loop, 3);
    co_cancel(co, "gone");
    assert_string_equal(finish(f),
                        "its connection still works for a call before, of another task or one that "
                        "was cancelled");
    expect_untouched(f);
}

static void a_result_over_request_memory_gives_its_connection_back(void **state)
{
    struct fixture *f = *state;
    size_t counter = 0;
    vm_meter_start(f->vm, &counter);
    start(
        f,
        "return pcall(db.rows, db, 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
        " i < 400) SELECT i, hex(zeroblob(50000)) || i AS h FROM n')");
    vm_meter_stop(f->vm);
    assert_string_equal(finish(f), "false,not enough memory");
    expect_untouched(f);
}

// With so many bytes left to a run of everything at once.
static void run_within(struct fixture *f, size_t bytes)
{
    static const char chunk[] = "return work()";
    struct co *co = co_new(f->vm);
    assert_non_null(co);
    assert_int_equal(luaL_loadbufferx(co_state(co), chunk, strlen(chunk), "=t", "t"), LUA_OK);
    size_t counter = (16 << 20) - bytes;
    f->ended = 0;
    vm_meter_start(f->vm, &counter);
    co_start(co, 0, work_ended, f);
    vm_meter_stop(f->vm);
    assert_string_not_equal(finish(f), "it never ended");
}

static void wherever_memory_ends_the_connection_comes_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(luaL_dostring(vm_state(f->vm), "rawset(_G, 'work', false)"), LUA_OK);
    expect(
        f,
        "function work() db:transaction(function(tx) tx:exec('INSERT INTO t VALUES (?, ?)', 94, ('x'):rep(99))"
        " tx:transaction(function(sp) sp:exec('INSERT INTO t VALUES (:a, 0)', {a = 93}) end)"
        " for row in tx:each 'SELECT * FROM t' do row.b = 1 end error('undone', 0) end) end"
        " return pcall(work)",
        "false,undone");
    for (size_t bytes = 0; bytes < 12000; bytes += 61)
        run_within(f, bytes);
    assert_string_equal(f->result, "error: undone"); // there was enough in the end
    lua_gc(vm_state(f->vm), LUA_GCCOLLECT);
    expect_untouched(f);
}

int main(void)
{
#define SQLITE(test) BOTH_WITH(test, setup_sqlite, setup_sqlite_collecting, teardown_sqlite)
    const struct CMUnitTest tests[] = {
        SQLITE(rows_come_as_tables),
        SQLITE(errors_say_what_and_where),
        SQLITE(the_values_of_a_call_have_a_bound),
        SQLITE(a_path_through_a_link_is_refused),
        SQLITE(a_file_that_cannot_be_opened_is_named),
        SQLITE(a_file_system_without_wal_is_warned_of_once),
        SQLITE(transactions_commit_or_roll_back),
        SQLITE(memory_is_one_connection),
        SQLITE(migrations_are_applied_once),
        SQLITE(who_writes_waits_in_line),
        SQLITE(a_turn_that_does_not_come_is_busy),
        SQLITE(a_closed_database_says_so),
        SQLITE(many_databases_are_refused),
        SQLITE(a_database_that_cannot_be_opened_is_closed),
        SQLITE(misuse_has_its_kind),
        SQLITE(what_is_cancelled_is_undone),
        SQLITE(what_is_killed_is_undone),
        SQLITE(what_ends_with_its_state_is_undone),
        SQLITE(a_cancelled_transaction_is_used_no_more),
        SQLITE(wherever_memory_ends_the_connection_comes_back),
        SQLITE(a_result_over_request_memory_gives_its_connection_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

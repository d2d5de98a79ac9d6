-- require "lunette.sqlite": SQLite databases beneath data/.
--
--   local db = sqlite.open("notes.db")         -- or ":memory:"
--   db:migrate { "CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT NOT NULL)" }
--   local r = db:exec("INSERT INTO note (title) VALUES (?)", title)     -- r.changes, r.last_id
--   local notes = db:rows("SELECT * FROM note WHERE title LIKE :q", { q = "%moon%" })
--
-- Statements run in threads of the worker that are for databases alone, so that a slow one suspends only
-- its own handler. The first that fails raises an error, a table: kind, message, code ("SQLITE_CONSTRAINT_UNIQUE"), sql, place
-- ("scripts/main.lua:6"); tostring makes a line of it. kind is one of "constraint", "busy" (no turn
-- within `timeout`), "full", "readonly", "corrupt", "io", "open", "sql" (a mistake in the SQL), "denied"
-- (SQL that is not for scripts, see below), "misuse" (of these functions), "too_big", "mismatch",
-- "memory", "interrupt", "abort", "internal" (a mistake in SQLite), "version" (see migrate), "other".
-- All of them are raised, by sqlite.open as well: a site without its database has no way on. What is not of
-- databases has no kind: a wait where none is possible, and what ends the handler itself (its memory, a 503
-- when too many calls wait for threads).
--
-- Values: nil is NULL, booleans are 1 and 0, integers stay 64-bit integers; strings are text, and
-- sqlite.blob(s) is a blob. In rows a NULL is absent; of columns with the same name the last counts. A ?
-- takes the next value; :name, @name and $name take theirs from one table, where what is absent is NULL
-- and what the SQL does not name is an error.
--
-- Each file is in WAL mode, so that those who read never wait for one who writes; where the file system
-- cannot do that (some network ones) the log says so once. Of those who write
-- one goes at a time, in the order in which they came, and a transaction from its begin to its end. A
-- transaction, or a loop over rows, ends at the latest with the handler, timer or task that began it.
-- `timeout` is how long a call waits for its turn, whichever worker has it. What a handler that is
-- cancelled was doing is broken off, and its transaction rolled back.
--
-- ":memory:" is a database of this worker and these scripts alone: other workers have their own, a reload
-- begins with an empty one, and tests share it. It has one connection: whoever reads it waits for a transaction, too.
--
-- SQL of scripts cannot ATTACH, VACUUM INTO, BEGIN and COMMIT by itself, make TEMP tables, or set pragmas
-- that change a connection (sqlite_guard.h has the list). Nothing else in the server may open a
-- database's file, not even io.open or app.file: closing it gives up SQLite's locks.
--
-- `lunette limits` has the bounds of values and statements: LIKE takes a pattern of at most 256 bytes, trim a
-- set of at most 128. A statement is broken off between two instructions of SQLite's machine. A few of these may
-- take long, and a handler that is cancelled then leaves its thread behind until they are over: LIKE and GLOB on
-- texts of many megabytes, json_patch of objects with very many keys (its time grows with the product of
-- both), a sort within the memory that there is, DELETE of all of a large table, and in a search (FTS) the
-- commands 'optimize', 'merge' and 'integrity-check'. A stop of the server waits for none of them longer
-- than timeouts.stop and a second. Do not give json_patch what visitors send without a bound on it.

local core = require "lunette.sqlite_core"
local errors = require "lunette.errors"
local lunette_core = require "lunette.core"
local task = require "lunette.task"
local units = require "lunette.units"
local calls = require "lunette.sqlite_calls"
local loops = require "lunette.sqlite_loops"
local transact = require "lunette.sqlite_tx"

local misuse, expect, check_options = calls.misuse, calls.expect, calls.check_options
local raise, read, write = calls.raise, calls.read, calls.write

local sqlite = {}

sqlite.is_error = calls.is_error

-- Databases ---------------------------------------------------------------------------------------

local Db = {}
Db.__index = Db
Db.__name = "lunette.sqlite database"

function Db.__tostring(self)
    return ("database %s"):format(self.path)
end

local function handle(self, name)
    if getmetatable(self) ~= Db then misuse("call with a colon: db:%s()", name) end
    return self.database
end

-- Runs a statement → { changes = rows that were inserted, updated or deleted; last_id = the rowid of
-- the last that was inserted, if one was }. Without values it takes several statements, which are done
-- as one transaction.
function Db:exec(sql, ...)
    return write(handle(self, "exec"), "exec", sql, ...)
end

-- → an array of all rows, each a table by column.
function Db:rows(sql, ...)
    return read(handle(self, "rows"), "rows", sql, ...)
end

-- → the first row, or nil.
function Db:row(sql, ...)
    return read(handle(self, "row"), "row", sql, ...)
end

-- → the first column of the first row; nil for NULL, and when there is none.
function Db:value(sql, ...)
    return read(handle(self, "value"), "value", sql, ...)
end

-- for row in db:each(sql, …) do … end: the rows as they were when the loop began, some at a time,
-- however many there are. It holds a connection from its first step until it ends or is left: that is what
-- `for` does; who steps the iterator by hand closes its fourth value, too. Rows of a statement that
-- writes, and of :memory:, are all read first.
function Db:each(sql, ...)
    local database = handle(self, "each")
    if self.path == ":memory:" or not calls.seems_to_read(sql) then
        return loops.over(read(database, "rows", sql, ...))
    end
    return loops.apart(database, sql, ...)
end

-- fn(tx) with the database's writing connection for itself, → what fn returns, once it is committed.
-- An error, an abort, a client that leaves roll back. tx has exec, rows, row, value, each, and
-- transaction, which is a savepoint. Only tx is inside: db is another connection, which sees what was
-- before, and which cannot write meanwhile.
function Db:transaction(fn)
    local database = handle(self, "transaction")
    expect(fn, "function", "db:transaction: the argument")
    return transact(database, fn)
end

local function check_steps(steps)
    expect(steps, "table", "db:migrate: the argument")
    for key, step in pairs(steps) do
        if math.type(key) ~= "integer" or key < 1 or key > #steps then
            misuse("db:migrate: a list of SQL or functions is expected, without other keys")
        end
        if type(step) ~= "string" and type(step) ~= "function" then
            misuse("db:migrate: step %d must be SQL or a function(tx), not a %s", key, type(step))
        end
    end
end

local function check_version(version, count)
    if version <= count then return end
    raise("version", ("the database is at version %d, and these scripts know %d")
        :format(version, count), "SQLITE_ERROR")
end

-- What a step has left without its other half.
local function check_references(tx, number)
    local lost = tx:row "PRAGMA foreign_key_check"
    if not lost then return end
    raise("constraint", ("step %d of migrate: row %s of table %s refers to nothing in %s")
        :format(number, lost.rowid or "?", lost.table, lost.parent), "SQLITE_CONSTRAINT_FOREIGNKEY")
end

-- All steps of SQL have the line of db:migrate: the number tells them apart.
local function exec_step(tx, number, sql)
    local ok, e = pcall(tx.exec, tx, sql)
    if ok then return end
    if sqlite.is_error(e) then
        e.step, e.message = number, ("step %d of migrate: %s"):format(number, e.message)
    end
    error(e, 0)
end

local function apply(tx, number, count, step)
    local version = tx:value "PRAGMA user_version"
    check_version(version, count)
    if version >= number then return end -- another worker was first
    if type(step) == "string" then
        exec_step(tx, number, step)
    else
        step(tx) -- its errors have a line of their own
    end
    check_references(tx, number)
    tx:exec(("PRAGMA user_version = %d"):format(number))
end

-- Brings the database to the version #steps: step n, SQL or function(tx), is done in a transaction of
-- its own by whichever worker comes first, if the database's user_version is below n. Steps that were
-- ever released stay as they are; new ones come behind them. Foreign keys are checked at the end of a
-- step: within it a table may be made anew without taking along the rows that refer to it. → the version
-- before. Where it stands among what is loaded, the process that tries new scripts at a reload is the first
-- to do it, while the old ones still serve.
function Db:migrate(steps)
    handle(self, "migrate")
    check_steps(steps)
    local before = self:value "PRAGMA user_version"
    check_version(before, #steps)
    for number = before + 1, #steps do
        transact(self.database, function(tx) apply(tx, number, #steps, steps[number]) end, true)
    end
    return before
end

-- Databases that are open, by path: whoever opens one again has the same.
local opened = setmetatable({}, { __mode = "v" })

-- Gives the connections back: those that are used when they are free. A database that nobody has any
-- more is closed by itself.
function Db:close()
    local database = handle(self, "close")
    if opened[self.path] == self then opened[self.path] = nil end
    core.close(database)
end

-- Opening -----------------------------------------------------------------------------------------

local OPTIONS = { timeout = true, readers = true, statements = true, synchronous = true }

local function check_number(opts, name, least, most, unset)
    local n = opts[name]
    if n == nil then return unset end
    if math.type(n) ~= "integer" or n < least or n > most then
        misuse("sqlite.open: %s must be an integer from %d to %d, not %s", name, least, most,
            errors.kind(n))
    end
    return n
end

local function check_opts(opts)
    opts = check_options(opts, OPTIONS, "sqlite.open")
    local timeout = units.duration(opts.timeout == nil and 5 or opts.timeout)
    if not timeout or timeout > 3600 then
        misuse("sqlite.open: timeout must be a duration up to an hour, not %s",
            errors.kind(opts.timeout))
    end
    local sync = opts.synchronous
    if sync ~= nil and sync ~= "normal" and sync ~= "full" then
        misuse('sqlite.open: synchronous must be "normal" or "full", not %s', errors.kind(sync))
    end
    return {
        timeout_ms = math.ceil(timeout * 1000),
        readers = check_number(opts, "readers", 2, 32, 3),
        statements = check_number(opts, "statements", 0, 1000, 64),
        full = sync == "full",
    }
end

local function same(a, b)
    for name, value in pairs(a) do
        if b[name] ~= value then return false end
    end
    return true
end

local function check_path(path)
    expect(path, "string", "sqlite.open: the path")
    if path:find("\0", 1, true) then misuse("sqlite.open: the path has a NUL byte") end
    if path:sub(1, 1) == "/" or path == "" then
        misuse("sqlite.open: the path is beneath data/: %q", path)
    end
    local parts = {}
    for part in path:gmatch "[^/]+" do
        if part == ".." then misuse("sqlite.open: the path leads out of data/: %q", path) end
        if part ~= "." then parts[#parts + 1] = part end
    end
    if #parts == 0 or path:sub(-1) == "/" then misuse("sqlite.open: %q names no file", path) end
    local own = path:match "%-wal$" or path:match "%-shm$" or path:match "%-journal$"
    if own then -- to open and close one takes the locks of the database that it belongs to
        misuse("sqlite.open: names that end in %s are SQLite's own: %q", own, path)
    end
    return table.concat(parts, "/")
end

-- The one that is open already, if it is what was asked for.
local function find_opened(path, settings, opts)
    local db = opened[path]
    if db and opts ~= nil and not same(settings, db.settings) then
        misuse("sqlite.open: %s is open with other options", path)
    end
    return db
end

-- Turns of 20 ms in which threads close the databases that were collected.
local ROOM_TURNS = 50

-- A database of the core, to be closed unless it is kept. Those that nobody has any more count until they are
-- collected, which may be never without need, and closed.
local function open_core(path, settings)
    local file = path ~= ":memory:" and path or nil
    local database, message, code = core.open(lunette_core.data, file, settings)
    if code == "EMFILE" and not database then collectgarbage() end
    for _ = 1, ROOM_TURNS do
        if database or code ~= "EMFILE" then break end
        task.sleep(0.02)
        database, message, code = core.open(lunette_core.data, file, settings)
    end
    if database then return database end
    local kind, name = "open", "SQLITE_CANTOPEN"
    if code == "ENOMEM" then kind, name = "memory", "SQLITE_NOMEM" end
    raise(kind, ("%s cannot be opened: %s"):format(path, message), name)
end

-- Raises unless there is a database in the file.
local function try(database, path)
    local lease <close> = calls.take(database, "read")
    local ok, kind, message, code = core.query(lease, "value", "PRAGMA schema_version")
    if not ok then raise(kind, ("%s cannot be opened: %s"):format(path, message), code) end
end

local Opening = {}

function Opening.__close(self)
    if self.database then core.close(self.database) end
end

-- A database in data/path, which is made when it is missing; or ":memory:". Options: timeout (for a
-- call's turn: 5 s), readers (connections that read: 3, so that of a worker's four threads for databases one
-- is left to writes),
-- statements (kept prepared by each connection: 64), synchronous ("normal": what was committed in the
-- last moments before a power failure may be lost, the file stays whole; "full": none is lost).
function sqlite.open(path, opts)
    path = check_path(path)
    local settings = check_opts(opts)
    local db = find_opened(path, settings, opts)
    if db then return db end
    local opening <close> = setmetatable({ database = open_core(path, settings) }, Opening)
    try(opening.database, path)
    local meanwhile = find_opened(path, settings, opts)
    if meanwhile then return meanwhile end
    db = setmetatable({ database = opening.database, path = path, settings = settings }, Db)
    opened[path], opening.database = db, nil
    return db
end

-- `lunette test` puts the files of data/ back as they were before each test. That takes that nobody has
-- them open: what a test has left to be rolled back, or to be closed since its database is garbage, is
-- waited for, at most so many turns of a millisecond.
if package.loaded["lunette.trial"] then
    local TURNS = 5000
    local suite = require "lunette.test_suite"

    local function wait_for(done)
        for _ = 1, TURNS do
            if done() then return end
            task.sleep(0.001)
        end
        error("data/ cannot be put back: a database of the test before is still at work", 0)
    end

    suite.renew[#suite.renew + 1] = function()
        collectgarbage()
        for _, db in pairs(opened) do
            wait_for(function() return core.rest(db.database) end)
        end
        wait_for(function() return core.closing() == 0 end)
    end
end

-- s as a value that is kept as a blob.
function sqlite.blob(s)
    expect(s, "string", "sqlite.blob: the argument")
    return core.blob(s)
end

return sqlite

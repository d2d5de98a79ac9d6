---@meta lunette.sqlite

---@class lunette.sqlite
local sqlite = {}

---A value of SQL: nil is NULL, `sqlite.blob(s)` bytes.
---@alias lunette.SqlValue string|number|boolean|userdata|nil

---What raises where SQL fails; tostring makes a line of it.
---@class lunette.SqlError
---@field kind string "constraint", "busy", "full", "readonly", "corrupt", "io", "open", "sql", "denied", "misuse", …
---@field message string
---@field code string "SQLITE_CONSTRAINT_UNIQUE"
---@field sql string?
---@field place string? "scripts/main.lua:6"
---@field step integer? Of `db:migrate`

---@class lunette.SqlResult
---@field changes integer Rows that were changed
---@field last_id integer? The rowid of the last row that was inserted, if one was

---@class lunette.SqlOptions
---@field timeout lunette.Duration? For the turn of a call: 5 seconds unless given
---@field readers integer? Connections that read: 3 unless given
---@field statements integer? Kept prepared by each connection: 64 unless given
---@field synchronous "normal"|"full"|nil "normal" unless given

---Opens a database beneath data/, or ":memory:".
---@param path string
---@param opts lunette.SqlOptions?
---@return lunette.Database
---@nodiscard
function sqlite.open(path, opts) end

---Whether e is an error of a database.
---@param e any
---@return boolean
---@nodiscard
function sqlite.is_error(e) end

---Bytes as a BLOB, rather than text.
---@param s string
---@return userdata
---@nodiscard
function sqlite.blob(s) end

---What is inside a transaction. Values: for each "?" one, or one table for ":name". Errors raise
---(lunette.SqlError).
---@class lunette.Transaction
local Transaction = {}

---@param sql string
---@param ... lunette.SqlValue|table<string, lunette.SqlValue>
---@return lunette.SqlResult
function Transaction:exec(sql, ...) end

---All rows.
---@param sql string
---@param ... lunette.SqlValue|table<string, lunette.SqlValue>
---@return table<string, any>[]
---@nodiscard
function Transaction:rows(sql, ...) end

---Row by row.
---@param sql string
---@param ... lunette.SqlValue|table<string, lunette.SqlValue>
---@return fun(): table<string, any>?
---@nodiscard
function Transaction:each(sql, ...) end

---The first row, or nil.
---@param sql string
---@param ... lunette.SqlValue|table<string, lunette.SqlValue>
---@return table<string, any>?
---@nodiscard
function Transaction:row(sql, ...) end

---The first value of the first row, or nil.
---@param sql string
---@param ... lunette.SqlValue|table<string, lunette.SqlValue>
---@return any
---@nodiscard
function Transaction:value(sql, ...) end

---All or nothing: an error or abort rolls back. Only `tx` is inside; nested it is a savepoint.
---@param fn fun(tx: lunette.Transaction): ...
---@return any ...
function Transaction:transaction(fn) end

---@class lunette.Database: lunette.Transaction
local Database = {}

---Brings the database to the version #steps: each step is done once, by whichever worker comes first.
---@param steps (string|fun(tx: lunette.Transaction))[]
---@return integer before The version that it had
function Database:migrate(steps) end

---Gives the connections back. A database that nobody has any more is closed by itself.
function Database:close() end

return sqlite

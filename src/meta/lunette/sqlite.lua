---@meta lunette.sqlite

---@class lunette.sqlite
local sqlite = {}

---A value of SQL: nil is NULL, `sqlite.blob(s)` bytes.
---@alias lunette.SqlValue string|number|boolean|userdata|nil

---What raises where SQL fails.
---@class lunette.SqlError
---@field kind string "constraint", "busy", …
---@field message string

---@class lunette.SqlResult
---@field changes integer Rows that were changed
---@field last_id integer The rowid of the last insert

---Opens a database below data/, or ":memory:".
---@param path string
---@param opts table?
---@return lunette.Database
---@nodiscard
function sqlite.open(path, opts) end

---Bytes as a BLOB, rather than text.
---@param s string
---@return userdata
---@nodiscard
function sqlite.blob(s) end

---What a transaction has, too. Parameters: for each "?" one, or one table for ":name". Errors raise
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

---Brings the database up to date: each step runs once, in order.
---@param steps (string|fun(tx: lunette.Transaction))[]
function Database:migrate(steps) end

return sqlite

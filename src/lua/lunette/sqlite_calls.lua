-- What databases and transactions of lunette.sqlite are called by: a connection, a statement on it, and
-- the error of that.
--
-- lunette.sqlite_core has both: take(database, use) gives a lease of a connection, which is closed to give
-- it back, and query(lease, …) runs a statement on it.

local core = require "lunette.sqlite_core"
local errors = require "lunette.errors"
local suggest = require "lunette.suggest"

local calls = {}

-- Bytes of the SQL in an error's field, and in its text.
local SQL_KEPT, SQL_SHOWN = 1000, 120

-- Errors ------------------------------------------------------------------------------------------

local Error = { __name = "lunette.sqlite error" }

function Error.__tostring(e)
    local sql = e.sql and e.sql:gsub("%s+", " ")
    if sql and #sql > SQL_SHOWN then sql = sql:sub(1, utf8.offset(sql, 0, SQL_SHOWN) - 1) .. "…" end
    return (e.place and e.place .. ": " or "") .. e.message .. (sql and " (in: " .. sql .. ")" or "")
end

function calls.raise(kind, message, code, sql)
    local e = { kind = kind, message = message, code = code, place = errors.place() }
    if type(sql) == "string" then e.sql = sql:sub(1, SQL_KEPT) end
    error(setmetatable(e, Error), 0)
end

-- Misuse of these functions: a format and its values.
function calls.misuse(format, ...)
    calls.raise("misuse", format:format(...), "SQLITE_MISUSE")
end

-- Raises unless v has the type; what names the value.
function calls.expect(v, kind, what)
    if type(v) ~= kind then
        calls.misuse("%s must be a %s, not %s", what, kind, errors.kind(v))
    end
end

-- Raises for keys of opts that `known` lacks; nil is {}.
function calls.check_options(opts, known, what)
    if opts == nil then return {} end
    calls.expect(opts, "table", what .. ": the options")
    for key in pairs(opts) do
        if not known[key] then
            calls.misuse("%s: unknown option %q%s", what, tostring(key), suggest.hint(key, known))
        end
    end
    return opts
end

-- Whether e is an error of a database.
function calls.is_error(e)
    return getmetatable(e) == Error
end

-- What a call of the core returned, without the first; or its failure, raised.
local function checked(sql, ok, a, b, c)
    if ok == nil then calls.raise(a, b, c, sql) end
    return ok, a, b
end

-- Statements --------------------------------------------------------------------------------------

local NOT_TAKEN = {
    closed = { "misuse", "the database is closed", "SQLITE_MISUSE" },
    memory = { "memory", "not enough memory", "SQLITE_NOMEM" },
    own = {
        "misuse",
        "this handler is in a transaction of the database, and would wait for itself: use tx",
        "SQLITE_MISUSE",
    },
}

-- Where the transaction that a database is in was begun, or the last one: database → place.
local begun = setmetatable({}, { __mode = "k" })

-- Who has the connection that did not come free.
local function holder(database, use, loops, in_transaction)
    if use == "loop" then
        return loops > 0 and (": %d loop%s over rows %s open"):format(loops, loops == 1 and "" or "s",
            loops == 1 and "is" or "are") or ""
    end
    if use == "read" or not in_transaction then return "" end
    return (": the transaction begun at %s has it"):format(begun[database] or "?")
end

-- A transaction of fn has the connection that writes.
function calls.begun(database, fn)
    begun[database] = errors.place() or errors.defined_at(fn) -- a tail call has no line
end

-- A lease of a connection, to be closed: lease, where it was made before (core.lease).
function calls.take(database, use, sql, lease)
    local taken, why, loops, in_transaction = core.take(database, use, lease)
    if taken then return taken end
    if why == "late" then
        calls.raise("busy", "the database was not free in time" ..
            holder(database, use, loops, in_transaction), "SQLITE_BUSY", sql)
    end
    local kind, message, code = table.unpack(NOT_TAKEN[why])
    calls.raise(kind, message, code, sql)
end

-- Runs one statement; "rows" gets all batches.
function calls.run(lease, mode, sql, ...)
    local ok, result, cursor = checked(sql, core.query(lease, mode, sql, ...))
    while cursor do
        ok, result, cursor = checked(sql, core.more(lease, cursor, result))
    end
    return ok, result
end

-- What statements begin with that mostly read. SQLite says what they do; this saves asking twice.
local READS = { SELECT = true, WITH = true, VALUES = true, EXPLAIN = true, PRAGMA = true }

function calls.seems_to_read(sql)
    local word = type(sql) == "string" and sql:match "^[%s(]*(%a+)"
    return not word or READS[word:upper()] or false
end

function calls.write(database, mode, sql, ...)
    local lease <close> = calls.take(database, "write", sql)
    local _, result = calls.run(lease, mode, sql, ...)
    return result
end

function calls.read(database, mode, sql, ...)
    if calls.seems_to_read(sql) then
        local lease <close> = calls.take(database, "read", sql)
        local ok, result = calls.run(lease, mode, sql, ...)
        if ok then return result end -- else it writes
    end
    return calls.write(database, mode, sql, ...)
end

calls.checked = checked

return calls

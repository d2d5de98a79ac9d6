-- Transactions of lunette.sqlite, and savepoints in them.

local core = require "lunette.sqlite_core"
local calls = require "lunette.sqlite_calls"
local loops = require "lunette.sqlite_loops"

local misuse, expect = calls.misuse, calls.expect
local raise, run = calls.raise, calls.run

local Tx = {}
Tx.__index = Tx
Tx.__name = "lunette.sqlite transaction"

function Tx.__close(self)
    self.over = true
end

-- The lease of a transaction's method.
local function inside(self, name)
    if getmetatable(self) ~= Tx then misuse("call with a colon: tx:%s()", name) end
    if self.over then
        misuse("tx:%s: the transaction is over", name)
    end
    return self.lease
end

function Tx:exec(sql, ...)
    local _, result = run(inside(self, "exec"), "exec", sql, ...)
    return result
end

function Tx:rows(sql, ...)
    local _, result = run(inside(self, "rows"), "rows", sql, ...)
    return result
end

function Tx:row(sql, ...)
    local _, result = run(inside(self, "row"), "row", sql, ...)
    return result
end

function Tx:value(sql, ...)
    local _, result = run(inside(self, "value"), "value", sql, ...)
    return result
end

function Tx:each(sql, ...)
    return loops.within(inside(self, "each"), function() inside(self, "each") end, sql, ...)
end

-- Runs BEGIN, COMMIT and the like.
local function control(lease, sql)
    calls.checked(sql, core.query(lease, "do", sql))
end

local Savepoint = {}

-- An error leaves the function of a savepoint, or it is released already. What cannot be undone must
-- not be kept: the whole transaction fails then.
function Savepoint.__close(self)
    self.around.has_savepoint = false
    if self.released then return end
    local tx = self.tx
    local before = tx.broken
    tx.broken = true
    if core.query(tx.lease, "do", self.undo) then tx.broken = before end
end

local function release(point, sql, ...)
    control(point.tx.lease, sql)
    point.released = true
    return ...
end

-- fn(tx) in a savepoint: what it did is undone when it raises.
function Tx:transaction(fn)
    local lease = inside(self, "transaction")
    expect(fn, "function", "tx:transaction: the argument")
    if self.has_savepoint then -- two at a time would end each other
        misuse "tx:transaction: a savepoint is open in this transaction: use its own tx"
    end
    local depth = self.depth + 1
    control(lease, ("SAVEPOINT lunette_%d"):format(depth))
    local undo = ("ROLLBACK TO lunette_%d; RELEASE lunette_%d"):format(depth, depth)
    local point <close> =
        setmetatable({ tx = self.outermost, around = self, undo = undo }, Savepoint)
    self.has_savepoint = true
    local tx <close> =
        setmetatable({ lease = lease, depth = depth, outermost = self.outermost }, Tx)
    return release(point, ("RELEASE lunette_%d"):format(depth), fn(tx))
end

local function commit(tx, ...)
    if tx.broken then
        raise("abort", "a savepoint could not be undone: the transaction is rolled back",
            "SQLITE_ABORT")
    end
    control(tx.lease, "COMMIT")
    return ...
end

-- fn(tx) in a transaction. unchecked: without a look at foreign keys; the lease's end puts that right.
local function transact(database, fn, unchecked)
    local lease <close> = calls.take(database, "transaction", "BEGIN IMMEDIATE")
    calls.begun(database, fn)
    if unchecked then control(lease, "PRAGMA foreign_keys=OFF") end
    control(lease, "BEGIN IMMEDIATE")
    local tx <close> = setmetatable({ lease = lease, depth = 0 }, Tx)
    tx.outermost = tx
    return commit(tx, fn(tx))
end

return transact

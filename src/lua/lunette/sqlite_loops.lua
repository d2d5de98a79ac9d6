-- Loops over rows of lunette.sqlite: what `for` is given, and what ends them when the loop is left.

local core = require "lunette.sqlite_core"
local calls = require "lunette.sqlite_calls"

local loops = {}

-- A loop: rows, at (the last that was given), cursor (of more rows, or nil), sql, lease; own: the lease is
-- the loop's; check: what is called before more rows are asked for.
local Loop = {}
Loop.__index = Loop

function Loop.__close(self)
    if self.own then
        core.release(self.lease)
    elseif self.cursor then
        core.leave(self.lease, self.cursor)
    end
    self.over = true
end

-- The next batch of rows in self.rows.
local function fetch(self, ...)
    local ok, rows, cursor = calls.checked(self.sql, ...)
    self.rows, self.cursor, self.at = rows, cursor, 0
    return ok
end

local function next_row(self)
    if self.over then return nil end
    while self.at == #self.rows do
        if not self.cursor then
            Loop.__close(self)
            return nil
        end
        if self.check then self.check() end
        fetch(self, core.more(self.lease, self.cursor))
    end
    self.at = self.at + 1
    local row = self.rows[self.at]
    self.rows[self.at] = false -- it is the loop's
    return row
end

-- A lease of its own is what `for` closes: that works even where Lua may not run any more.
local function iterate(self)
    return function() return next_row(self) end, nil, nil, self.own and self.lease or self
end

-- A loop over an array of rows.
function loops.over(rows)
    return iterate(setmetatable({ rows = rows, at = 0 }, Loop))
end

-- A loop over the rows of a statement in a transaction. check raises when that is over.
function loops.within(lease, check, sql, ...)
    local loop = setmetatable({ lease = lease, check = check, sql = sql }, Loop)
    fetch(loop, core.query(lease, "rows", sql, ...))
    return iterate(loop)
end

local Guard = {}

function Guard.__close(self)
    if self.loop then Loop.__close(self.loop) end
end

-- The first batch of a loop of its own, or all rows of what writes.
local function begin(self, ...)
    local guard <close> = setmetatable({ loop = self }, Guard) -- an error does not wait for the collector
    calls.take(self.database, "loop", self.sql, self.lease)
    if fetch(self, core.query(self.lease, "rows", self.sql, ...)) then
        guard.loop = nil
        return
    end
    core.release(self.lease)
    self.rows, self.at, self.cursor = calls.write(self.database, "rows", self.sql, ...), 0, nil
    guard.loop = nil
end

-- A loop over the rows of a statement, with a connection of its own from its first step on: an iterator that
-- is made and never used holds nothing.
function loops.apart(database, sql, ...)
    local loop = setmetatable({ lease = core.lease(), database = database, sql = sql, own = true }, Loop)
    local values = table.pack(...)
    local function step()
        if values then
            local given = values
            values = nil
            begin(loop, table.unpack(given, 1, given.n))
        elseif not loop.rows and not loop.over then
            calls.misuse "another task is at the first step of this loop"
        end
        return next_row(loop)
    end
    return step, nil, nil, loop.lease
end

return loops

-- What is written in the guest book, in data/guestbook.db: entries are added and never changed.

local sqlite = require "lunette.sqlite"
local time = require "lunette.time"

local guests = { NAME_MAX = 40, TEXT_MAX = 500, PAGE = 50 }

local STEPS = {
    [[CREATE TABLE entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL)]],
}

-- Kinds of errors that say where the site lies: it may not write there, or there is no room.
local NO_PLACE = { open = true, readonly = true, io = true, full = true }

-- fn(db), → what it returns; or nil and a sentence where there is no database to be had.
local function with(fn)
    local result = table.pack(pcall(function()
        local db = sqlite.open "guestbook.db"
        db:migrate(STEPS)
        return fn(db)
    end))
    if result[1] then return table.unpack(result, 2, result.n) end
    local e = result[2]
    if sqlite.is_error(e) and NO_PLACE[e.kind] then return nil, e.message end
    error(e, 0)
end

-- The newest entries with an id below `before` (or all): an array of { id, name, text, at }, at most
-- PAGE of them, and whether there are older ones. Or nil and why not.
function guests.page(before)
    return with(function(db)
        local list = db:rows("SELECT id, name, text, at FROM entry WHERE id < ? ORDER BY id DESC LIMIT ?",
            before or math.maxinteger, guests.PAGE + 1)
        local more = #list > guests.PAGE
        list[guests.PAGE + 1] = nil
        return list, more
    end)
end

-- How many entries there are; or nil and why nobody knows.
function guests.count()
    return with(function(db) return db:value "SELECT count(*) FROM entry" end)
end

-- The new entry's id; or nil and why it cannot be kept.
function guests.add(name, text)
    return with(function(db)
        local sql = "INSERT INTO entry (name, text, at) VALUES (?, ?, ?)"
        return db:exec(sql, name, text, time.now() // 1 | 0).last_id
    end)
end

return guests

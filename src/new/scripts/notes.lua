-- The notes, in data/notes.jsonl: one line of JSON for each that was added, { id, text, at }, or
-- deleted, { deleted = id }.
--
-- Lines are only ever appended, each by a single write: several workers may do so at once, and one that
-- dies leaves no note half written. A file that has grown large wants to be a database.

local app = require "lunette"
local crypto = require "lunette.crypto"
local json = require "lunette.json"
local time = require "lunette.time"

local notes = { TEXT_MAX = 500 }

local PATH = app.data .. "/notes.jsonl"
local LINE_MAX = 16384

local function append(event)
    local file <close> = assert(io.open(PATH, "a"))
    file:setvbuf("full", LINE_MAX) -- so that the line is one write
    assert(file:write(json.encode(event), "\n"))
    assert(file:flush())
end

-- All notes, the oldest first: an array of { id, text, at }.
function notes.all()
    local file <close> = io.open(PATH)
    local list, place = json.array {}, {}
    if not file then return list end -- there was never one
    for line in file:lines() do
        local event = json.decode(line)
        if event and event.deleted then
            place[event.deleted] = nil
        elseif event then
            place[event.id] = #place + 1
            place[#place + 1] = event
        end
    end
    for _, note in ipairs(place) do
        if place[note.id] then list[#list + 1] = note end
    end
    return list
end

-- Gives the note.
function notes.add(text)
    local note = { id = crypto.uuid(), text = text, at = time.iso(math.floor(time.now())) }
    append(note)
    return note
end

-- Whether there was such a note.
function notes.delete(id)
    for _, note in ipairs(notes.all()) do
        if note.id == id then
            append { deleted = id }
            return true
        end
    end
    return false
end

return notes

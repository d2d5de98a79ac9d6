local app = require "lunette"
local cache = require "lunette.cache"
local json = require "lunette.json"
local crypto = require "lunette.crypto"

local function load()
    return cache.get "demo:note" or { text = "The moon is new." }
end

local function tag_of(note)
    return crypto.hex(crypto.sha256(json.encode(note))):sub(1, 12)
end

app.get("/demo/note", { etag = function() return tag_of(load()) end }, load)

-- Who changes the note must say which one they read: without
-- If-Match a 428, and a 412 when it is another meanwhile.
app.put("/demo/note", function(req)
    req:check(tag_of(load()), { required = true })
    local text = tostring(req:expect_json().text):sub(1, 80)
    cache.set("demo:note", { text = text }, "10m")
    return 204
end)

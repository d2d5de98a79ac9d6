-- The guest book: a form, and what was written into it, newest first.

local app = require "lunette"
local csrf = require "lunette.csrf"
local guests = require "guests"
local limit = require "lunette.limit"
local page = require "page"
local samples = require "samples"
local session = require "lunette.session"
local time = require "lunette.time"

local use = {
    session.middleware { cookie = "guestbook", max_age = "1d" },
    csrf.middleware {},
}
local not_too_often = limit.middleware { rate = 5, per = "1m", name = "guestbook" }

local function day(at) return time.iso(at):sub(1, 10) end

-- The page, with what was sent and is wrong with it, if anything.
local function show(req, status, errors)
    local before = req:int("before", { default = math.maxinteger, min = 1 })
    local list, more = guests.page(before)
    return page.answer("guestbook.html", {
        title = "Guest book · lunette", kind = "book", description = "A guest book on SQLite",
        entries = list or {}, why = not list and more or nil, count = guests.count(),
        older = list and more and list[#list].id, first = before == math.maxinteger,
        form = errors and req.form or {}, errors = errors or {},
        limits = guests, day = day, shown = samples.shown,
    }, status)
end

app.group("/guestbook", { use = use }, function(g)
    g.get("/", function(req) return show(req, 200) end)

    g.post("/", {
        use = not_too_often,
        max_body = "16K",
        form = {
            name = { "string", min = 1, max = guests.NAME_MAX, trim = true, label = "The name" },
            text = { "string", min = 1, max = guests.TEXT_MAX, trim = true, label = "The text" },
        },
        invalid = function(req, errors) return show(req, 422, errors) end,
    }, function(req)
        local id = guests.add(req.valid.name, req.valid.text)
        if not id then return show(req, 503) end
        session.flash(req, "good", "Thank you. It is in the book.")
        return app.redirect("/guestbook", 303)
    end)
end)

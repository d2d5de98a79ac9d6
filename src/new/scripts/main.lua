-- The site: its routes, and what stands around them. Loaded once in each worker.

local app = require "lunette"
local csrf = require "lunette.csrf"
local secure = require "lunette.secure"
local session = require "lunette.session"

local notes = require "notes"

-- Around every page: careful headers, a session, and forms that only this site's own pages can send.
app.use(secure.middleware{})
app.use(session.middleware{}, { files = false })
app.use(csrf.middleware{}, { files = false })

-- Variables that every view has.
app.view(function()
    return { title = app.settings.title }
end)

app.get("/", { name = "home" }, function()
    return app.render("notes.html", { notes = notes.all() })
end)

-- What does not fit is shown beside the form, with the text that was sent.
local function show_again(req, errors)
    return app.render("notes.html", { notes = notes.all(), text = req.form.text, errors = errors })
end

app.post("/notes", {
    name = "add",
    form = { text = { "string", min = 1, max = notes.TEXT_MAX, trim = true } },
    invalid = show_again,
}, function(req)
    notes.add(req.valid.text)
    session.flash(req, "info", "The note is kept.")
    return app.redirect(app.url_for("home"), 303)
end)

app.post("/notes/:id/delete", { name = "delete" }, function(req)
    if not notes.delete(req.params.id) then app.abort(404, "There is no such note.") end
    return app.redirect(app.url_for("home"), 303)
end)

app.get("/api/notes", { name = "api" }, function()
    return app.json { notes = notes.all() }
end)

app.on_error("*", function(_, err)
    return app.render("error.html", { status = err.status, message = err.message })
end)

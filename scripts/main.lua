-- The repository's own site: a guide to lunette, whose demonstrations call the server that the page
-- came from, and a guest book. Texts are in views/, a demonstration's routes in demos/, public files
-- in ../site.

local app = require "lunette"
local chapters = require "chapters"
local page = require "page"

for _, name in ipairs {
    "hello", "group", "timing", "error", "query", "headers", "cookies", "form", "json", "order",
    "upload", "negotiate", "status", "redirect", "stream", "events", "version", "cached", "shared",
    "gzip", "moon", "check", "session", "csrf", "signin", "limit", "sign", "tally", "sleep",
    "together", "ticks", "settings", "log",
    "rows",
} do
    require("demos." .. name)
end

-- What every view may use.
app.view(function()
    return { chapters = chapters }
end)

require "guide"
require "guestbook"

-- A page for every error; a line of text for who did not ask for HTML.
app.on_error("*", function(req, err)
    if req:accepts("html", "text") ~= "html" then
        return app.text(("%d %s\n%s"):format(err.status, err.message, err.cause or ""))
    end
    return page.answer("error.html", {
        title = ("%d · lunette"):format(err.status),
        status = err.status,
        message = err.message,
        trace = page.trace(err),
    })
end)

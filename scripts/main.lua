-- The repository's own site: what lunette is, with demonstrations that call the server the page
-- came from. The pages are in views/, a demonstration's routes in demos/, public files in ../site.

local app = require "lunette"
local page = require "page"
local source = require "source"

-- What the start page shows. The code beside each demonstration is the text of the file that answers.
local start = { title = "lunette: a web server that is programmed in Lua" }
for _, name in ipairs {
    "hello", "query", "headers", "json", "order", "upload", "cookies", "stream", "sleep",
    "redirect", "status", "timing", "error",
} do
    require("demos." .. name)
    start["code_" .. name] = source.figure("demos/" .. name .. ".lua")
end

app.get("/", function()
    return page.answer("start.html", start)
end)

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

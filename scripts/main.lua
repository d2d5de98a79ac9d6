-- The repository's own site: what lunette is, with demonstrations that call the server the page
-- came from. The pages are in views/, a demonstration's routes in demos/, public files in ../site.

local app = require "lunette"
local page = require "page"
local source = require "source"

-- The code beside each demonstration is the text of the file that answers.
local samples = {}
for _, name in ipairs {
    "hello", "query", "headers", "json", "order", "upload", "cookies", "stream", "sleep",
    "redirect", "status", "timing", "error",
} do
    require("demos." .. name)
    samples["code_" .. name] = source.figure("demos/" .. name .. ".lua")
end

local start = page.view "start.html" (samples)
local error_view = page.view "error.html"

app.get("/", function()
    return page.answer("lunette: a web server that is programmed in Lua", start)
end)

-- A page for every error; a line of text for who did not ask for HTML.
app.on_error("*", function(req, err)
    if req:accepts("html", "text") ~= "html" then
        return app.text(("%d %s\n%s"):format(err.status, err.message, err.cause or ""))
    end
    return page.answer(("%d · lunette"):format(err.status), error_view {
        status = err.status,
        message = err.message,
        trace = page.trace(err),
    })
end)

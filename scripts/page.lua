-- Pages out of scripts/views: each extends layout.html.

local app = require "lunette"
local html = require "lunette.html"

local page = {}

-- Nothing but this site's own files: no inline script or style, nothing from elsewhere.
local POLICY = table.concat({
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
}, "; ")

-- The page of a view, with a policy that lets nothing in from elsewhere.
function page.answer(view, vars, status)
    local headers = { ["Content-Security-Policy"] = POLICY }
    if status then return app.render(view, vars, status, headers) end
    return app.render(view, vars, headers) -- an error's page keeps its status
end

-- What went wrong, as HTML: "" but under --dev.
function page.trace(err)
    if not err.cause and not err.traceback then return "" end
    local text = ("%s\n%s"):format(err.cause or "", err.traceback or "")
    return ('<pre class="trace" tabindex="0" aria-label="Traceback">%s</pre>'):format(
        html.escape(text))
end

return page

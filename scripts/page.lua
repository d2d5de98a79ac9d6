-- Pages out of scripts/views. In a view, {{name}} is a value, escaped, and {{{name}}} is HTML.

local app = require "lunette"
local html = require "lunette.html"
local source = require "source"

local page = {}

-- Nothing but this site's own files: no inline script or style, nothing from elsewhere.
local POLICY = table.concat({
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
}, "; ")

-- A view, read now: a function that gives its text with the values of a table in it, and raises for
-- a name that the table does not have.
function page.view(name)
    local text = source.read("views/" .. name)
    return function(vars)
        return (text:gsub("{({?){([%w_]+)}}}?", function(third, key)
            local v = vars[key]
            if v == nil then error(("views/%s: {{%s}} has no value"):format(name, key), 0) end
            return third == "{" and tostring(v) or html.escape(tostring(v))
        end))
    end
end

local layout = page.view "layout.html"

-- A whole page around body, which is HTML.
function page.answer(title, body)
    return app.html(layout { title = title, body = body }, { ["Content-Security-Policy"] = POLICY })
end

-- What went wrong, as HTML: "" but under --dev.
function page.trace(err)
    if not err.cause and not err.traceback then return "" end
    local text = ("%s\n%s"):format(err.cause or "", err.traceback or "")
    return ('<pre class="trace" tabindex="0" aria-label="Traceback">%s</pre>'):format(
        html.escape(text))
end

return page

-- app.render and app.view: pages out of templates.

local errors = require "lunette.errors"
local response = require "lunette.response"

local views = {}

-- app.render(view[, vars[, status]][, headers]): the page of scripts/views/view with those variables.
-- Raises what is wrong with the template, with its file and line.
function views.render(view, vars, status, headers)
    local text = require "lunette.template".render_for("app.render", view, vars)
    return response.html(text, status, headers)
end

-- app.view(fn): the table that fn(req) returns are variables of every render in a request; those of
-- the render itself win, and so do those of a later app.view.
function views.view(fn)
    errors.expect(fn, "function", "app.view: the function")
    require "lunette.template".add_view(fn)
end

return views

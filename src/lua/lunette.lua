-- require "lunette": the table `app`, which a site declares its routes on and makes answers with.

local core = require "lunette.core"
local app = require "lunette.app"
local dispatch = require "lunette.dispatch"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local request = require "lunette.request"
local response = require "lunette.response"

core.start {
    dispatch = dispatch.dispatch, -- dispatch(req, method, path, encoded, has_body) → answer
    failed = dispatch.failed,     -- failed(req, status, why) → answer
    loaded = app.loaded,          -- main.lua has run
    place = dispatch.place,       -- place(req) → "scripts/main.lua:6" of the handler, or nil
    raise = errors.on_raise,      -- the message handler of plain routes and streams
    raised = dispatch.raised,     -- raised(req, e, sent) → answer to what a stream raised
    settle = dispatch.settle,     -- settle(req, ok, …) → answer to what a plain route's handler gave
    files = response.files,       -- whose keys are the responses of app.file
    refuse = pages.refuse,        -- refuse(req, status, message) leaves the handler
    -- report(thread, e) → HTML, text of scripts that cannot be loaded; with --dev
    report = function(thread, e) return require "lunette.dev_page".report(thread, e) end,
    methods = request,            -- what request tables inherit
    response = response.class,    -- the metatable of responses
}

-- Modules to come: require says so, rather than that it found none.
for _, name in ipairs { "channel", "http", "pg", "redis", "socket" } do
    name = "lunette." .. name
    package.preload[name] = package.preload[name] or function()
        errors.misuse("%s is not in this version of lunette yet", name)
    end
end

return app.api

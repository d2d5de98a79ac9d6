-- The table `app` that main.lua declares a site on and makes answers with: for the app itself, and one for
-- each group and host. Its names are those of declare.lua, and the helpers here. Misuse raises.

local core = require "lunette.core"
local calls = require "lunette.declare"
local dispatch = require "lunette.dispatch"
local errors = require "lunette.errors"
local later = require "lunette.later"
local response = require "lunette.response"
local scope = require "lunette.scope"
local suggest = require "lunette.suggest"
local views = require "lunette.views"

local misuse, expect = errors.misuse, errors.expect
local site = scope.site

local app = {}

local helpers = {} -- name → function(…): the same in every scope

for _, name in ipairs { "response", "json", "html", "text", "redirect", "redirect_back", "file",
    "stream", "problem" } do
    helpers[name] = response[name]
end
helpers.events = later("lunette.events", "events")
helpers.purge = later("lunette.response_cache", "purge")
helpers.render = views.render
helpers.url_for = require "lunette.url_for"

function helpers.view(fn)
    scope.check_open("app.view")
    views.view(fn)
end

-- app.abort(status[, message or data][, headers]), app.abort(response): leaves the handler.
function helpers.abort(status, message, headers)
    if response.is(status) then errors.leave_with(status) end
    local code = math.type(status) and math.tointeger(status)
    if not code or code < 200 or code > 599 then
        misuse("app.abort: the status must be an integer from 200 to 599, or a response, not %s",
            errors.kind(status))
    end
    if headers ~= nil then expect(headers, "table", "app.abort: headers") end
    if type(message) == "table" then errors.leave(code, nil, headers, message) end
    if type(message) == "number" then message = tostring(message) end
    if message ~= nil then expect(message, "string", "app.abort: the message") end
    errors.leave(code, message, headers)
end

-- app.is_abort(e): whether e, caught by pcall, is what abort raised.
helpers.is_abort = errors.is_abort

local LATER = { "websocket" }

for _, name in ipairs(LATER) do
    helpers[name] = function()
        misuse("app.%s is not in this version of lunette yet", name)
    end
end

local known = { settings = true, dev = true, data = true }
for name in pairs(calls) do known[name] = true end
for name in pairs(helpers) do known[name] = true end

local Api = { __name = "lunette.app" }

function Api.__index(_, name)
    if name == "listen" or name == "run" then
        misuse("app.%s is unknown: lunette serve does that; see config.lua's listen", name)
    end
    local near = suggest.nearest(name, known)
    misuse("app.%s is unknown%s", tostring(name),
        near and (" (the nearest known name is app.%s)"):format(near) or "")
end

-- The table that an author holds for a scope. Every call works with a dot and with a colon.
local function new_api(of)
    local api = { settings = core.settings or {}, dev = core.dev or false, data = core.data or "" }
    for name, fn in pairs(calls) do
        api[name] = function(a, b, c, d, e)
            if a == api then a, b, c, d = b, c, d, e end
            fn(of, a, b, c, d)
        end
    end
    for name, fn in pairs(helpers) do
        api[name] = function(a, b, c, d, e)
            if a == api then return fn(b, c, d, e) end
            return fn(a, b, c, d)
        end
    end
    return setmetatable(api, Api)
end

-- The module table of lunette.
app.api = scope.app(new_api).api

-- What was declared, for commands that show it; theirs to read.
app.site = site

-- main.lua has run: compiles what it declared.
function app.loaded()
    if site.frozen then return end
    site.frozen = true
    dispatch.compile(site)
    local routes = #site.tier.routes
    for _, tier in pairs(site.hosts) do routes = routes + #tier.routes end
    core.declared(routes, #site.uses)
    if core.live then
        local names = {}
        for host in pairs(site.hosts) do names[#names + 1] = host end
        core.own_hosts(names)
    end
end

return app

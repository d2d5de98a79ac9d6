-- Answers where no route has the method: files, the folders of app.static, 405 and OPTIONS, 404; within the
-- middleware of app.use that covers the path.
--
-- A view (host_views.lua) keeps those that surround nothing in view.answers, each a function(req) → response
-- as in chain.lua: by name, errors by their status, files of an app.static with headers by its record.

local chain = require "lunette.chain"
local core = require "lunette.core"
local pages = require "lunette.pages"
local response = require "lunette.response"
local router = require "lunette.router"

local wrap, covering = chain.wrap, chain.covering

local unrouted = {}

-- A set of methods as the text of Allow.
local function allow(methods)
    local list = {}
    for method in pairs(methods) do list[#list + 1] = method end
    table.sort(list)
    return table.concat(list, ", ")
end
unrouted.allow = allow

local function allowed_at(view, req)
    local set = { OPTIONS = true }
    router.load_segments(core.segments(req))
    for _, tier in ipairs(view.tiers) do router.allowed(tier.router, set) end
    return allow(set)
end

local ALL = table.concat(router.methods, ", ")
local OF_FILES = "GET, HEAD, OPTIONS"

local function options(methods)
    return response.new(204, { Allow = methods }, nil)
end

-- The answers of a view.
function unrouted.answers(view)
    local answers = {}
    local function refuse(req, methods)
        return pages.answer(view.nowhere, req, { status = 405, headers = { Allow = methods } })
    end
    function answers.file(req)
        local res, status = core.file_response(req)
        return res or pages.answer(view.nowhere, req, { status = status })
    end
    function answers.listing(req) return answers.file(req) end
    function answers.options(req) return options(allowed_at(view, req)) end
    function answers.refused(req) return refuse(req, allowed_at(view, req)) end
    function answers.all() return options(ALL) end
    function answers.file_options() return options(OF_FILES) end
    function answers.file_refused(req) return refuse(req, OF_FILES) end
    for _, status in ipairs { 403, 404, 500, 503 } do
        answers[status] = function(req)
            return pages.answer(view.nowhere, req, { status = status })
        end
    end
    for _, static in ipairs(view.statics) do
        answers[static] = static.headers and function(req)
            local res = response.copy(answers.file(req))
            response.overlay(res, static.headers)
            return res
        end or answers.file
    end
    return answers
end

-- The app.static folders over the loaded path, with the rest of the path: { static, path }…
local function statics_here(view)
    local list = {}
    for _, static in ipairs(view.statics) do
        local path = router.covers(static.prefix) and router.tail(#static.prefix)
        if path then list[#list + 1] = { static = static, path = path } end
    end
    return list
end
unrouted.statics_here = statics_here

-- Whether an app.static has a file there; nil, status when it may not be read.
local function find_static(req, look, here)
    local found, status = look(req, here.static.root, here.path)
    if found or status then return found, status end
    local fallback = here.static.fallback
    return fallback and look(req, here.static.fallback_root, fallback)
end

-- The answer by files, and whether it is a file. May wait.
local function file_answer(view, req, method, statics)
    local answers = view.answers
    local reads = method == "GET" or method == "HEAD"
    local look = reads and core.find or core.exists
    local found, status, answer = nil, nil, answers.file
    for _, here in ipairs(statics) do
        found, status = find_static(req, look, here)
        answer = found and answers[here.static] or answer
        if found or status then break end
    end
    if not found and not status then found, status = look(req) end
    if not found then return answers[status or 404] or answers[500], false end
    if reads then
        return found == "listing" and answer == answers.file and answers.listing or answer, true
    end
    return method == "OPTIONS" and answers.file_options or answers.file_refused, false
end

local none = {}

-- The answer to a request whose path is the loaded one, or core.FILE; met: another method has a route. May
-- wait.
function unrouted.answer(view, req, method, path, met)
    local answers = view.answers
    local uses = #view.uses > 0 and covering(view.uses) or none
    local statics, inner, is_file = none, nil, nil
    if path == "*" then
        inner = answers.all
    elseif met then
        inner = method == "OPTIONS" and answers.options or answers.refused
    else
        if #view.statics > 0 then statics = statics_here(view) end
        inner, is_file = file_answer(view, req, method, statics)
    end
    for i = #uses, 1, -1 do
        if uses[i].files or not is_file then inner = wrap(view.nowhere, uses[i].fn, inner) end
    end
    if inner == answers.file then
        if view.alone and #statics == 0 then core.files_decide(req) end
        return core.FILE
    end
    return inner(req)
end

return unrouted

-- The route option files: what the file inputs of a form have to be.
--
--   files = { photo = { type = "image/*", max = "5M", required = true } }
--
-- Checked before the handler runs, against what the files are and not what the client says of them.
-- File inputs that the option does not name are the handler's business.

local errors = require "lunette.errors"
local pages = require "lunette.pages"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local uploads = {}

local RULES = { type = true, max = true, required = true }

-- The media types of a rule: "image/png", "image/*" or "*/*", one or an array of them.
local function types_of(value, what)
    if value == nil then return nil end
    local list = type(value) == "table" and value or { value }
    if #list == 0 then misuse("%s: type names no media type", what) end
    local types = {}
    for i, one in ipairs(list) do
        expect(one, "string", what .. ": type")
        types[i] = one:lower()
        if not types[i]:find("^[^/%s*]+/[^/%s*]+$") and not types[i]:find("^[^/%s*]+/%*$")
            and types[i] ~= "*/*" then
            misuse('%s: type must be a media type like "image/png" or "image/*", not %s', what,
                errors.kind(one))
        end
    end
    return types
end

local function rule_of(opts, what)
    opts = check_options(opts, RULES, what)
    local max = opts.max ~= nil and units.size(opts.max) or nil
    if opts.max ~= nil and not max then
        misuse('%s: max must be a size like 65536 or "5M", not %s', what, errors.kind(opts.max))
    end
    if opts.required ~= nil then expect(opts.required, "boolean", what .. ": required") end
    return { types = types_of(opts.type, what), max = max, required = opts.required }
end

local function fits(found, types)
    for _, wanted in ipairs(types) do
        if wanted == found or wanted == "*/*" then return true end
        if wanted:sub(-1) == "*" and found:sub(1, #wanted - 1) == wanted:sub(1, -2) then
            return true
        end
    end
    return false
end

local function check_part(req, name, part, rule)
    if rule.max and part.size > rule.max then
        pages.refuse(req, 413, ("%s: %d bytes are more than files.%s.max allows (%d)"):format(name,
            part.size, name, rule.max))
    end
    if rule.types and not fits(part.detected_type, rule.types) then
        pages.refuse(req, 415, ("%s: it is %s by its content, and must be %s"):format(name,
            part.detected_type, table.concat(rule.types, " or ")))
    end
end

local function check(req, rules)
    for _, one in ipairs(rules) do
        local parts = req.files_all[one.name]
        if not parts and one.rule.required then
            pages.refuse(req, 422, ("%s: a file is required"):format(one.name))
        end
        for _, part in ipairs(parts or {}) do check_part(req, one.name, part, one.rule) end
    end
end

-- The middleware that holds requests against the option; what names the call in messages.
function uploads.middleware(opts, what)
    expect(opts, "table", what .. ": files")
    local rules = {}
    for name, rule in pairs(opts) do
        expect(name, "string", what .. ": a name in files")
        rules[#rules + 1] = { name = name, rule = rule_of(rule, what .. ": files." .. name) }
    end
    if #rules == 0 then misuse("%s: files names no file input", what) end
    table.sort(rules, function(a, b) return a.name < b.name end)
    return function(req, handle)
        check(req, rules)
        return handle(req)
    end
end

return uploads

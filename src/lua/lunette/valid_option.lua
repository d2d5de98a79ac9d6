-- The route options query, form, json, params and invalid: requests held against schemas before the
-- handler runs.
--
--   app.post("/notes", { form = { title = { "string", min = 1 } } }, function(req)
--       notes.add(req.valid.title) … end)
--
-- Each is a schema of lunette.validate or the fields of one. The values of all of them are together
-- in req.valid; so no two may name the same field. What is wrong with any of them is answered at
-- once: with a 422 of application/problem+json whose member errors has a sentence for each field,
-- with the site's or the built-in page for 422 for who likes HTML better (err.data.errors), or with
-- what invalid(req, errors) returns, as a 422 unless that names a status.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local response = require "lunette.response"

local misuse, expect = errors.misuse, errors.expect

local valid_option = {}

local SOURCES = { "params", "query", "form", "json" }

-- An option as a schema. what names the call in messages.
function valid_option.schema(source, fields, what)
    what = ("%s: %s"):format(what, source)
    local schema = require "lunette.validate".schema_for(what, fields)
    if source == "json" then return schema end
    for _, name in ipairs(schema.names) do
        local rule = schema.rules[name]
        if rule.type == "object" or (rule.element and rule.element.schema) then
            misuse("%s.%s: a %s has no objects: only json has", what, name, source)
        end
    end
    return schema
end

-- Raises when two of a route's schemas name the same field.
local function check_names(route, what)
    local owner = {}
    for _, source in ipairs(SOURCES) do
        for _, name in ipairs(route[source] and route[source].names or {}) do
            if owner[name] then
                misuse("%s: %q is in %s and in %s: their values are together in req.valid", what,
                    name, owner[name], source)
            end
            owner[name] = source
        end
    end
end

local function check_source(req, source, schema)
    if source == "json" then return schema:check(req:expect_json()) end
    local all = source ~= "params" and req[source .. "_all"] or nil
    return schema:check(req[source], { text = true, all = all })
end

-- Everything that is wrong, as one text for people: a line for each field.
local function sentences(wrong)
    local list = {}
    for _, sentence in pairs(wrong) do list[#list + 1] = sentence end
    table.sort(list)
    return table.concat(list, "\n")
end

local OFFERED = { "application/problem+json", "application/json", "text/html" }
local DETAIL = "The request has fields that are not valid."

local function refuse(req, wrong)
    local text = sentences(wrong)
    pages.log(req, 422, (text:gsub("\n", "; ")), nil, "info")
    core.vary(req, "Accept")
    if core.accept(req, OFFERED) == 3 then errors.leave(422, text, nil, { errors = wrong }) end
    return response.problem(422, DETAIL, { errors = wrong })
end

-- What the site's own function returned, as a 422 where it names no status.
local function own_answer(invalid, req, wrong)
    local first, second, third = invalid(req, wrong)
    if first == nil then
        misuse("invalid: the function at %s returned nothing", errors.defined_at(invalid))
    end
    if math.type(first) == "integer" then return first, second, third end
    local res, why = first, nil
    if not response.files[first] then
        res, why = core.normalise(first)
        if not res then
            misuse("invalid: %s (the function at %s)", why, errors.defined_at(invalid))
        end
    end
    if response.is(first) and not (res.implied and res.status == 200) then return res end
    if response.is(first) then res = response.copy(res) end
    res.status, res.implied = 422, nil
    return res
end

-- The middleware of a route that has some of the options. what names the call.
function valid_option.middleware(route, what)
    local sources = {}
    for _, source in ipairs(SOURCES) do
        if route[source] then sources[#sources + 1] = source end
    end
    check_names(route, what)
    local invalid = route.invalid
    return function(req, handle)
        local values, wrong = {}, nil
        for _, source in ipairs(sources) do
            local some, more = check_source(req, source, route[source])
            for name, v in pairs(some or {}) do values[name] = v end
            for name, sentence in pairs(more or {}) do
                wrong = wrong or {}
                wrong[name] = sentence
            end
        end
        if not wrong then
            req.valid = values
            return handle(req)
        end
        if invalid then return own_answer(invalid, req, wrong) end
        return refuse(req, wrong)
    end
end

-- Raises unless invalid is a function.
function valid_option.invalid(fn, what)
    expect(fn, "function", what .. ": invalid")
    return fn
end

return valid_option

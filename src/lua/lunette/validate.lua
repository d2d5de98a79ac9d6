-- Schemas: what fields a table has to have, and of what types.
--
--   local note = validate.schema {
--       title = { "string", min = 1, max = 80, trim = true },
--       page  = { "integer", default = 1, min = 1 },
--       tags  = { "array", of = "string", max = 5 },
--   }
--   local values, errors = note:check(t)
--
-- A field is a type's name, { type, options… }, or a schema, which is an object of that. Types and
-- their options:
--   string    min, max (characters), pattern (of Lua, for all of it), trim (white space at the ends)
--   integer   min, max       number    min, max       boolean
--   email     max            url (http, https)  max   uuid        date   min, max ("2026-02-28")
--   array     of (a field; any string without it), min, max (elements)
--   object    fields (fields, or a schema), strict
-- and of every one:
--   optional  may be absent; default: what stands for it then, a value or a function that gives one;
--             without either it must be there
--   one_of    an array of the values that it may have
--   check     function(v) → the value to take, or nil and a sentence
--   label     its name in messages; message: the whole sentence, whatever is wrong
--
-- Fields that the schema does not name are left out of the values; validate.schema(fields,
-- {strict=true}) refuses them. Nulls of JSON are absent.

local errors = require "lunette.errors"
local suggest = require "lunette.suggest"
local types = require "lunette.validate_types"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local validate = {}

local DEPTH_MAX = 32   -- of schemas in each other
local ERRORS_MAX = 100 -- found in one table; the rest is not looked at

local Schema = { __name = "lunette.schema" }
Schema.__index = Schema

-- --- rules ---

local COMMON = { optional = true, default = true, one_of = true, check = true, label = true,
    message = true }
local LENGTHS = { string = true, array = true, email = true, url = true }

local rule_of, schema_of

-- Raises unless the options of a rule are of the right types.
local function check_rule(rule, kind, what)
    for _, name in ipairs { "min", "max" } do
        local v = rule[name]
        if v ~= nil and LENGTHS[rule.type] then
            if math.type(v) ~= "integer" or v < 0 then
                misuse("%s: %s must be an integer from 0, not %s", what, name, errors.kind(v))
            end
        elseif v ~= nil and not kind.bound(v) then
            misuse("%s: %s must be a %s, not %s", what, name, kind.bound_name, errors.kind(v))
        end
    end
    if rule.min and rule.max and rule.min > rule.max then
        misuse("%s: min is more than max", what)
    end
    for name, wanted in pairs { optional = "boolean", trim = "boolean", strict = "boolean",
        pattern = "string", label = "string", message = "string", check = "function",
        one_of = "table" } do
        if rule[name] ~= nil then expect(rule[name], wanted, what .. ": " .. name) end
    end
    if rule.pattern then
        local ok, why = pcall(string.find, "", rule.pattern)
        if not ok then misuse("%s: pattern: %s", what, why) end
    end
    if rule.one_of and #rule.one_of == 0 then misuse("%s: one_of is empty", what) end
end

-- The rule without its type's name, which is at 1.
local function options_of(given, kind, what)
    local known, opts = {}, {}
    for name in pairs(COMMON) do known[name] = true end
    for name in pairs(kind.options) do known[name] = true end
    for name, v in pairs(given) do
        if name ~= 1 then opts[name] = v end
    end
    return check_options(opts, known, what)
end

local function kind_of(name, what)
    if type(name) ~= "string" or not types[name] then
        misuse("%s: %s is no type%s", what, errors.kind(name), suggest.hint(name, types))
    end
    return types[name]
end

function rule_of(given, what, depth)
    if getmetatable(given) == Schema then return { type = "object", schema = given } end
    if type(given) == "string" then given = { given } end
    expect(given, "table", what)
    if depth > DEPTH_MAX then misuse("%s: schemas nest deeper than %d", what:sub(1, 60), DEPTH_MAX) end
    local kind = kind_of(given[1], what)
    local rule = options_of(given, kind, what)
    rule.type, rule.take = given[1], kind.take
    check_rule(rule, kind, what)
    if rule.type == "array" then
        rule.element = rule_of(rule.of or "string", what .. "[]", depth + 1)
    elseif rule.type == "object" then
        if rule.fields == nil then misuse("%s: fields is missing", what) end
        rule.schema = schema_of(rule.fields, { strict = rule.strict }, what .. ".", depth + 1)
    end
    return rule
end

local SCHEMA_OPTIONS = { strict = true }

-- A schema of fields, which may be one already.
function schema_of(fields, opts, what, depth)
    if getmetatable(fields) == Schema then return fields end
    expect(fields, "table", what .. " the fields")
    local self = setmetatable({ rules = {}, names = {}, strict = opts.strict }, Schema)
    for name, given in pairs(fields) do
        expect(name, "string", what .. " the name of a field")
        self.rules[name] = rule_of(given, what .. name, depth)
        self.names[#self.names + 1] = name
    end
    table.sort(self.names)
    return self
end

-- --- values ---

local json -- lunette.json, once it is needed

local function array_of(list)
    json = json or require "lunette.json"
    return json.array and json.array(list) or list
end

local function is_null(v)
    if type(v) == "string" or type(v) == "number" then return false end
    json = json or require "lunette.json"
    return json.null ~= nil and v == json.null
end

-- A run over one table: { errors, count, text }.
local function add_error(run, path, rule, why)
    if run.errors[path] or run.count == ERRORS_MAX then return end
    run.count = run.count + 1
    run.errors[path] = rule.message or ("%s %s"):format(rule.label or path, why)
end

local function choices(list)
    local out = {}
    for i, v in ipairs(list) do out[i] = tostring(v) end
    return table.concat(out, ", ")
end

-- The rule's own conditions → the value or nil, why.
local function finish(v, rule)
    if rule.one_of then
        local found = false
        for _, one in ipairs(rule.one_of) do found = found or one == v end
        if not found then return nil, "must be one of " .. choices(rule.one_of) end
    end
    if not rule.check then return v end
    local taken, why = rule.check(v)
    if taken == nil or (taken == false and why ~= nil) then
        return nil, why ~= nil and tostring(why) or "is not valid", why ~= nil
    end
    if taken == true and rule.type ~= "boolean" then return v end
    return taken
end

local take

-- An array's elements as values; nil when any is wrong.
local function take_elements(run, v, rule, path)
    if type(v) ~= "table" or (#v == 0 and next(v) ~= nil) then return nil, "must be an array" end
    local list, before = {}, run.count
    if rule.max and #v > rule.max then return v end -- which is refused, whatever they are
    for i = 1, #v do
        if run.count == ERRORS_MAX then break end
        list[i] = take(run, v[i], rule.element, ("%s[%d]"):format(path, i))
    end
    if run.count > before then return nil end
    return array_of(list)
end

local function take_object(run, t, schema, path)
    if type(t) ~= "table" or #t > 0 then return nil, "must be an object" end
    local values, before = {}, run.count
    local prefix = path and path .. "." or ""
    for _, name in ipairs(schema.names) do
        if run.count == ERRORS_MAX then break end
        local rule, v = schema.rules[name], t[name]
        if rule.type == "array" and run.text and not path then
            v = run.all and run.all[name] or type(v) == "string" and { v } or v
        end
        values[name] = take(run, v, rule, prefix .. name)
    end
    for name in pairs(schema.strict and t or {}) do
        if run.count == ERRORS_MAX then break end
        if not schema.rules[name] then
            add_error(run, prefix .. tostring(name), {}, "is not known"
                .. suggest.hint(name, schema.rules))
        end
    end
    return run.count == before and values or nil
end

local function absent(run, rule, path)
    if rule.default == nil then
        if not rule.optional then add_error(run, path, rule, "is required") end
        return nil
    end
    if type(rule.default) == "function" then return rule.default() end
    if type(rule.default) ~= "table" then return rule.default end
    return take({ errors = {}, count = 0 }, rule.default, rule, path) -- a new one each time
end

-- One value by its rule; nil when there is none, or an error, which is noted. An input that was left
-- empty sends "": for all but strings that is no value.
function take(run, v, rule, path)
    if v == nil or is_null(v) or (run.text and v == "" and rule.type ~= "string") then
        return absent(run, rule, path)
    end
    local before, why, whole = run.count, nil, nil
    if rule.type == "object" then
        v, why = take_object(run, v, rule.schema, path)
    elseif rule.type == "array" then
        v, why = take_elements(run, v, rule, path)
    end
    if v ~= nil and rule.take then v, why = rule.take(v, rule, run.text) end
    if v ~= nil then v, why, whole = finish(v, rule) end
    if v ~= nil then return v end
    if whole then
        add_error(run, path, { message = rule.message or why }, why)
    elseif run.count == before then
        add_error(run, path, rule, why)
    end
    return nil
end

local CHECK_OPTIONS = { text = true, all = true }

-- s:check(t[, {text=true, all=}]) → values, or nil and { field = sentence }: "tags[2]" and
-- "owner.name" for what is within. Types have to be those of the schema; with text, where t is like
-- req.query and all like req.query_all, text becomes numbers and booleans, and a field that came
-- more than once an array.
function Schema.check(self, t, opts)
    if getmetatable(self) ~= Schema then misuse("schema.check: call with a colon, s:check(t)") end
    opts = check_options(opts, CHECK_OPTIONS, "s:check")
    local run = { errors = {}, count = 0, text = opts.text, all = opts.all }
    local values, why = take_object(run, t, self, nil)
    if values then return values end
    if why then return nil, { [""] = "this " .. why } end
    return nil, run.errors
end

-- Raises for defaults that their own rules refuse.
local function check_defaults(self, what)
    for _, name in ipairs(self.names) do
        local rule = self.rules[name]
        if rule.default ~= nil and type(rule.default) ~= "function" and not rule.check then
            local run = { errors = {}, count = 0 }
            take(run, rule.default, rule, name)
            local _, why = next(run.errors)
            if why then misuse("%s%s: its default: %s", what, name, why) end
        end
        if rule.schema then check_defaults(rule.schema, what .. name .. ".") end
    end
end

-- A schema for a call named what.
function validate.schema_for(what, fields, opts)
    local self = schema_of(fields, opts or {}, what .. ": ", 1)
    check_defaults(self, what .. ": ")
    return self
end

-- validate.schema(fields[, {strict=true}]).
function validate.schema(fields, opts)
    opts = check_options(opts, SCHEMA_OPTIONS, "validate.schema")
    if opts.strict ~= nil then expect(opts.strict, "boolean", "validate.schema: strict") end
    return validate.schema_for("validate.schema", fields, opts)
end

return validate

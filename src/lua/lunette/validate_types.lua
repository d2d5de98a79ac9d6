-- The types of lunette.validate: how a value becomes one of them, or what is wrong with it.
--
-- A type is { options = {name = true}, take = function(v, rule, text) → value or nil, why }; why goes
-- on after the field's name: "must be an integer". text: v comes from a query, form or path, where
-- everything is text. rule holds the options, which were checked.

local set = require "lunette.words"

local types = {}

local function plural(n, word) return n == 1 and "1 " .. word or ("%s %ss"):format(n, word) end

-- --- strings ---

local function trimmed(s) return s:match("^%s*(.-)%s*$") end

local function length_wrong(n, rule, word)
    if rule.min and n < rule.min then
        if rule.min == 1 then return "must not be empty" end
        return ("must have at least %s"):format(plural(rule.min, word))
    end
    if rule.max and n > rule.max then
        return ("must have at most %s"):format(plural(rule.max, word))
    end
end

local function take_string(v, rule)
    if type(v) ~= "string" then return nil, "must be a string" end
    if rule.trim then v = trimmed(v) end
    local n = utf8.len(v)
    if not n then return nil, "must be UTF-8" end
    local wrong = length_wrong(n, rule, "character")
    if wrong then return nil, wrong end
    if rule.pattern and not v:find("^" .. rule.pattern .. "$") then
        return nil, "does not have the right form"
    end
    return v
end
types.string = { options = set "min max pattern trim", take = take_string }

-- A type of strings, trimmed: form(s) gives the value, or nil and why.
local function text_type(form)
    return function(v, rule)
        if type(v) ~= "string" then return nil, "must be a string" end
        local value, why = form(trimmed(v), rule)
        if not value then return nil, why end
        local wrong = length_wrong(#value, { max = rule.max }, "character")
        return not wrong and value or nil, wrong
    end
end

local EMAIL_MAX = 254 -- RFC 5321, 4.5.3.1.3

-- The addresses that browsers take in <input type=email> (WHATWG HTML).
local function email(s)
    local name, domain = s:match("^([%w.!#$%%&'*+/=?^_`{|}~-]+)@([%w.-]+)$")
    local ok = name and #s <= EMAIL_MAX
    for label in ((domain or "") .. "."):gmatch("([^.]*)%.") do
        ok = ok and label:find("^%w") and label:find("%w$") and #label <= 63
    end
    if not ok then return nil, "must be an email address" end
    return s
end
types.email = { options = set "max", take = text_type(email) }

-- http and https, with a host and without a user.
local function url(s)
    local authority = s:match("^[hH][tT][tT][pP][sS]?://([^/?#]+)")
    if not authority or s:find('[%c%s"<>\\^`{|}\127]') or authority:find("@", 1, true)
        or not authority:find("^[%w%[\128-\255]") then
        return nil, "must be a URL like https://example.com/"
    end
    return s
end
types.url = { options = set "max", take = text_type(url) }

local function uuid(s)
    local parts = { s:match("^(%x+)-(%x+)-(%x+)-(%x+)-(%x+)$") }
    for i, n in ipairs { 8, 4, 4, 4, 12 } do
        if #(parts[i] or "") ~= n then return nil, "must be a UUID" end
    end
    return s:lower()
end
types.uuid = { options = {}, take = text_type(uuid) }

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(s)
    local year, month, day = s:match("^(%d%d%d%d)-(%d%d)-(%d%d)$")
    if not year then return false end
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
    local days = month == 2 and leap and 29 or DAYS[month]
    return days ~= nil and day >= 1 and day <= days
end

-- The text stays one: "2026-02-28". Such texts compare as their days do.
local function date(s, rule)
    if not is_date(s) then return nil, "must be a date like 2026-02-28" end
    if rule.min and s < rule.min then return nil, "must not be before " .. rule.min end
    if rule.max and s > rule.max then return nil, "must not be after " .. rule.max end
    return s
end
types.date = {
    options = set "min max",
    take = function(v, rule)
        if type(v) ~= "string" then return nil, "must be a string" end
        return date(trimmed(v), rule)
    end,
    bound = function(v) return type(v) == "string" and is_date(v) end, bound_name = "date like 2026-02-28",
}

-- --- numbers ---

local function in_range(n, rule)
    if rule.min and n < rule.min then return nil, ("must be at least %s"):format(rule.min) end
    if rule.max and n > rule.max then return nil, ("must be at most %s"):format(rule.max) end
    return n
end

local function is_number(v) return type(v) == "number" and v == v end

types.integer = {
    options = set "min max",
    take = function(v, rule, text)
        if text and type(v) == "string" then
            v = trimmed(v)
            v = v:find("^[+-]?%d+$") and tonumber(v) or nil
            if math.type(v) ~= "integer" then v = nil end -- more digits than fit
        end
        local n = type(v) == "number" and math.tointeger(v) or nil
        if not n then return nil, "must be an integer" end
        return in_range(n, rule)
    end,
    bound = is_number, bound_name = "number",
}

types.number = {
    options = set "min max",
    take = function(v, rule, text)
        if text and type(v) == "string" then
            v = trimmed(v)
            v = v:find("^[+-]?%d*%.?%d*[eE]?[+-]?%d*$") and tonumber(v) or nil
        end
        if type(v) ~= "number" or v ~= v or v == math.huge or v == -math.huge then
            return nil, "must be a number"
        end
        return in_range(v, rule)
    end,
    bound = is_number, bound_name = "number",
}

-- --- booleans ---

local WORDS = {
    on = true, ["true"] = true, ["1"] = true, yes = true,
    off = false, ["false"] = false, ["0"] = false, no = false,
}

types.boolean = {
    options = {},
    take = function(v, _, text)
        if text and type(v) == "string" then v = WORDS[trimmed(v):lower()] end
        if type(v) ~= "boolean" then return nil, "must be true or false" end
        return v
    end,
}

-- --- what holds others: validate.lua looks into those ---

types.array = {
    options = set "of min max",
    take = function(v, rule)
        local wrong = length_wrong(#v, rule, "element")
        return not wrong and v or nil, wrong
    end,
}
types.object = { options = set "fields strict" }

return types

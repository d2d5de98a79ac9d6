-- Lists of origins, as Origin has them: "https://example.com", "https://*.example.com" for all
-- below it, "*" for every one, or a function(origin, req) that says.

local errors = require "lunette.errors"

local misuse, expect = errors.misuse, errors.expect

local origins = {}

local function parse(text, what, found)
    expect(text, "string", what .. ": an origin")
    local lower = text:lower()
    if lower == "*" then
        found.all = true
        return
    end
    if lower == "null" then
        misuse('%s: "null" is what every sandboxed page sends, and no origin to trust', what)
    end
    local scheme, authority = lower:match("^(%a[%w+.-]*)://([^/?#@%s]+)$")
    if not scheme then
        misuse('%s: an origin is like "https://example.com", with its port if it has one and no path, '
            .. "not %s", what, errors.kind(text))
    end
    local below = authority:match("^%*%.([^*]+)$")
    if below then
        found.below[#found.below + 1] = { scheme .. "://", "." .. below }
    elseif authority:find("*", 1, true) then
        misuse('%s: a * stands for the first part of a name, as in "https://*.example.com", not %s',
            what, errors.kind(text))
    else
        found.set[lower] = true
    end
end

-- Whether an origin has names between its scheme and the end of its authority.
local function is_below(origin, before, after)
    local name = origin:sub(#before + 1, -#after - 1)
    return #origin > #before + #after and origin:sub(1, #before) == before
        and origin:sub(-#after) == after and name:find("^[%w_-][%w._-]*$") ~= nil
end

-- Parses a list, one origin or a function → allowed(origin, req) → boolean, whether it is all of
-- them.
function origins.parse(given, what)
    if type(given) == "function" then
        return function(origin, req) return given(origin, req) and true or false end, false
    end
    local found = { set = {}, below = {}, all = false }
    local list = type(given) == "table" and given or { given }
    if #list == 0 then misuse("%s: no origin is named", what) end
    for _, text in ipairs(list) do parse(text, what, found) end
    return function(origin)
        local lower = origin:lower()
        if found.all or found.set[lower] then return true end
        for _, one in ipairs(found.below) do
            if is_below(lower, one[1], one[2]) then return true end
        end
        return false
    end, found.all
end

return origins

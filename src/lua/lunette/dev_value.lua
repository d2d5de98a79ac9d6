-- Values as --dev shows them: short, nothing of the site's is run, and of what is secret no more than a
-- beginning.

local show = require "lunette.show"

local find, format, lower, sub = string.find, string.format, string.lower, string.sub
local ipairs, type = ipairs, type

local value = { cut = show.cut }

-- What is shown of a secret: its first bytes, and how long it is.
local SECRETS = { "passw", "secret", "token", "authorization", "cookie", "api[-_]?key", "credential",
    "private[-_]?key", "session", "nonce" }
local SHOWN = 4

-- Whether a name is that of something not to be shown whole.
function value.is_secret(name)
    if type(name) ~= "string" then return false end
    name = lower(name)
    for _, pattern in ipairs(SECRETS) do
        if find(name, pattern) then return true end
    end
    return false
end

-- A secret as "abcd… (32 bytes)"; a short one shows nothing of itself.
function value.mask(s)
    local n = #s
    if n == 0 then return "" end
    return format("%s… (%d bytes)", n > 3 * SHOWN and sub(s, 1, SHOWN) or "", n)
end

local STRING = 200 -- bytes of one, also of one alone

local BOUNDS = { depth = 4, items = 20, keys = 500, string = STRING, total = 2000, plain = true,
    hide = function(name, s) return value.is_secret(name) and value.mask(s) or nil end }

-- The text of a value.
function value.text(v)
    return type(v) == "string" and show.quote(v, STRING) or show.text(v, BOUNDS)
end

return value

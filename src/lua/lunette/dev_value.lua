-- Values as --dev shows them: short, nothing of the site's is run, and of what is secret no more than a
-- beginning.

local show = require "lunette.show"

local char, find, format, gsub, lower, sub = string.char, string.find, string.format, string.gsub, string.lower,
    string.sub
local ipairs, tonumber, type = ipairs, tonumber, type

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

-- Whether all strings in a table of that name are secrets: those of cookies are, those of a session not.
local function hides_members(name)
    return value.is_secret(name) and not find(lower(name), "session")
end

local NESTED = 8 -- URLs in each other; what is deeper is a secret

local function decode(s)
    return (gsub(s, "%%(%x%x)", function(digits) return char(tonumber(digits, 16)) end))
end

value.decode = decode

local mask_pairs

-- What is shown of a pair in a query. The value may be a URL itself, as sent or percent-encoded.
local function pair_text(name, v, depth)
    if value.is_secret(decode(name)) or depth > NESTED then return name .. "=" .. value.mask(v) end
    local plain = decode(v)
    local text = mask_pairs(plain, depth + 1)
    return name .. "=" .. (text == plain and v or text)
end

function mask_pairs(s, depth)
    s = gsub(s, "(://[^/?#@%s:]*):([^/?#@%s]+)@", function(user, password)
        return user .. ":" .. value.mask(password) .. "@"
    end)
    if not find(s, "=", 1, true) then return s end
    -- The border keeps a long text without pairs from being looked through again from every byte of it.
    return (gsub(s, "%f[^\0?&;#=%s]([^\0?&;#=%s]+)=([^&%s]*)", function(name, v) return pair_text(name, v, depth) end))
end

-- A target, a query, a Referer or any text with such in it: with secrets masked, "/a?token=abcd… (32 bytes)&q=1".
function value.mask_pairs(s) return mask_pairs(s, 0) end

local STRING, LOOKED = 200, 4000 -- bytes of a string that are shown, and that are looked at

-- A string as it could stand in Lua, cut, without secrets: "a\nb"… (1234 bytes).
function value.quote(s)
    local whole = value.mask_pairs(show.cut(s, LOOKED))
    return show.quote(whole, STRING, (#whole > STRING or #s > LOOKED) and #s or nil)
end

local BOUNDS = { depth = 4, items = 20, keys = 500, total = 2000, plain = true, quote = value.quote,
    is_hidden = value.is_secret, hides_members = hides_members, mask = value.mask }

-- The text of a value; with the name that it has, which may be that of a secret.
function value.text(v, name)
    return type(v) == "string" and value.is_secret(name) and value.mask(v) or show.text(v, BOUNDS, name)
end

return value

---@meta lunette.url

---@class lunette.url
local url = {}

---@class lunette.UrlParts
---@field scheme string?
---@field username string?
---@field password string?
---@field host string?
---@field port integer?
---@field path string?
---@field params string?
---@field query string?
---@field fragment string?

---The parts of a URL (RFC 3986); or nil and what is wrong with it.
---@param s string
---@return lunette.UrlParts? parts
---@return string? message
---@nodiscard
function url.parse(s) end

---The text of parts.
---@param t lunette.UrlParts
---@return string
---@nodiscard
function url.build(t) end

---A reference as seen from a base; or nil and what is wrong.
---@param base string
---@param rel string
---@return string? url
---@return string? message
---@nodiscard
function url.join(base, rel) end

---Percent-encodes all but letters, digits, "-._~" and `safe`.
---@param s string
---@param safe string? "/" unless given
---@return string
---@nodiscard
function url.quote(s, safe) end

---@param s string
---@return string
---@nodiscard
function url.unquote(s) end

---The last value of each name, and all of them.
---@param s string
---@return table<string, string> last
---@return table<string, string[]> all
---@nodiscard
function url.parse_query(s) end

---"a=1&b=2": keys sorted, arrays as repeated keys.
---@param t table<string, string|number|boolean|(string|number|boolean)[]>
---@return string
---@nodiscard
function url.build_query(t) end

return url

---@meta lunette.cookie

---@class lunette.cookie
local cookie = {}

---@class lunette.CookieOptions
---@field path string|false|nil "/" unless given
---@field domain string?
---@field expires number? Seconds since 1970
---@field max_age lunette.Duration?
---@field secure boolean? By default on TLS
---@field http_only boolean? true unless given
---@field same_site "Strict"|"Lax"|"None"|false|nil "Lax" unless given

---A value of Set-Cookie. Raises for a cookie that browsers would drop.
---@param name string
---@param value string
---@param opts lunette.CookieOptions?
---@return string
---@nodiscard
function cookie.make(name, value, opts) end

---The same, to have the browser forget it.
---@param name string
---@param opts lunette.CookieOptions?
---@return string
---@nodiscard
function cookie.expire(name, opts) end

return cookie

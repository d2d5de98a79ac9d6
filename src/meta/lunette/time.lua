---@meta lunette.time

---@class lunette.time
local time = {}

---Seconds since 1970 (UTC), with a fraction.
---@return number
---@nodiscard
function time.now() end

---A date of HTTP: "Sun, 06 Nov 1994 08:49:37 GMT".
---@param t number
---@return string
---@nodiscard
function time.http(t) end

---Seconds of any of HTTP's three forms; or nil and a message.
---@param s string
---@return integer? seconds
---@return string? message
---@nodiscard
function time.parse_http(s) end

---ISO 8601: "1994-11-06T08:49:37Z", with milliseconds where there are some.
---@param t number
---@return string
---@nodiscard
function time.iso(t) end

---Seconds; or nil and a message.
---@param s string
---@return number? seconds
---@return string? message
---@nodiscard
function time.parse_iso(s) end

return time

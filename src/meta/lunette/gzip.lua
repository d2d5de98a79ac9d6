---@meta lunette.gzip

---@class lunette.gzip
local gzip = {}

---@param s string
---@param level integer? 0 to 9; 6 unless given
---@return string
---@nodiscard
function gzip.compress(s, level) end

---What is in it; or nil and "bad data", "truncated", "trailing garbage" or "over max".
---@param s string
---@param max lunette.Size The most that the result may have
---@return string? text
---@return string? why
---@nodiscard
function gzip.decompress(s, max) end

return gzip

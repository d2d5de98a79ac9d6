---@meta lunette.html

---@class lunette.html
local html = {}

---`& < > " '` as entities.
---@param s string
---@return string
---@nodiscard
function html.escape(s) end

return html

---@meta lunette.mime

---@class lunette.mime
local mime = {}

---The Content-Type for a file's name.
---@param filename string
---@return string
---@nodiscard
function mime.by_name(filename) end

---The media type of content, by libmagic.
---@param bytes string
---@return string
---@nodiscard
function mime.by_content(bytes) end

---The extensions of a media type, the usual one first.
---@param type string
---@return string[]
---@nodiscard
function mime.extensions(type) end

return mime

---@meta _

---A response: ONE value, which may be stored, changed, passed on and returned.
---@class lunette.Response
---@field status integer
---@field headers lunette.Headers In middleware read and written in any case; nil removes
---@field body lunette.Body|nil
local Response = {}

---Appends a header: a second one of a name makes an array of both.
---@param name string
---@param value string|number
function Response:add_header(name, value) end

---@meta lunette.json

---@class lunette.json
---@field null userdata JSON's null: in arrays, and in objects with `null = true`
local json = {}

---@class lunette.EncodeOptions
---@field pretty boolean? Two spaces a level
---@field sort boolean? Keys in byte order

---Raises for what JSON cannot say, with its path.
---@param v any
---@param opts lunette.EncodeOptions?
---@return string
---@nodiscard
function json.encode(v, opts) end

---@class lunette.DecodeOptions
---@field null boolean? Members that are null are `json.null`, not absent

---The value; or nil and a message with line and column.
---@param s string
---@param opts lunette.DecodeOptions?
---@return any value
---@return string? message
---@nodiscard
function json.decode(s, opts) end

---Marks a table as an array, so that it stays `[]` when it is empty.
---@generic T: table
---@param t T?
---@return T
function json.array(t) end

---Marks a table as an object.
---@generic T: table
---@param t T?
---@return T
function json.object(t) end

---What a becomes by the merge patch b (RFC 7396), which is decoded with `null = true`; a new value.
---@param a any
---@param b any
---@return any
---@nodiscard
function json.merge_patch(a, b) end

return json

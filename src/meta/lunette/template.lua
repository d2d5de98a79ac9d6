---@meta lunette.template

---@class lunette.template
local template = {}

---HTML that is finished: `{{ }}` writes it as it is.
---@class lunette.SafeHtml

---The text of scripts/views/NAME. Raises what is wrong with it, with file and line.
---@param name string
---@param vars table?
---@return string
---@nodiscard
function template.render(name, vars) end

---A template of a text; `name` stands in messages.
---@param text string
---@param name string?
---@return fun(vars?: table): string
---@nodiscard
function template.compile(text, name) end

---@param s string
---@return lunette.SafeHtml
---@nodiscard
function template.safe(s) end

return template

---@meta lunette.cors

---@class lunette.cors
local cors = {}

---@class lunette.CorsOptions
---@field origins "*"|string|string[]|(fun(origin: string, req: lunette.Request): boolean)|nil "https://*.example.com"; "*" unless given
---@field methods string|string[]|nil Those that preflights allow
---@field headers string|string[]|nil Those that the page may send; by default what it asks for
---@field expose string|string[]|nil Those of the answer that it may read
---@field credentials boolean? With cookies; needs origins that are named
---@field max_age lunette.Duration? How long browsers keep a preflight's answer: 600

---Lets pages of other origins call this site. Declare it first.
---@param opts lunette.CorsOptions?
---@return lunette.Middleware
---@nodiscard
function cors.middleware(opts) end

return cors

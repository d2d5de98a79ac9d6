---@meta lunette.limit

---@class lunette.limit
local limit = {}

---@class lunette.LimitOptions
---@field rate number So many requests
---@field per lunette.Duration? In so long: 1 second unless given
---@field burst number? That may come at once: rate unless given
---@field key (fun(req: lunette.Request): string|number|nil)? Whose bucket it is, nil for no limit; by default the client's network
---@field cost number|(fun(req: lunette.Request): number)|nil 1 unless given
---@field name string? Middlewares of one name share their buckets
---@field headers boolean? `false`: no RateLimit headers

---Too many requests are a 429 with Retry-After.
---@param opts lunette.LimitOptions
---@return lunette.Middleware
---@nodiscard
function limit.middleware(opts) end

return limit

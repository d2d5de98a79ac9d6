---@meta lunette.cache

---Values that all workers share.
---@class lunette.cache
local cache = {}

---A table is kept as JSON.
---@alias lunette.CacheValue string|number|boolean|table

---@param k string
---@return lunette.CacheValue?
---@nodiscard
function cache.get(k) end

---true; or nil, message, "E2BIG".
---@param k string
---@param v lunette.CacheValue
---@param ttl lunette.Duration? Without one it stays, as long as there is room
---@return true? ok
---@return string? message
---@return string? code
function cache.set(k, v, ttl) end

---true, false when there is a value already; or nil, message, "E2BIG".
---@param k string
---@param v lunette.CacheValue
---@param ttl lunette.Duration?
---@return boolean? added
---@return string? message
---@return string? code
function cache.add(k, v, ttl) end

---The sum, from 0; or nil, message, "ERANGE". Only a number that begins here gets the ttl.
---@param k string
---@param by number? 1 unless given
---@param ttl lunette.Duration?
---@return number? sum
---@return string? message
---@return string? code
function cache.incr(k, by, ttl) end

---Whether there was a value.
---@param k string
---@return boolean
function cache.delete(k) end

---Seconds that are left, `math.huge` for a value without end, nil for none.
---@param k string
---@return number?
---@nodiscard
function cache.ttl(k) end

---Takes everything away.
function cache.clear() end

---@class lunette.CacheStats
---@field entries integer
---@field bytes integer
---@field capacity integer
---@field filling integer
---@field hits integer
---@field misses integer
---@field evictions integer
---@field expired integer
---@field recovered integer
---@field stale integer
---@field fills integer
---@field fills_alone integer
---@field fills_failed integer
---@field waits integer

---@return lunette.CacheStats
---@nodiscard
function cache.stats() end

---@class lunette.FetchOptions
---@field stale lunette.Duration? So long after ttl the old value is given while one caller makes the new one

---The value; where there is none, one caller makes it by `fn` and the others wait. nil is never kept,
---and comes back with what fn returned behind it.
---@generic T
---@param k string
---@param ttl lunette.Duration
---@param fn fun(): T, ...
---@param opts lunette.FetchOptions?
---@return T
---@return any ...
function cache.fetch(k, ttl, fn, opts) end

return cache

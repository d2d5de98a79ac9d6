---@meta lunette.log

---Records of the error log, with their place and the id of the request, also from its tasks and `req:after`.
---@class lunette.log
local log = {}

---@param msg any
---@param fields table<string, any>?
function log.debug(msg, fields) end

---@param msg any
---@param fields table<string, any>?
function log.info(msg, fields) end

---@param msg any
---@param fields table<string, any>?
function log.warn(msg, fields) end

---@param msg any
---@param fields table<string, any>?
function log.error(msg, fields) end

return log

---@meta lunette.task

---@class lunette.task
local task = {}

---A function that runs beside others.
---@class lunette.Task
local Task = {}

---Waits for its end: what it returned, or raises what it raised.
---@return any ...
function Task:join() end

---Raises in its next wait.
function Task:cancel() end

---@param seconds lunette.Duration
function task.sleep(seconds) end

---Starts a function, which outlives the request. Errors that nobody joins are logged.
---@param fn fun(...: any): ...
---@param ... any Its arguments
---@return lunette.Task
function task.spawn(fn, ...) end

---Runs functions at the same time: the first result of each. The first error cancels the others.
---@param fns (fun(): any)[]
---@return any[]
function task.all(fns) end

---What the function returns; or nil, "timeout".
---@param seconds lunette.Duration
---@param fn fun(...: any): ...
---@param ... any Its arguments
---@return any ...
function task.timeout(seconds, fn, ...) end

return task

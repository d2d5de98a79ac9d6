---@meta lunette.test

---The site's own tests, for `lunette test`. Each begins with an empty data folder and cache.
---@class lunette.test
---@field client lunette.TestClient New for each test
---@overload fun(name: string, fn: fun())
local test = {}

---@param name string
---@param fn fun()
function test.test(name, fn) end

---Runs before each test of the file.
---@param fn fun()
function test.before_each(fn) end

---What is to be judged: `expect(x).equals(y)`.
---@param x any
---@return lunette.Expectation
function test.expect(x) end

---Sets the clock.
---@param t number Seconds since 1970
function test.time(t) end

---@class lunette.Expectation
---@field never lunette.Expectation The contrary
local Expectation = {}

---The same, tables by their contents.
---@param y any
function Expectation.equals(y) end

---A string has it within, or an array among its elements.
---@param y any
function Expectation.contains(y) end

---A pattern of Lua.
---@param pattern string
function Expectation.matches(pattern) end

function Expectation.is_nil() end

---The function raises, with that in its message.
---@param message string?
function Expectation.raises(message) end

---@class lunette.TestRequest
---@field headers table<string, string>?
---@field query table<string, any>?
---@field form table<string, any>?
---@field json any
---@field body string?
---@field files table<string, table>?
---@field cookies table<string, string>?

---@class lunette.TestAnswer
---@field status integer
---@field headers table<string, string>
---@field headers_all table<string, string[]>
---@field body string
---@field json any
---@field cookies table<string, string>
---@field location string?

---Asks the site without a socket, middleware and errors included.
---@class lunette.TestClient
local Client = {}

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:get(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:post(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:put(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:patch(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:delete(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:head(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client:options(path, opts) end

return test

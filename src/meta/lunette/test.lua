---@meta lunette.test

---The site's own tests, for `lunette test`. Each begins with an empty data folder and cache.
---`test("a note is kept", function() … end)` is `test.test`.
---@class lunette.test
---@field client lunette.TestClient A visitor, new for each test
---@overload fun(name: string, fn: fun())
---@overload fun(name: string, opts: lunette.TestOptions, fn: fun())
local test = {}

---@class lunette.TestOptions
---@field timeout lunette.Duration? 10 seconds unless given

---Declares a test, which may wait.
---@param name string
---@param opts lunette.TestOptions?
---@param fn fun()
---@overload fun(name: string, fn: fun())
function test.test(name, opts, fn) end

---Runs before each test of the file, as part of it.
---@param fn fun()
function test.before_each(fn) end

---What is to be judged: `expect(x).equals(y)`.
---@param x any
---@return lunette.Expectation
---@nodiscard
function test.expect(x) end

---Another visitor, without cookies.
---@return lunette.TestClient
---@nodiscard
function test.new_client() end

---The clock stands at t, until the test ends or with nil.
---@param t number|string|nil Seconds since 1970, or "2026-01-31T12:00:00Z"
function test.time(t) end

---@class lunette.Expectation
---@field never lunette.Expectation The contrary; mistakes in the question fail as they do without
local Expectation = {}

---The same, tables by what is in them.
---@param y any
function Expectation.equals(y) end

---A string holds that text, or a table has such an element, which is not nil.
---@param y any
function Expectation.contains(y) end

---A string holds that pattern of Lua.
---@param pattern string
function Expectation.matches(pattern) end

function Expectation.is_nil() end

---The function raises, with a message that holds that pattern; another error fails, with never too.
---@param pattern string?
function Expectation.raises(pattern) end

---@class lunette.TestRequest
---@field headers table<string, string|number|(string|number)[]>?
---@field query table<string, any>?
---@field form table<string, any>? urlencoded; multipart with files
---@field json any
---@field body string?
---@field files table<string, lunette.TestFile|lunette.TestFile[]|string>?
---@field cookies table<string, string>? For this request alone
---@field follow boolean? Redirects are followed, rather than answered with

---@class lunette.TestFile
---@field filename string?
---@field content string
---@field type string?

---@class lunette.TestAnswer
---@field status integer
---@field headers table<string, string> Any case finds a name
---@field headers_all table<string, string[]>
---@field body string As it was sent
---@field json any nil without a JSON media type
---@field cookies table<string, string> Those that were set
---@field location string?

---Asks the site without a socket: files, middleware and error pages included. Cookies are kept.
---@class lunette.TestClient
local Client = {}

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.get(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.post(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.put(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.patch(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.delete(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.head(path, opts) end

---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.options(path, opts) end

---@param method string
---@param path string
---@param opts lunette.TestRequest?
---@return lunette.TestAnswer
function Client.request(method, path, opts) end

return test

---@meta lunette

-- Annotations of lunette's API for lua-language-server: nothing here runs. Point the setting
-- workspace.library of .luarc.json at the folder that holds lunette/.

---@alias lunette.Size integer|number|string A number of bytes, or "64K", "20M", "1G"
---@alias lunette.Duration number|string Seconds, or "250ms", "30s", "5m", "2h", "1d"
---@alias lunette.HeaderValue string|number|string[] An array stands for repeated fields
---@alias lunette.Headers table<string, lunette.HeaderValue>
---@alias lunette.Method "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"|"OPTIONS"

---A body: a string; a table, which is sent as JSON; a stream.
---@alias lunette.Body string|table|lunette.Stream

---Makes a body piece by piece. A table that it returns is trailers.
---@alias lunette.Stream fun(write: fun(chunk: string)): table<string, string>?

---What a handler returns first: a response; a string (a page); a table (JSON); or a status, with headers
---and body, or a body alone, behind it.
---@alias lunette.Result lunette.Response|string|table|integer

---Nothing returned, or `nil, message`, is a 500.
---@alias lunette.Handler fun(req: lunette.Request): lunette.Result, lunette.Headers|string|nil, lunette.Body?

---`handle(req)` gives the finished response of what is inside, and never raises.
---@alias lunette.Middleware fun(req: lunette.Request, handle: fun(req: lunette.Request): lunette.Response): lunette.Result, lunette.Headers|string|nil, lunette.Body?

---@alias lunette.ErrorPage fun(req: lunette.Request, err: lunette.Error): lunette.Result, lunette.Headers|string|nil, lunette.Body?

---What a page of `app.on_error` is told.
---@class lunette.Error
---@field status integer
---@field message string What `app.abort` was given, or the status in words
---@field headers lunette.Headers
---@field data table? The table that `app.abort` was given; `data.errors` has what a schema refused
---@field cause string? The error of Lua, with `--dev` alone
---@field traceback string? With `--dev` alone

---What a group's routes have by default.
---@class lunette.GroupOptions
---@field use lunette.Middleware|lunette.Middleware[]? Middleware around the route
---@field max_body lunette.Size? In place of `limits.body_bytes`
---@field timeout lunette.Duration? In place of `timeouts.handler`
---@field gzip boolean? `false`: answers are never compressed
---@field strict boolean? `/a` and `/a/` are two routes
---@field cache lunette.CacheOption|lunette.Duration|false|nil Whole responses, kept in the shared cache
---@field etag true|false|(fun(req: lunette.Request): string?)|nil A tag made of the body, or by the site before the handler runs
---@field stream_body boolean? The handler starts at the head and reads the body by `req:read()`
---@field query lunette.Schema|lunette.Fields|false|nil What `req.query` must have; values in `req.valid`
---@field form lunette.Schema|lunette.Fields|false|nil
---@field json lunette.Schema|lunette.Fields|false|nil
---@field params lunette.Schema|lunette.Fields|false|nil
---@field files table<string, lunette.FileRule>|false|nil What the file inputs of a form have to be
---@field invalid (fun(req: lunette.Request, errors: table<string, string>): lunette.Result, lunette.Headers|string|nil, lunette.Body?)|false|nil The answer to fields that do not fit, 422 unless it names a status

---@class lunette.RouteOptions: lunette.GroupOptions
---@field name string? For `app.url_for`

---@class lunette.FileRule
---@field type string|string[]|nil Media types like "image/png" or "image/*", as found from the content (else 415)
---@field max lunette.Size? (else 413)
---@field required boolean? (else 422)

---@class lunette.CacheOption
---@field ttl lunette.Duration How long a response is kept
---@field stale lunette.Duration? How long after that it is given while one request makes the next
---@field vary string|string[]|nil Request headers that answers depend on
---@field key (fun(req: lunette.Request): string|number|nil)? What else tells answers apart; nil: not kept
---@field tags string[]|(fun(req: lunette.Request, res: lunette.Response): string[])|nil For `app.purge{tag=}`
---@field max_age lunette.Duration? Adds Cache-Control: max-age

---@class lunette.UseOptions
---@field files boolean? `false`: not around files

---@class lunette.StaticOptions
---@field max_age lunette.Duration?
---@field index string|string[]|nil The file that a folder answers with
---@field listing boolean? A folder without one answers with a page of what is in it
---@field immutable boolean? What is at a path never changes
---@field fallback string? The file for paths that have none
---@field headers lunette.Headers?
---@field download boolean? Browsers save the files

---@class lunette.FileOptions
---@field root string? The folder that the path is beneath, in place of the site's
---@field type string? The Content-Type
---@field download string? The name that browsers save it by
---@field max_age lunette.Duration?
---@field missing integer? The status where there is no such file (404)

---@class lunette.UrlOptions
---@field absolute boolean? With scheme and host
---@field req lunette.Request? Whose; by default the one that runs

---@class lunette.PurgeOptions
---@field tag string|string[]

---A server-sent event.
---@class lunette.Event
---@field event string? Its kind
---@field data string|number|table|nil A table becomes JSON
---@field id string|integer|nil What `Last-Event-ID` is when the client comes again
---@field retry integer? Milliseconds until it does

---@class lunette.EveryOptions
---@field each_worker boolean? In every worker, rather than in one
---@field at_once boolean? The first time now, rather than after the interval

---@class lunette.StartOptions
---@field each_worker boolean? In every worker, rather than in one

---What a group or a host declares on. Every call works with a dot and with a colon.
---@class lunette.Scope
---@field settings table `site` of config.lua
---@field dev boolean Whether the server runs with `--dev`
---@field data string The absolute path of data/
local Scope = {}

---A route for GET, and HEAD.
---Patterns: "/hello/:name", "/:id{int}", "/photo/:id{%x+}.jpg", "/files/*path".
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.get(pattern, opts, handler) end

---A route for POST.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.post(pattern, opts, handler) end

---A route for PUT.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.put(pattern, opts, handler) end

---A route for PATCH.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.patch(pattern, opts, handler) end

---A route for DELETE.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.delete(pattern, opts, handler) end

---A route for HEAD alone; GET answers HEAD by itself.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.head(pattern, opts, handler) end

---A route for OPTIONS, which is answered by itself where there is none.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.options(pattern, opts, handler) end

---A route for every method.
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(pattern: string, handler: lunette.Handler)
function Scope.any(pattern, opts, handler) end

---A route for some methods: `app.route({ "GET", "POST" }, "/login", login)`.
---@param methods lunette.Method|lunette.Method[]
---@param pattern string
---@param opts lunette.RouteOptions?
---@param handler lunette.Handler
---@overload fun(methods: lunette.Method|lunette.Method[], pattern: string, handler: lunette.Handler)
function Scope.route(methods, pattern, opts, handler) end

---Middleware around everything beneath the prefix: 404 and 405 too, and files unless `files = false`.
---The first declared is outermost.
---@param prefix string
---@param mw lunette.Middleware
---@param opts lunette.UseOptions?
---@overload fun(mw: lunette.Middleware, opts?: lunette.UseOptions)
function Scope.use(prefix, mw, opts) end

---Routes beneath a prefix: calls `fn(g)`, where `g` has every call but `host` and timers.
---@param prefix string
---@param opts lunette.GroupOptions?
---@param fn fun(g: lunette.Scope)
---@overload fun(prefix: string, fn: fun(g: lunette.Scope))
function Scope.group(prefix, opts, fn) end

---The files of another folder, where no route matches.
---@param prefix string
---@param dir string Relative to the site's folder, or absolute and in `sandbox.read`
---@param opts lunette.StaticOptions?
function Scope.static(prefix, dir, opts) end

---The page for a status from 400 to 599, or for all of them. What it returns keeps `err.status` unless
---it names another one.
---@param status integer|"*"
---@param page lunette.ErrorPage
function Scope.on_error(status, page) end

---Leaves the handler with the page of a status, or with a response.
---@param status integer|lunette.Response
---@param message string|table|nil Shown to the visitor; a table is `err.data`
---@param headers lunette.Headers?
function Scope.abort(status, message, headers) end

---Whether `e`, caught by pcall, is what `app.abort` raised.
---@param e any
---@return boolean
---@nodiscard
function Scope.is_abort(e) end

---The path of a route that has a name. A parameter that is missing or does not fit raises.
---@param name string
---@param params table<string, string|integer>?
---@param query table<string, string|number|boolean|(string|number|boolean)[]>?
---@param opts lunette.UrlOptions?
---@return string
---@nodiscard
function Scope.url_for(name, params, query, opts) end

---Variables for every render in a request.
---@param fn fun(req: lunette.Request): table?
function Scope.view(fn) end

---A response, exactly so.
---@param status integer
---@param headers lunette.Headers?
---@param body lunette.Body?
---@return lunette.Response
---@nodiscard
function Scope.response(status, headers, body) end

---Any value as JSON. Text that is not UTF-8 is mended.
---@param value any
---@param status integer?
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.json(value, status, headers) end

---A page.
---@param s string
---@param status integer?
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.html(s, status, headers) end

---Plain text.
---@param s string|number
---@param status integer?
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.text(s, status, headers) end

---@param url string
---@param status 301|302|303|307|308|nil 302 unless given
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.redirect(url, status, headers) end

---To the page that the visitor came from when it is of this site, else to the fallback.
---@param req lunette.Request
---@param fallback string A path like "/"
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.redirect_back(req, fallback, headers) end

---A file beneath the site's folder or `root`, never of scripts/; the page of `missing` where there is
---none.
---@param path string
---@param opts lunette.FileOptions?
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.file(path, opts, headers) end

---The page of scripts/views/VIEW. Raises what is wrong with it, with file and line.
---@param view string "page.html"
---@param vars table?
---@param status integer?
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.render(view, vars, status, headers) end

---A body that `fn(write)` makes; `write` may wait, and raises once the client has left.
---@param fn lunette.Stream
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.stream(fn, headers) end

---Server-sent events; `send` may wait, and raises once the client has left.
---@param fn fun(send: fun(event: lunette.Event|string))
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.events(fn, headers) end

---application/problem+json (RFC 9457).
---@param status integer
---@param detail string?
---@param extra table? `type`, `title`, `instance`, and members of your own
---@param headers lunette.Headers?
---@return lunette.Response
---@nodiscard
function Scope.problem(status, detail, extra, headers) end

---Takes back the cached responses of a path, or those that have a tag.
---@param what string|lunette.PurgeOptions
---@return true
function Scope.purge(what) end

---What `require "lunette"` gives.
---@class lunette.App: lunette.Scope
local App = {}

---Routes for one Host: "api.example.com", "*.example.com" for all below it, "*" for unknown ones.
---@param host string
---@param fn fun(h: lunette.Scope)
function App.host(host, fn) end

---Background work, again and again; never overlaps itself.
---@param seconds lunette.Duration
---@param fn fun()
---@param opts lunette.EveryOptions?
function App.every(seconds, fn, opts) end

---Background work at a time of day: "03:30".
---@param time string
---@param fn fun()
function App.at(time, fn) end

---Once when the server has begun to serve, and again with the scripts of each reload.
---@param fn fun()
---@param opts lunette.StartOptions?
function App.at_start(fn, opts) end

return App

---@meta _

---What a handler receives. Fields are made when they are first read, and then kept. You may add some: a
---`---@class lunette.Request` in a file of yours, with a `---@field` for each, says so.
---@class lunette.Request
---@field method lunette.Method|string
---@field path string Decoded and normalised
---@field raw_path string As it was sent
---@field query_string string What stands behind the "?", or ""
---@field target string As it was sent
---@field version "1.0"|"1.1"
---@field scheme "http"|"https"
---@field host string
---@field port integer
---@field remote_addr string The client's, through trusted proxies only
---@field remote_port integer
---@field id string In every record of the log that is about this request
---@field headers table<string, string> Any case finds a name; repeated fields are joined by ", "
---@field headers_all table<string, string[]>
---@field query table<string, string> The last value of each name
---@field query_all table<string, string[]>
---@field form table<string, string> The last value of each name, of a urlencoded or multipart body
---@field form_all table<string, string[]>
---@field cookies table<string, string> The first value of each name
---@field cookies_all table<string, string[]>
---@field params table<string, string|integer> What the pattern captured; `{int}` gives integers
---@field body string "" when there is none
---@field json any nil without a JSON media type; malformed JSON leaves with 400
---@field parts lunette.Part[] Of a multipart body
---@field files table<string, lunette.Part> The last file of each name
---@field files_all table<string, lunette.Part[]>
---@field session table<string, any> By lunette.session, whose middleware must cover this path
---@field valid table<string, any> What the schemas of the route made of `params`, `query`, `form`, `json`
---@field user any What the check of lunette.auth returned
---@field csp_nonce string? Of lunette.secure, for this answer
---@field error lunette.Error|string|table|nil In middleware, after `handle(req)`, and for a page of `app.on_error`: what went wrong inside. What `app.abort` raised, the error, or a sentence about results that are no answer
local Request = {}

---@class lunette.IntOptions
---@field from "query"|"form"|"params"|"cookies"|"headers"|"json"|nil
---@field default integer?
---@field min integer?
---@field max integer?

---An integer of a field; leaves with a 400 that names the field.
---@param name string
---@param opts lunette.IntOptions?
---@return integer
function Request:int(name, opts) end

---The best of the media types offered ("html", "json", "image/png"), or nil; the first without the
---header.
---@param ... string|string[]
---@return string?
function Request:accepts(...) end

---The best of the languages offered (RFC 4647), or nil.
---@param ... string|string[]
---@return string?
function Request:accepts_language(...) end

---The best of the content codings offered, or nil.
---@param ... string|string[]
---@return string?
function Request:accepts_encoding(...) end

---Calls the best of `{ html = fn, json = fn }` and gives what it returns; leaves with 406 otherwise.
---@param choices table<string, fun(req: lunette.Request): ...>
---@return any ...
function Request:negotiate(choices) end

---@class lunette.CheckOptions
---@field required boolean? Leaves with 428 where there is no condition

---Before anything is changed: leaves with 412 (304 for GET and HEAD) when a condition fails.
---@param etag string?
---@param last_modified number? Seconds since 1970
---@param opts lunette.CheckOptions?
---@overload fun(self: lunette.Request, etag: string?, opts: lunette.CheckOptions)
function Request:check(etag, last_modified, opts) end

---A cookie on whatever the handler returns.
---@param name string
---@param value string
---@param opts lunette.CookieOptions?
function Request:set_cookie(name, value, opts) end

---Has the browser forget a cookie; path and domain as when it was set.
---@param name string
---@param opts lunette.CookieOptions?
function Request:expire_cookie(name, opts) end

---A header on whatever the handler returns.
---@param name string
---@param value string|number
function Request:add_header(name, value) end

---Runs once the answer is sent.
---@param fn fun()
function Request:after(fn) end

---@class lunette.ExpectJsonOptions
---@field type "object"|"array"|"any"|nil "object" unless given
---@field null boolean? Keeps the nulls of objects, as `json.null`

---The JSON of the body; leaves with 415 for another media type, 400 for malformed text, 422 for another
---shape.
---@param opts lunette.ExpectJsonOptions?
---@return any
function Request:expect_json(opts) end

---With `stream_body`: the next bytes of the body; nil at the end.
---@param n lunette.Size?
---@return string?
function Request:read(n) end

---With `stream_body`: the body in pieces, as they come.
---@return fun(): string?
function Request:chunks() end

---A token of lunette.csrf, for a form of this answer.
---@return string
function Request:csrf_token() end

---A part of a multipart body.
---@class lunette.Part
---@field name string
---@field filename string? The bare name: no folder, no control characters
---@field content_type string? What the client claims
---@field detected_type string What the content is
---@field headers table<string, string>
---@field size integer
---@field body string
---@field sha256 string In hexadecimal
local Part = {}

---@class lunette.SaveOptions
---@field overwrite boolean?

---Keeps it as a file beneath data/, or at an absolute path that `sandbox.write` allows. The absolute
---path; or nil, "exists", "EEXIST", or another reason and its code.
---@param path string
---@param opts lunette.SaveOptions?
---@return string? path
---@return string? message
---@return string? code
function Part:save_as(path, opts) end

---Its bytes, 64 KiB at a time.
---@return fun(): string?
function Part:chunks() end

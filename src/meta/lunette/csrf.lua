---@meta lunette.csrf

---@class lunette.csrf
local csrf = {}

---@class lunette.CsrfOptions
---@field field string? Of forms: "csrf_token"
---@field header string? Of scripts: "X-CSRF-Token"
---@field except string|string[]|(fun(req: lunette.Request): boolean)|nil Prefixes that need no token

---Refuses what changes something and shows no token of the visitor's session (403). To be declared
---after the middleware of lunette.session.
---@param opts lunette.CsrfOptions?
---@return lunette.Middleware
---@nodiscard
function csrf.middleware(opts) end

---A new token of the session, as `req:csrf_token()`.
---@param req lunette.Request
---@return string
---@nodiscard
function csrf.token(req) end

---The hidden input of a form, as HTML.
---@param req lunette.Request
---@return string
---@nodiscard
function csrf.input(req) end

return csrf
